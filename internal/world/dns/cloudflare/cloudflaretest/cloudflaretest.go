// Package cloudflaretest is Cloudflare's DNS API for tests: a server in this
// process that keeps zones and records, is strict about what it is sent, counts
// calls, and fails on demand. Package cloudflare and end-to-end tests talk to it
// by HTTP.
//
// Start it with [New], then [Fake.AddZone] and [Fake.Allow]. Where it is known
// what the service answers, codes and texts are the service's own; where it is
// not, it refuses. What matters to a client is as documented: IDs are used once;
// a batch is a transaction in the order deletes, patches, puts, posts, and its
// first fault undoes all of it; names are compared without case; a page past the
// end is empty; a zone's name is found exactly or not at all.
//
// Where the variable [Description] names the API's OpenAPI description, every
// request and every answer is held against that, too.
package cloudflaretest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Right is what a token may do with a zone.
type Right int

// The rights, each with those before it.
const (
	ReadZone Right = iota + 1
	ReadRecords
	EditRecords
)

// Zone is one zone.
type Zone struct {
	ID          string
	Name        string
	Status      string // "active" if empty
	Kind        string // "full" if empty
	NameServers []string
	// Quota is how many records it holds, and BatchLimit how many operations a
	// batch may have; those of a Free zone if 0.
	Quota, BatchLimit int
}

// Record is one record as it is stored.
type Record struct {
	ID       string
	Type     string
	Name     string
	Content  string
	Data     *Service
	TTL      int
	Proxied  bool
	Comment  string
	Created  time.Time
	Modified time.Time
}

// Service is the data of an SRV record.
type Service struct {
	Priority uint16 `json:"priority"`
	Weight   uint16 `json:"weight"`
	Port     uint16 `json:"port"`
	Target   string `json:"target"`
}

// Calls are how often each kind of call came, refused ones among them.
type Calls struct{ Zones, Lists, Batches int }

// Total is all of them.
func (c Calls) Total() int { return c.Zones + c.Lists + c.Batches }

// Fake is the server. Its methods are safe for concurrent use.
type Fake struct {
	// URL is the endpoint for a provider.
	URL string
	// PageLimit is the most records in a page, whatever is asked for; 0 for what
	// the service gives. Set it before the first call.
	PageLimit int

	t      testing.TB
	server *httptest.Server
	done   chan struct{} // closed at the end: nobody stalls beyond it
	schema *description  // nil for none

	mu      sync.Mutex
	zones   []*zone
	tokens  map[string]map[string]Right // token -> zone name -> right
	calls   Calls
	serial  int
	now     time.Time
	faults  faults
	history []string // bodies of batches
}

type zone struct {
	Zone
	records []Record
	before  []Record // as they were before the last batch, for stale lists
}

// New starts a fake that ends with the test.
func New(t testing.TB) *Fake {
	t.Helper()
	f := &Fake{t: t, tokens: map[string]map[string]Right{}, done: make(chan struct{}), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	if file := os.Getenv(Description); file != "" {
		var err error
		if f.schema, err = describe(file); err != nil {
			t.Fatal(err)
		}
	}
	f.server = httptest.NewServer(f)
	f.URL = f.server.URL + "/client/v4"
	t.Cleanup(func() {
		close(f.done)
		f.server.Close()
	})
	return f
}

// AddZone adds a zone and fills in what is left out.
func (f *Fake) AddZone(z Zone) Zone {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range []struct {
		field *string
		value string
	}{{&z.ID, f.id("zone")}, {&z.Status, "active"}, {&z.Kind, "full"}} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	if z.NameServers == nil {
		z.NameServers = []string{"bob.ns.cloudflare.com", "lola.ns.cloudflare.com"}
	}
	if z.Quota == 0 {
		z.Quota = 200
	}
	if z.BatchLimit == 0 {
		z.BatchLimit = 200
	}
	f.zones = append(f.zones, &zone{Zone: z})
	return z
}

// ChangeZone changes what is known of a zone, as its owner would.
func (f *Fake) ChangeZone(name string, change func(*Zone)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.zone(name).Zone)
}

