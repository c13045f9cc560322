package cloudflare_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/cloudflare/cloudflaretest"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/rr"
)

// Between the list and the batch another writer moves the marker.
func TestAnotherWriterWins(t *testing.T) {
	f := start(t)
	ours, theirs := client(t, f), client(t, f)
	apply(t, ours, claim("gen=1", 3)...)
	read(t, ours, keys(3)...)
	f.Meanwhile(func() { apply(t, theirs, replace(marker("gen=1"), marker("gen=2 theirs"))) })
	if _, err := ours.Apply(t.Context(), []cluster.Change{replace(marker("gen=1"), marker("gen=2 ours")), replace(services(3), services(2))}); !errors.Is(err, dns.ErrConflict) {
		t.Errorf("%v", err)
	}
	want := cluster.Records{}.With(claim("gen=2 theirs", 3))
	if diff := cmp.Diff(want, read(t, ours, keys(3)...)); diff != "" {
		t.Error(diff)
	}
}

// Between the list and the batch somebody writes on our names by hand. The very
// same record stops the batch; another one is there to be seen.
func TestForeignRecordMeanwhile(t *testing.T) {
	f := start(t)
	z := client(t, f)
	apply(t, z, claim("gen=1", 2)...)
	change := []cluster.Change{replace(marker("gen=1"), marker("gen=2")), add(hostSet(3))}
	read(t, z, keys(3)...)
	f.Meanwhile(func() { foreign(t, f)(hostSet(3)) })
	if _, err := z.Apply(t.Context(), change); !errors.Is(err, dns.ErrConflict) {
		t.Errorf("the same record: %v", err)
	}
	for _, r := range f.Records(zone) {
		if r.Name == label(3)+"."+domain {
			f.Delete(zone, r.ID)
		}
	}
	f.Meanwhile(func() {
		foreign(t, f)(cluster.RecordSet{Key: hostSet(3).Key, TTL: 60, Values: []string{"192.0.2.66"}})
	})
	apply(t, z, change...)
	got, _ := read(t, z, keys(3)...).Get(hostSet(3).Key)
	if diff := cmp.Diff([]string{"10.5.1.3", "192.0.2.66"}, got.Values); diff != "" {
		t.Error(diff)
	}
}

// Somebody else's name is nobody's to write on.
func TestAliasOnOurName(t *testing.T) {
	for _, kind := range []string{"CNAME", "NS"} {
		f := start(t)
		z := client(t, f)
		f.Put(zone, cloudflaretest.Record{Type: kind, Name: label(1) + "." + domain, Content: "elsewhere.example.com"})
		if got, err := z.Read(t.Context(), keys(1)); err == nil || len(got.Sets) > 0 {
			t.Errorf("%s: %v, %v", kind, got, err)
		}
		before := values(f)
		if _, err := z.Apply(t.Context(), claim("gen=1", 1)); err == nil {
			t.Errorf("%s: %v", kind, err)
		}
		if diff := cmp.Diff(before, values(f)); diff != "" {
			t.Errorf("%s: %s", kind, diff)
		}
	}
}

func TestAliasMeanwhile(t *testing.T) {
	f := start(t)
	z := client(t, f)
	f.Meanwhile(func() {
		f.Put(zone, cloudflaretest.Record{Type: "CNAME", Name: label(1) + "." + domain, Content: "elsewhere.example.com"})
	})
	if _, err := z.Apply(t.Context(), claim("gen=1", 1)); !errors.Is(err, dns.ErrConflict) || len(f.Records(zone)) != 1 {
		t.Errorf("%v, %q", err, values(f))
	}
}

// Of two first claims the older one wins, and the other one leaves nothing
// behind, whatever both have written.
func TestTheOlderClaimWins(t *testing.T) {
	f := start(t)
	z := client(t, f)
	read(t, z, keys(2)...)
	f.Meanwhile(func() {
		f.Put(zone, cloudflaretest.Record{Type: "TXT", Name: marker("").Name, Content: rr.Quote("gen=1 theirs"), TTL: 60})
	})
	_, err := z.Apply(t.Context(), claim("gen=1", 2))
	if !errors.Is(err, dns.ErrConflict) || errors.Is(err, dns.ErrUnknownOutcome) {
		t.Errorf("%v", err)
	}
	if diff := cmp.Diff([]string{`_pleiad.c1.twindb.com TXT "gen=1 theirs"`}, values(f)); diff != "" {
		t.Error(diff)
	}
}

// What a losing claim has deleted and overwritten is put back.
func TestALosingClaimPutsBack(t *testing.T) {
	f := start(t)
	z := client(t, f)
	foreign(t, f)(hostSet(1))
	stale := services(2)
	stale.TTL = 3600
	foreign(t, f)(stale)
	before := values(f)
	f.Meanwhile(func() {
		f.Put(zone, cloudflaretest.Record{Type: "TXT", Name: marker("").Name, Content: `"theirs"`, TTL: 60})
	})
	one := services(1)
	_, err := z.Apply(t.Context(), []cluster.Change{add(marker("ours")), {Key: hostSet(1).Key, Old: ptr(hostSet(1))}, replace(services(2), one)})
	if !errors.Is(err, dns.ErrConflict) {
		t.Errorf("%v", err)
	}
	if diff := cmp.Diff(append([]string{}, before...), without(values(f), `_pleiad.c1.twindb.com TXT "theirs"`)); diff != "" {
		t.Error(diff)
	}
	for _, r := range f.Records(zone) {
		if r.Type == "SRV" && r.TTL != 3600 {
			t.Errorf("%+v has another TTL than before", r)
		}
	}
}

func without(all []string, one string) (out []string) {
	for _, v := range all {
		if v != one {
			out = append(out, v)
		}
	}
	return out
}

