package route53_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/route53"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/route53/route53fake"
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
	if diff := cmp.Diff(cluster.Records{}.With(claim("gen=2 theirs", 3)), read(t, ours, keys(3)...)); diff != "" {
		t.Error(diff)
	}
}

// Of two first claims sent at once one fails.
func TestAnotherClaimWins(t *testing.T) {
	f := start(t)
	ours, theirs := client(t, f), client(t, f)
	f.Meanwhile(func() { apply(t, theirs, add(marker("theirs"))) })
	if _, err := ours.Apply(t.Context(), claim("ours", 3)); !errors.Is(err, dns.ErrConflict) {
		t.Errorf("%v", err)
	}
	if sets := f.Sets(zoneID); len(sets) != 1 || sets[0].Values[0] != `"theirs"` {
		t.Errorf("%+v", sets)
	}
}

// Between the list and the batch somebody changes records of ours by hand: what a change
// replaces, what it makes, and what it only expects to stand.
func TestForeignHandMeanwhile(t *testing.T) {
	for name, c := range map[string]struct {
		change cluster.Change
		hand   cluster.RecordSet
	}{
		"replaced": {replace(services(2), services(3)), services(1)},
		"made":     {add(hostSet(3)), hostSet(3)},
		"expected": {replace(services(2), services(2)), services(1)},
		"its TTL":  {replace(services(2), services(3)), cluster.RecordSet{Key: services(2).Key, TTL: 5, Values: services(2).Values}},
	} {
		f := start(t)
		z := client(t, f)
		apply(t, z, claim("gen=1", 2)...)
		read(t, z, keys(3)...)
		f.Meanwhile(func() { foreign(f)(c.hand) })
		changes := []cluster.Change{replace(marker("gen=1"), marker("gen=2")), c.change}
		if _, err := z.Apply(t.Context(), changes); !errors.Is(err, dns.ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
		if got, _ := read(t, z, marker("").Key).Get(marker("").Key); got.Values[0] != "gen=1" {
			t.Errorf("%s: half of it was done", name)
		}
	}
}

// What somebody else has on our names is neither read nor deleted.
func TestForeignSets(t *testing.T) {
	name := label(1) + "." + domain
	for why, set := range map[string]route53fake.Set{
		"an alias of elb.example.com": {Name: name, Type: "A", Alias: "elb.example.com"},
		"a routing policy":            {Name: name, Type: "A", TTL: 60, Values: []string{"10.5.1.1"}, Identifier: "blue"},
		"a health check":              {Name: name, Type: "A", TTL: 60, Values: []string{"10.5.1.1"}, HealthCheck: "abc"},
		"CNAME":                       {Name: name, Type: "CNAME", TTL: 60, Values: []string{"elsewhere.example.com"}},
		"NS":                          {Name: name, Type: "NS", TTL: 60, Values: []string{"ns.example.com"}},
	} {
		f := start(t)
		z := client(t, f)
		f.Put(zoneID, set)
		got, err := z.Read(t.Context(), keys(1))
		if !errors.Is(err, fault.Occupied) || !strings.Contains(err.Error(), why) || len(got.Sets) > 0 {
			t.Errorf("%s: %v, %v", why, got, err)
		}
		for _, c := range [][]cluster.Change{claim("gen=1", 1), {add(marker("gen=1")), {Key: hostSet(1).Key, Old: ptr(hostSet(1))}}} {
			if _, err := z.Apply(t.Context(), c); !errors.Is(err, fault.Occupied) {
				t.Errorf("%s: %v", why, err)
			}
		}
		if f.Calls()[change] > 0 || len(f.Sets(zoneID)) != 1 {
			t.Errorf("%s: %v, %+v", why, f.Calls(), f.Sets(zoneID))
		}
	}
	// One that comes between the list and the batch stops the batch.
	f := start(t)
	z := client(t, f)
	f.Meanwhile(func() {
		f.Put(zoneID, route53fake.Set{Name: name, Type: "CNAME", TTL: 60, Values: []string{"elsewhere.example.com"}})
	})
	if _, err := z.Apply(t.Context(), claim("gen=1", 1)); !errors.Is(err, dns.ErrConflict) || len(f.Sets(zoneID)) != 1 {
		t.Errorf("%v, %+v", err, f.Sets(zoneID))
	}
}

func ptr[T any](v T) *T { return &v }

// The zone is the nearest one at or above the domain, however many others follow it in
// the list, and however small its pages are.
func TestZoneIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		zones []string
		limit int
		zone  string // configured
		want  string
		calls int
	}{
		"the domain's own":        {zones: []string{"com", zone, domain, "x" + domain, "a." + domain, "twindb.org", "example.com"}, want: domain, calls: 1},
		"one above":               {zones: []string{"com", zone, "x" + zone, "c2." + zone, "com.example"}, want: zone, calls: 1},
		"small pages":             {zones: []string{zone, "a." + zone, "b." + zone, domain, "d." + zone}, limit: 1, want: domain, calls: 5},
		"named":                   {zones: []string{zone, domain}, zone: zone, want: zone, calls: 1},
		"a top-level domain":      {zones: []string{"com", "example.com"}, want: "com", calls: 2},
		"none":                    {zones: []string{"twindb.org", "a." + domain, "xtwindb.com"}, calls: 2},
		"none at all":             {calls: 2},
		"one that follows, alone": {zones: []string{"a." + domain, "zz.com"}, zone: zone, calls: 1},
	} {
		f := route53fake.New(t)
		f.PageLimit = c.limit
		f.Allow(key(), nil)
		ids := map[string]string{}
		for _, z := range c.zones {
			ids[z] = f.AddZone(route53fake.Zone{Name: z}).ID
		}
		p := client(t, f, func(config *route53.Config) { config.Zone = c.zone })
		_, err := p.Read(t.Context(), keys(1))
		if calls := f.Calls()["ListHostedZonesByName"]; (err == nil) != (c.want != "") || calls != c.calls {
			t.Errorf("%s: %v, %d calls", name, err, calls)
		}
		if c.want == "" {
			continue
		}
		z, err := p.Zone(t.Context())
		if err != nil || z.Name != c.want || z.ID != ids[c.want] || len(z.NameServers) != 4 || z.Private || z.Unseen() != nil {
			t.Errorf("%s: %+v, %v", name, z, err)
		}
	}
	for _, c := range []route53.Config{{Zone: "example.com"}, {ID: "/hostedzone/Z1"}, {Domain: "."}, {Endpoint: "http://example.com"}} {
		config := settings(start(t))
		if c.Domain != "" {
			config.Domain = c.Domain
		}
		if c.Endpoint != "" {
			config.Endpoint = c.Endpoint
		}
		if c.Zone != "" {
			config.Zone = c.Zone
		}
		config.ID = c.ID
		if _, err := route53.New(config); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}

