package cloudflare_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/cloudflare"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/cloudflare/cloudflaretest"
)

func spec() cluster.Spec { return cluster.Spec{Cluster: "c1", Domain: domain, TLS: true} }

func marker(text string) cluster.RecordSet {
	return cluster.NewRecordSet(spec().MarkerName(), cluster.TXT, text)
}

func label(i int) string { return fmt.Sprintf("etcd-aaaaaa%02d", i) }

func hostSet(i int) cluster.RecordSet {
	return cluster.NewRecordSet(label(i)+"."+domain+".", cluster.A, fmt.Sprintf("10.5.1.%d", i))
}

func services(members int) cluster.RecordSet {
	var values []string
	for i := range members {
		values = append(values, cluster.Service{Target: label(i+1) + "." + domain + ".", Port: 2380}.Value())
	}
	return cluster.NewRecordSet(spec().ServerService(), cluster.SRV, values...)
}

func add(set cluster.RecordSet) cluster.Change { return cluster.Change{Key: set.Key, New: &set} }
func replace(old, next cluster.RecordSet) cluster.Change {
	return cluster.Change{Key: old.Key, Old: &old, New: &next}
}

// claim are the changes that make a cluster of some members.
func claim(text string, members int) []cluster.Change {
	changes := []cluster.Change{add(marker(text)), add(services(members))}
	for i := range members {
		changes = append(changes, add(hostSet(i+1)))
	}
	return changes
}

func keys(members int) []cluster.Key {
	var out []cluster.Key
	for _, c := range claim("", members) {
		out = append(out, c.Key)
	}
	return out
}