// A later claim does not unseat ours; we wait a moment for it to go.
func TestALaterClaimGoes(t *testing.T) {
	f := start(t)
	z := client(t, f)
	var theirs cloudflaretest.Record
	f.AfterBatch(func() {
		theirs = f.Put(zone, cloudflaretest.Record{Type: "TXT", Name: marker("").Name, Content: `"theirs"`, TTL: 60})
		f.BeforeList(2, func() { f.Delete(zone, theirs.ID) })
	})
	apply(t, z, add(marker("ours")))
	if got, _ := read(t, z, marker("").Key).Get(marker("").Key); len(got.Values) != 1 || got.Values[0] != "ours" {
		t.Errorf("%v", got)
	}
}

// A list may be older than what it is asked about.
func TestStaleLists(t *testing.T) {
	t.Run("after a claim", func(t *testing.T) {
		t.Parallel()
		f := start(t)
		z := client(t, f)
		f.AfterBatch(func() { f.Stale(2) })
		apply(t, z, claim("gen=1", 2)...)
	})
	t.Run("after a claim, for ever", func(t *testing.T) {
		t.Parallel()
		f := start(t)
		z := client(t, f)
		f.AfterBatch(func() { f.Stale(1000) })
		if _, err := z.Apply(t.Context(), claim("gen=1", 2)); !errors.Is(err, dns.ErrUnknownOutcome) {
			t.Errorf("%v", err)
		}
	})
	t.Run("after our change", func(t *testing.T) {
		t.Parallel()
		f := start(t)
		z := client(t, f)
		apply(t, z, add(marker("gen=1")))
		apply(t, z, replace(marker("gen=1"), marker("gen=2")))
		f.Stale(2)
		if got := read(t, z, marker("").Key); got.Sets[0].Values[0] != "gen=2" {
			t.Errorf("%v", got)
		}
		f.Stale(1000)
		if got, err := z.Read(t.Context(), []cluster.Key{marker("").Key}); !errors.Is(err, dns.ErrUnreachable) || len(got.Sets) > 0 {
			t.Errorf("%v, %v", got, err)
		}
	})
	t.Run("after a rival's change", func(t *testing.T) {
		t.Parallel()
		f := start(t)
		z, rival := client(t, f), client(t, f)
		apply(t, z, add(marker("gen=1")))
		apply(t, rival, replace(marker("gen=1"), marker("gen=2")))
		f.Stale(1)
		if _, err := z.Apply(t.Context(), []cluster.Change{replace(marker("gen=1"), marker("gen=3"))}); !errors.Is(err, dns.ErrConflict) {
			t.Errorf("%v", err)
		}
		if got := read(t, z, marker("").Key); got.Sets[0].Values[0] != "gen=2" {
			t.Errorf("%v", got)
		}
	})
	t.Run("before a second claim", func(t *testing.T) {
		t.Parallel()
		f := start(t)
		z, rival := client(t, f), client(t, f)
		apply(t, rival, claim("theirs", 2)...)
		f.Stale(1)
		if _, err := z.Apply(t.Context(), []cluster.Change{add(marker("ours"))}); !errors.Is(err, dns.ErrConflict) {
			t.Errorf("%v", err)
		}
		if diff := cmp.Diff(cluster.Records{}.With(claim("theirs", 2)), read(t, z, keys(2)...)); diff != "" {
			t.Error(diff)
		}
	})
}

// An address behind the proxy is another answer in DNS: it is seen, and one
// switch puts it back without a moment in which nothing is there.
func TestProxied(t *testing.T) {
	f := start(t)
	z := client(t, f)
	apply(t, z, claim("gen=1", 2)...)
	for _, r := range f.Records(zone) {
		if r.Type == "A" && r.Content == "10.5.1.1" {
			r.Proxied, r.TTL = true, 1
			f.Put(zone, r)
		}
	}
	got, _ := read(t, z, keys(2)...).Get(hostSet(1).Key)
	if diff := cmp.Diff([]string{cluster.Proxied("10.5.1.1")}, got.Values); diff != "" || got.TTL != 300 {
		t.Errorf("TTL %d, %s", got.TTL, diff)
	}
	if _, err := z.Apply(t.Context(), []cluster.Change{replace(marker("gen=1"), marker("gen=2")), replace(hostSet(1), hostSet(1))}); !errors.Is(err, dns.ErrConflict) {
		t.Errorf("taken for what it should be: %v", err)
	}
	before := len(f.Records(zone))
	apply(t, z, replace(marker("gen=1"), marker("gen=2")), replace(got, hostSet(1)))
	if diff := cmp.Diff(cluster.Records{}.With(claim("gen=2", 2)), read(t, z, keys(2)...)); diff != "" || len(f.Records(zone)) != before {
		t.Error(diff)
	}
}

// Somebody edits a record's TTL or comment by hand: what we write has ours.
func TestTTL(t *testing.T) {
	f := start(t)
	z := client(t, f)
	apply(t, z, claim("gen=1", 2)...)
	for _, r := range f.Records(zone) {
		if r.Type == "SRV" {
			r.TTL = 1
			f.Put(zone, r)
		}
	}
	if got, _ := read(t, z, keys(2)...).Get(services(2).Key); got.TTL != 300 {
		t.Errorf("automatic is read as %d", got.TTL)
	}
	apply(t, z, replace(marker("gen=1"), marker("gen=2")), replace(services(2), services(3)))
	low := cluster.RecordSet{Key: hostSet(3).Key, TTL: 5, Values: hostSet(3).Values}
	apply(t, z, replace(marker("gen=2"), marker("gen=3")), add(low))
	for _, r := range f.Records(zone) {
		if r.TTL != 60 {
			t.Errorf("%s %s has a TTL of %d", r.Name, r.Type, r.TTL)
		}
	}
}
