// Package route53fake is Amazon's Route 53 API for tests: a server in this process that
// keeps hosted zones and record sets, is strict about what it is sent, counts calls, and
// fails on demand. Package route53 and end-to-end tests talk to it by HTTP.
//
// Start it with [New], then [Fake.AddZone] and [Fake.Allow]. It was written from the API's
// reference; where that leaves open what the service answers, it refuses. What matters
// to a client is as documented: a batch is carried out whole or not at all; DELETE names
// the TTL and all values exactly; CREATE fails if there is such a set; a change is
// PENDING at first, and INSYNC later; lists are in the order of the labels from the
// right, go on with whatever follows what was asked for, and show every change that was
// accepted; unusual characters in names are octal codes. Signatures are checked.
package route53fake

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Zone is a hosted zone.
type Zone struct {
	ID          string // made up if empty
	Name        string
	Private     bool
	VPCs        []string // of a private zone; one is made up if there is none
	NameServers []string // of a public zone
}

// Set is a record set as it is stored.
type Set struct {
	Name   string
	Type   string
	TTL    int64
	Values []string
	// Alias, Identifier and HealthCheck make it one that pleiad does not write.
	Alias       string
	Identifier  string
	HealthCheck string
}

// Call is what somebody asks for, for [Fake.Allow].
type Call struct {
	Action string // such as "ListResourceRecordSets"
	Zone   string // its ID; empty where the action is about none
	// Names, Types and Actions are those of a ChangeResourceRecordSets, as the
	// condition keys of IAM have them: names in lower case without trailing dot.
	Names, Types, Actions []string
}

// Fake is the server. Its methods are safe for concurrent use.
type Fake struct {
	// URL is the endpoint for a provider.
	URL string
	// PageLimit is the most items in a page, whatever is asked for; 0 for what the
	// service gives. OldForm makes refused batches be answered in the form that the
	// service had first. Set them before the first call.
	PageLimit int
	OldForm   bool

	server *httptest.Server
	done   chan struct{} // closed at the end: nobody stalls beyond it

	mu      sync.Mutex
	zones   []*zone
	users   map[string]user // by access key
	calls   map[string]int  // by action
	changes map[string]int  // how often each will still be PENDING
	pending int
	serial  int
	faults  faults
	batches []string // bodies that came
}

type zone struct {
	Zone
	sets []Set
}

// user is the holder of a key, and what they may do; nil for everything.
type user struct {
	key aws.Credentials
	may func(Call) bool
}

// New starts a fake that ends with the test.
func New(t testing.TB) *Fake {
	t.Helper()
	f := &Fake{users: map[string]user{}, calls: map[string]int{}, changes: map[string]int{}, pending: 1, done: make(chan struct{})}
	f.server = httptest.NewServer(http.HandlerFunc(f.serve))
	f.URL = f.server.URL
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
	z.Name = plain(z.Name)
	if z.ID == "" {
		z.ID = f.id("Z")
	}
	if z.Private && z.VPCs == nil {
		z.VPCs = []string{"vpc-0123456789abcdef0"}
	}
	if !z.Private && z.NameServers == nil {
		z.NameServers = []string{"ns-1.awsdns-01.com", "ns-2.awsdns-02.net", "ns-3.awsdns-03.org", "ns-4.awsdns-04.co.uk"}
	}
	f.zones = append(f.zones, &zone{Zone: z})
	return z
}

// RemoveZone removes a zone with all in it.
func (f *Fake) RemoveZone(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.zones = slices.DeleteFunc(f.zones, func(z *zone) bool { return z.ID == id })
}

// Allow makes a key known; may says what it may do, nil for everything.
func (f *Fake) Allow(key aws.Credentials, may func(Call) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.users[key.AccessKeyID] = user{key, may}
}

// AllowKey makes a key known that may do everything.
func (f *Fake) AllowKey(accessKey, secret string) {
	f.Allow(aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secret}, nil)
}

// Forbid makes a key unknown.
func (f *Fake) Forbid(accessKey string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.users, accessKey)
}

// Calls are how often each action was called until now, refused ones among them.
func (f *Fake) Calls() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.calls)
}

// Total is how many calls there were in all.
func (f *Fake) Total() (n int) {
	for _, calls := range f.Calls() {
		n += calls
	}
	return n
}

// Batches are the bodies of all ChangeResourceRecordSets that came, in order.
func (f *Fake) Batches() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.batches)
}

// Pending is for how many questions the changes to come are PENDING; 1 by default.
func (f *Fake) Pending(questions int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending = questions
}

// Sets are the record sets of a zone, in the order in which they are listed.
func (f *Fake) Sets(id string) []Set {
	f.mu.Lock()
	defer f.mu.Unlock()
	return sorted(f.zone(id).sets)
}

// Put stores a record set as somebody else would who uses the console: one of the same
// name, type and identifier is replaced.
func (f *Fake) Put(id string, s Set) {
	f.mu.Lock()
	defer f.mu.Unlock()
	z := f.zone(id)
	s.Name = spelt(s.Name)
	z.sets = slices.DeleteFunc(z.sets, s.same)
	z.sets = append(z.sets, s)
}

// Delete deletes record sets as somebody else would.
func (f *Fake) Delete(id, name, kind string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	z := f.zone(id)
	z.sets = slices.DeleteFunc(z.sets, func(s Set) bool { return s.Name == spelt(name) && s.Type == kind })
}

// zone finds a zone by its ID; nil if there is none.
func (f *Fake) zone(id string) *zone {
	for _, z := range f.zones {
		if z.ID == id {
			return z
		}
	}
	return nil
}

// id makes an ID that never was.
func (f *Fake) id(kind string) string {
	f.serial++
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", kind, f.serial))
	return kind + strings.ToUpper(fmt.Sprintf("%x", sum[:10]))
}

// same says whether two sets are at one place.
func (s Set) same(o Set) bool {
	return s.Name == o.Name && s.Type == o.Type && s.Identifier == o.Identifier
}

// equal says whether two sets are the same in everything.
func (s Set) equal(o Set) bool {
	return s.same(o) && s.TTL == o.TTL && s.Alias == o.Alias && s.HealthCheck == o.HealthCheck &&
		slices.Equal(slices.Sorted(slices.Values(s.Values)), slices.Sorted(slices.Values(o.Values)))
}

// plain is a name in lower case without trailing dot.
func plain(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// spelt is a name as the service shows it: lower case, with trailing dot, unusual
// characters as octal codes.
func spelt(name string) string {
	var b strings.Builder
	for _, c := range []byte(plain(name)) {
		if strings.IndexByte("abcdefghijklmnopqrstuvwxyz0123456789-_.\\", c) < 0 {
			fmt.Fprintf(&b, `\%03o`, c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String() + "."
}

// order is what names are sorted by: the labels from the right, a dot behind each.
func order(name string) string {
	labels := strings.Split(plain(name), ".")
	slices.Reverse(labels)
	return strings.Join(labels, ".") + "."
}

// place is where a set stands in a list.
func (s Set) place() string { return order(s.Name) + "\x00" + s.Type + "\x00" + s.Identifier }

func sorted(sets []Set) []Set {
	return slices.SortedFunc(slices.Values(sets), func(a, b Set) int { return strings.Compare(a.place(), b.place()) })
}