// Allow gives a token a right to a zone, by name; Forbid takes all its rights.
func (f *Fake) Allow(token, zone string, right Right) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.tokens[token] == nil {
		f.tokens[token] = map[string]Right{}
	}
	if zone != "" {
		f.tokens[token][zone] = right
	}
}

// Forbid makes a token unknown.
func (f *Fake) Forbid(token string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.tokens, token)
}

// Calls are the calls until now.
func (f *Fake) Calls() Calls {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

// Batches are the bodies of all batches that came, in order.
func (f *Fake) Batches() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.history)
}

// Records are the records of a zone, in the order in which they were made.
func (f *Fake) Records(name string) []Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.zone(name).records)
}

// Put stores a record as somebody else would who uses the dashboard: one with an
// ID that is there is edited in place.
func (f *Fake) Put(name string, r Record) Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.put(f.zone(name), r)
}

func (f *Fake) put(z *zone, r Record) Record {
	r.Name = strings.ToLower(strings.TrimSuffix(r.Name, "."))
	if r.TTL == 0 {
		r.TTL = 1
	}
	f.now = f.now.Add(time.Millisecond)
	r.Modified = f.now
	for i := range z.records {
		if r.ID != "" && z.records[i].ID == r.ID {
			r.Created = z.records[i].Created
			z.records[i] = r
			return r
		}
	}
	r.ID, r.Created = f.id("record"), f.now
	z.records = append(z.records, r)
	return r
}

// Delete deletes a record as somebody else would.
func (f *Fake) Delete(name, id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	z := f.zone(name)
	z.records = slices.DeleteFunc(z.records, func(r Record) bool { return r.ID == id })
}

// zone finds a zone by name; there is one.
func (f *Fake) zone(name string) *zone {
	for _, z := range f.zones {
		if z.Name == name {
			return z
		}
	}
	panic("no zone " + name)
}

// id makes an ID that never was: 32 hexadecimal digits in no order.
func (f *Fake) id(kind string) string {
	f.serial++
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", kind, f.serial))
	return hex.EncodeToString(sum[:16])
}

// shown is a record in an answer.
func (r Record) shown() map[string]any {
	out := map[string]any{
		"id": r.ID, "type": r.Type, "name": r.Name, "content": r.Content, "ttl": r.TTL, "proxied": r.Proxied,
		"proxiable": r.Type == "A" || r.Type == "AAAA" || r.Type == "CNAME", "settings": map[string]any{}, "meta": map[string]any{},
		"tags": []string{}, "created_on": r.Created.Format(time.RFC3339Nano), "modified_on": r.Modified.Format(time.RFC3339Nano),
	}
	if r.Comment != "" {
		out["comment"], out["comment_modified_on"] = r.Comment, out["modified_on"]
	}
	if r.Data != nil {
		out["data"], out["priority"] = r.Data, r.Data.Priority
		out["content"] = fmt.Sprintf("%d %d %s", r.Data.Weight, r.Data.Port, r.Data.Target)
	}
	return out
}

func (z Zone) shown(right Right) map[string]any {
	permissions := []string{"#zone:read"}
	if right >= ReadRecords {
		permissions = append(permissions, "#dns_records:read")
	}
	if right >= EditRecords {
		permissions = append(permissions, "#dns_records:edit")
	}
	return map[string]any{"id": z.ID, "name": z.Name, "status": z.Status, "type": z.Kind, "paused": false,
		"name_servers": z.NameServers, "permissions": permissions}
}

// same says whether two records would be one in DNS.
func (r Record) same(o Record) bool {
	x, _ := json.Marshal([]any{r.Type, r.Name, r.Content, r.Data})
	y, _ := json.Marshal([]any{o.Type, o.Name, o.Content, o.Data})
	return string(x) == string(y)
}