// An ID must be that of the domain's zone.
func TestZoneIDOfAnother(t *testing.T) {
	f := start(t)
	z := f.AddZone(route53fake.Zone{Name: "example.com"})
	_, err := client(t, f, func(c *route53.Config) { c.Zone, c.ID = "", z.ID }).Read(t.Context(), keys(1))
	if !errors.Is(err, fault.Unsupported) || !strings.Contains(err.Error(), "example.com, which is not the zone of "+domain) {
		t.Errorf("%v", err)
	}
}

// A public and a private zone of one name: the private one is chosen by its ID, and what
// nobody can see from outside is said.
func TestPrivate(t *testing.T) {
	f := start(t)
	hidden := f.AddZone(route53fake.Zone{Name: zone, Private: true, VPCs: []string{"vpc-1", "vpc-2"}})
	_, err := client(t, f).Read(t.Context(), keys(1))
	if !errors.Is(err, fault.Unsupported) || !strings.Contains(err.Error(), zoneID+" (public)") || !strings.Contains(err.Error(), hidden.ID+" (private)") {
		t.Errorf("%v", err)
	}
	p := client(t, f, func(c *route53.Config) { c.ID = hidden.ID })
	apply(t, p, claim("gen=1", 2)...)
	if len(f.Sets(zoneID)) != 0 || len(f.Sets(hidden.ID)) == 0 {
		t.Error("the wrong zone was written")
	}
	z, err := p.Zone(t.Context())
	if err != nil || !z.Private || len(z.NameServers) != 0 {
		t.Errorf("%+v, %v", z, err)
	}
	if err := z.Unseen(); !errors.Is(err, fault.Unsupported) || !strings.Contains(err.Error(), "vpc-1 in eu-central-1, vpc-2 in eu-central-1") || len(fault.Remedy(err)) != 1 {
		t.Errorf("%v", err)
	}
}