func apply(t *testing.T, z dns.Zone, changes ...cluster.Change) {
	t.Helper()
	if _, err := z.Apply(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, z dns.Zone, keys ...cluster.Key) cluster.Records {
	t.Helper()
	got, err := z.Read(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// values are a zone's records, for comparing.
func values(f *cloudflaretest.Fake) (out []string) {
	for _, r := range f.Records(zone) {
		target := ""
		if r.Data != nil {
			target = fmt.Sprint(*r.Data)
		}
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s%s", r.Name, r.Type, r.Content, target)))
	}
	slices.Sort(out)
	return out
}

// A cluster of any size takes as many calls: the zone, the list, the batch, and
// the list that says whose claim was first.
func TestCallsDoNotGrow(t *testing.T) {
	for _, members := range []int{3, 5, 9} {
		f := start(t)
		z := dns.Guard(spec(), client(t, f))
		read(t, z, keys(members)...)
		if got := f.Calls(); got != (cloudflaretest.Calls{Zones: 1, Lists: 1}) {
			t.Errorf("%d members, to look: %+v", members, got)
		}
		apply(t, z, claim("gen=1", members)...)
		if got := f.Calls(); got != (cloudflaretest.Calls{Zones: 1, Lists: 2, Batches: 1}) {
			t.Errorf("%d members, founded: %+v", members, got)
		}
		if got := len(f.Records(zone)); got != 1+2*members {
			t.Errorf("%d members make %d records", members, got)
		}
		read(t, z, keys(members)...)
		apply(t, z, replace(marker("gen=1"), marker("gen=2")))
		if got := f.Calls(); got != (cloudflaretest.Calls{Zones: 1, Lists: 3, Batches: 2}) {
			t.Errorf("%d members, changed once: %+v", members, got)
		}
	}
}

// What goes over the wire for a change of each kind: addresses before services
// before the marker, nothing for what stays, no record twice.
func TestBatch(t *testing.T) {
	f := start(t)
	z := client(t, f)
	apply(t, z, claim("gen=1", 2)...)
	ids := map[string]string{}
	for _, r := range f.Records(zone) {
		ids[r.ID] = strings.TrimSpace(r.Name + " " + r.Type)
	}
	next := services(3)
	apply(t, z, replace(marker("gen=1"), marker("gen=2")), replace(services(2), next), add(hostSet(3)),
		cluster.Change{Key: hostSet(1).Key, Old: ptr(hostSet(1))}, replace(hostSet(2), hostSet(2)))
	var got []string
	for _, b := range f.Batches() {
		for id, name := range ids {
			b = strings.ReplaceAll(b, id, name)
		}
		got = append(got, strings.NewReplacer(`,{`, ",\n{", `],`, "],\n").Replace(b))
	}
	want := []string{`{"posts":[{"type":"A","name":"etcd-aaaaaa01.c1.twindb.com","content":"10.5.1.1","ttl":60,"proxied":false,"comment":"etcd cluster c1"},
{"type":"A","name":"etcd-aaaaaa02.c1.twindb.com","content":"10.5.1.2","ttl":60,"proxied":false,"comment":"etcd cluster c1"},
{"type":"SRV","name":"_etcd-server-ssl._tcp.c1.twindb.com","data":{"priority":0,"weight":0,"port":2380,"target":"etcd-aaaaaa01.c1.twindb.com"},"ttl":60,"proxied":false,"comment":"etcd cluster c1"},
{"type":"SRV","name":"_etcd-server-ssl._tcp.c1.twindb.com","data":{"priority":0,"weight":0,"port":2380,"target":"etcd-aaaaaa02.c1.twindb.com"},"ttl":60,"proxied":false,"comment":"etcd cluster c1"},
{"type":"TXT","name":"_pleiad.c1.twindb.com","content":"\"gen=1\"","ttl":60,"proxied":false,"comment":"etcd cluster c1"}]}`,
		`{"deletes":[{"id":"_pleiad.c1.twindb.com TXT"},
{"id":"etcd-aaaaaa01.c1.twindb.com A"}],
"posts":[{"type":"A","name":"etcd-aaaaaa03.c1.twindb.com","content":"10.5.1.3","ttl":60,"proxied":false,"comment":"etcd cluster c1"},
{"type":"SRV","name":"_etcd-server-ssl._tcp.c1.twindb.com","data":{"priority":0,"weight":0,"port":2380,"target":"etcd-aaaaaa03.c1.twindb.com"},"ttl":60,"proxied":false,"comment":"etcd cluster c1"},
{"type":"TXT","name":"_pleiad.c1.twindb.com","content":"\"gen=2\"","ttl":60,"proxied":false,"comment":"etcd cluster c1"}]}`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func ptr[T any](v T) *T { return &v }

// Whichever operation fails, nothing is done.
func TestEveryOperationUndoesAll(t *testing.T) {
	f := start(t)
	z := client(t, f)
	apply(t, z, claim("gen=1", 3)...)
	f.Put(zone, cloudflaretest.Record{ID: f.Records(zone)[0].ID, Type: "A", Name: f.Records(zone)[0].Name, Content: f.Records(zone)[0].Content, TTL: 3600})
	before := values(f)
	changes := []cluster.Change{replace(marker("gen=1"), marker("gen=2")), replace(services(3), services(2)), replace(hostSet(1), hostSet(1)),
		replace(hostSet(3), cluster.RecordSet{Key: hostSet(3).Key, TTL: 60, Values: []string{"10.5.1.33"}})}
	const operations = 5 // delete marker, service, address; post address, marker
	for n := 1; n <= operations; n++ {
		f.FailOperation(n)
		if _, err := z.Apply(t.Context(), changes); !errors.Is(err, dns.ErrDenied) {
			t.Errorf("operation %d: %v", n, err)
		}
		if diff := cmp.Diff(before, values(f)); diff != "" {
			t.Errorf("operation %d: %s", n, diff)
		}
	}
	apply(t, z, changes...)
}

// A batch is sent once, whatever becomes of its answer.
func TestUnknownOutcome(t *testing.T) {
	for _, status := range []int{500, 502, 503, 504, 520, 408} {
		f := start(t)
		z := client(t, f)
		apply(t, z, add(marker("gen=1")))
		before := f.Calls().Batches
		f.FailAfter(status)
		_, err := z.Apply(t.Context(), []cluster.Change{replace(marker("gen=1"), marker("gen=2"))})
		if !errors.Is(err, dns.ErrUnknownOutcome) || fault.Lasting(err) || len(fault.Remedy(err)) == 0 {
			t.Errorf("%d: %v", status, err)
		}
		if sent := f.Calls().Batches - before; sent != 1 {
			t.Errorf("%d: sent %d times", status, sent)
		}
		if got := read(t, z, marker("").Key); len(got.Sets) != 1 || got.Sets[0].Values[0] != "gen=2" {
			t.Errorf("%d: then %v", status, got)
		}
	}
}

// Cloudflare asks for pauses, and gets them: until one is over nothing is sent.
func TestLimited(t *testing.T) {
	set := marker("gen=1")
	for asked, want := range map[time.Duration]time.Duration{7 * time.Second: 7 * time.Second, 0: 5 * time.Minute, 24 * time.Hour: time.Hour} {
		for what, call := range map[string]func(dns.Zone) error{
			"read":  func(z dns.Zone) error { _, err := z.Read(t.Context(), []cluster.Key{set.Key}); return err },
			"apply": func(z dns.Zone) error { _, err := z.Apply(t.Context(), []cluster.Change{add(set)}); return err },
		} {
			f := start(t)
			z := client(t, f)
			f.Limit(asked)
			for range 3 {
				err := call(z)
				if after := fault.RetryAfter(err); after > want || after < want-5*time.Second || fault.Lasting(err) || errors.Is(err, dns.ErrUnknownOutcome) {
					t.Errorf("%s, asked for %s: %v, again in %s", what, asked, err, after)
				}
			}
			if got := f.Calls().Total(); got != 1 {
				t.Errorf("%s, asked for %s: %d calls", what, asked, got)
			}
			if got := values(f); got != nil {
				t.Errorf("there is %q", got)
			}
		}
	}
}

// When a pause is over it goes on.
func TestLimitEnds(t *testing.T) {
	f := start(t)
	z := client(t, f)
	f.Limit(time.Second)
	_, err := z.Read(t.Context(), []cluster.Key{marker("").Key})
	for fault.RetryAfter(err) > 0 {
		select {
		case <-t.Context().Done():
		case <-time.After(fault.RetryAfter(err)):
		}
		_, err = z.Read(t.Context(), []cluster.Key{marker("").Key})
	}
	if err != nil {
		t.Error(err)
	}
}

// After a claim was sent, it is not known whose is older.
func TestLimitedAfterAClaim(t *testing.T) {
	f := start(t)
	z := client(t, f)
	f.AfterBatch(func() { f.LimitNextList(9 * time.Second) })
	_, err := z.Apply(t.Context(), []cluster.Change{add(marker("gen=1"))})
	if after := fault.RetryAfter(err); !errors.Is(err, dns.ErrUnknownOutcome) || errors.Is(err, dns.ErrUnreachable) || after != 9*time.Second {
		t.Errorf("a claim that cannot be judged: %v, again in %s", err, after)
	}
}

// Of two pages a record can be missing that was there all the time. Readings
// that differ are not believed.
func TestPages(t *testing.T) {
	f := cloudflaretest.New(t)
	f.PageLimit = 4
	f.AddZone(cloudflaretest.Zone{Name: zone, Quota: 1000})
	f.Allow(secret, zone, cloudflaretest.EditRecords)
	z := client(t, f)
	apply(t, z, claim("gen=1", 9)...)
	for i := range 30 { // not ours, though some end like it
		f.Put(zone, cloudflaretest.Record{Type: "A", Name: fmt.Sprintf("etcd-aaaaaa%02d.xc1.twindb.com", i), Content: "192.0.2.1"})
	}
	want := cluster.Records{}.With(claim("gen=1", 9))
	if diff := cmp.Diff(want, read(t, z, keys(9)...)); diff != "" {
		t.Error(diff)
	}
	apply(t, z, replace(marker("gen=1"), marker("gen=2")))
}

// The whole zone is read where a key is not below the domain.
func TestKeysElsewhereInTheZone(t *testing.T) {
	f := start(t)
	z := client(t, f)
	f.Put(zone, cloudflaretest.Record{Type: "A", Name: "www." + zone, Content: "192.0.2.80", TTL: 60})
	www := cluster.NewRecordSet("www."+zone+".", cluster.A, "192.0.2.80")
	if got := read(t, z, www.Key, marker("").Key); len(got.Sets) != 1 || !got.Sets[0].Equal(www) {
		t.Errorf("%v", got)
	}
	outside := cluster.Key{Name: "www.example.com.", Type: cluster.A}
	if _, err := z.Read(t.Context(), []cluster.Key{outside}); err == nil || !strings.Contains(err.Error(), "not in the zone") {
		t.Errorf("%v", err)
	}
}

// What an answer is not, is not believed.
func TestOddAnswers(t *testing.T) {
	record := `{"id":"%s","type":"A","name":"a.c1.twindb.com","content":"192.0.2.1","ttl":60}`
	for name, body := range map[string]string{
		"nothing":          ``,
		"a page":           `<html>Welcome to the hotel</html>`,
		"no result":        `{"success":true}`,
		"null":             `{"success":true,"result":null}`,
		"another result":   `{"success":true,"result":{"id":"x"}}`,
		"no success":       `{"success":false,"errors":null,"result":[]}`,
		"no ID":            `{"success":true,"result":[` + fmt.Sprintf(record, "") + `]}`,
		"an ID that leads": `{"success":true,"result":[` + fmt.Sprintf(record, "../x?") + `]}`,
		"a TTL below 0":    `{"success":true,"result":[{"id":"x","type":"A","name":"a.c1.twindb.com","ttl":-1}]}`,
		"two values":       `{"success":true,"result":[]}{}`,
		"far too much":     `{"success":true,"result":["` + strings.Repeat("x", 40<<20) + `"]}`,
	} {
		f := start(t)
		z := client(t, f)
		read(t, z, marker("").Key)
		f.Answer([]byte(body + "\n"))
		if got, err := z.Read(t.Context(), []cluster.Key{marker("").Key}); err == nil || len(got.Sets) > 0 || len(err.Error()) > 1000 {
			t.Errorf("%s: %v, %.1000v", name, got, err)
		}
	}
	for name, body := range map[string]string{"nothing": ``, "no posts": `{"success":true,"result":{}}`, "no IDs": `{"success":true,"result":{"posts":[{}]}}`} {
		f := start(t)
		z := client(t, f)
		read(t, z, marker("").Key)
		f.Answer([]byte(body + "\n"))
		if _, err := z.Apply(t.Context(), []cluster.Change{add(marker("gen=1"))}); !errors.Is(err, dns.ErrUnknownOutcome) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A token is sent to nobody whom the spec does not name, and to nobody in clear.
func TestEndpoints(t *testing.T) {
	for endpoint, fine := range map[string]bool{
		"": true, "https://api.example.com/client/v4": true, "https://api.example.com/client/v4/": true,
		"http://127.0.0.1:8080/client/v4": true, "http://[::1]:8080": true,
		"http://api.example.com": false, "http://localhost": false, "http://10.0.0.1": false, "ftp://127.0.0.1": false,
		"127.0.0.1:80": false, "https://": false, "https://user:password@api.example.com": false, "https://api.example.com/?a=b": false, "http://127.0.0.1.example.com": false,
	} {
		_, err := cloudflare.New(cloudflare.Config{Domain: domain, Token: token(t, secret), Endpoint: endpoint})
		if (err == nil) != fine || err != nil && strings.Contains(err.Error(), "password") {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
	f := start(t)
	asked := 0
	z := client(t, f, func(c *cloudflare.Config) {
		c.Transport = transport(func(r *http.Request) (*http.Response, error) {
			asked++
			return &http.Response{StatusCode: http.StatusFound, Header: http.Header{"Location": {f.URL + "/zones"}}, Body: http.NoBody, Request: r}, nil
		})
	})
	if _, err := z.Read(t.Context(), []cluster.Key{marker("").Key}); err == nil || asked != 1 {
		t.Errorf("a redirection: %v, after %d calls", err, asked)
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