// A change is settled when Route 53 says so; what goes wrong with the question is not
// what goes wrong with the change.
func TestSettled(t *testing.T) {
	f := start(t)
	z := client(t, f)
	f.Pending(4)
	r := apply(t, z, add(marker("gen=1")))
	f.On("GetChange", 1, route53fake.Fault{LoseAnswer: true})
	f.On("GetChange", 2, route53fake.Fault{StatusAfter: 500})
	if err := z.Settled(t.Context(), r); err != nil || f.Calls()["GetChange"] != 5 {
		t.Errorf("%v, %v", err, f.Calls())
	}
	f.Pending(1_000_000)
	r = apply(t, z, replace(marker("gen=1"), marker("gen=2")))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := z.Settled(ctx, r); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, dns.ErrUnreachable) {
		t.Errorf("%v", err)
	}
	if err := z.Settled(t.Context(), "CNOSUCH"); !errors.Is(err, fault.Unsupported) {
		t.Errorf("%v", err)
	}
	if err := z.Settled(t.Context(), ""); err != nil {
		t.Error(err)
	}
}

// Try finds out a right without using it, for names, types and actions.
func TestTry(t *testing.T) {
	f := start(t)
	if err := client(t, f).Try(t.Context(), marker("").Key); err != nil {
		t.Error(err)
	}
	apply(t, client(t, f), claim("gen=1", 1)...)
	before := f.Sets(zoneID)
	bounded := client(t, f, other(f, "AKIDBOUNDED", func(c route53fake.Call) bool {
		return c.Action != change || !slices.ContainsFunc(c.Names, func(n string) bool { return n != "_pleiad."+domain && !strings.HasPrefix(n, "etcd-") }) &&
			!slices.Contains(c.Actions, "UPSERT")
	}))
	for k, allowed := range map[cluster.Key]bool{marker("").Key: true, hostSet(1).Key: true, services(1).Key: false, {Name: "www." + zone + ".", Type: cluster.AAAA}: false} {
		err := bounded.Try(t.Context(), k)
		if (err == nil) != allowed || err != nil && !errors.Is(err, dns.ErrDenied) {
			t.Errorf("%v: %v", k, err)
		}
	}
	if diff := cmp.Diff(before, f.Sets(zoneID)); diff != "" {
		t.Error(diff)
	}
}

// How many calls a cluster costs does not depend on its size: to found it and write its
// list takes six, however many members it has, and to look at it one more a look.
func TestCalls(t *testing.T) {
	for _, members := range []int{3, 5, 9} {
		f := start(t)
		z := client(t, f, func(c *route53.Config) { c.Zone = "" })
		read(t, z, keys(members)...)
		r := apply(t, z, claim("gen=1", members)...)
		if err := z.Settled(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		read(t, z, keys(members)...)
		want := map[string]int{"ListHostedZonesByName": 1, "ListResourceRecordSets": 2, change: 1, "GetChange": 2}
		if diff := cmp.Diff(want, f.Calls()); diff != "" {
			t.Errorf("%d members: %s", members, diff)
		}
		before := f.Total()
		read(t, client(t, f), keys(members)...)
		if look := f.Total() - before; look > 2 {
			t.Errorf("%d members: a look costs %d calls", members, look)
		}
	}
}

// No more calls begin in a second than an account may make.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := route53.Begin(t.Context(), 23)
		for i, at := range begun {
			if i >= 5 && at.Sub(begun[i-5]) < time.Second {
				t.Errorf("call %d began %s after the fifth before it", i, at.Sub(begun[i-5]))
			}
		}
		if took := begun[22].Sub(begun[0]); took != 4*time.Second {
			t.Errorf("23 calls took %s", took)
		}
	})
}
