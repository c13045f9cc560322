// Package ec2fake is EC2's query API for tests: an [http.Handler] that keeps
// instances and volumes, is strict about what it is sent, counts calls, and
// fails on demand. The provider's own tests serve it with httptest; end-to-end
// tests serve it on a listener and boot real machines through [Machines].
//
// Start with [New] and an [Account]. The server is written from EC2's API
// reference and from the serializers of the AWS SDK, and where EC2 is lenient or
// slow it takes the hardest reading that the documents allow:
//
//   - every request must carry a signature that the account's key gives;
//   - a parameter that no action reads is an error, so that a typo is seen;
//   - a client token gives the instances that it gave before, also when they are
//     terminated, and another request with it is refused;
//   - a new instance may be unseen for a while ([Lag]): by its ID it does not
//     exist then, and it is in no list;
//   - a pending instance does not show its public address;
//   - instances are listed in the order of their IDs, which tells nothing;
//   - an address is given again as soon as it is free;
//   - a call may have taken effect although its answer was lost.
//
// Parameters that EC2 has and no test needed are unknown here.
package ec2fake

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Account is what exists before the first call.
type Account struct {
	AccessKey, SecretKey string
	SessionToken         string // of temporary credentials
	Region               string

	Subnets        []Subnet
	Images         []string
	KeyPairs       []string
	SecurityGroups []string
	Profiles       []string // names of instance profiles
	Types          []string // of instances; each has two vCPUs
}

// Subnet is one subnet of the account.
type Subnet struct {
	ID, Zone, ZoneID, VPC string
	// Prefix is where its instances get their addresses, except the first four and the last.
	Prefix netip.Prefix
	// Public gives instances a public address, too, unless they ask for none.
	Public bool
}

// Server is the API. Its methods are safe for concurrent use.
type Server struct {
	// Machines, if set, is told what instances do. Set it before the first call.
	Machines Machines
	// PageLimit is the most items in a page of instances or volumes, whatever is
	// asked for; 0 for what EC2 gives. Set it before the first call.
	PageLimit int

	account Account

	mu        sync.Mutex
	serial    int
	published int // public addresses that were given
	instances map[string]*instance
	volumes   map[string]*Volume
	launches  map[string]launched // by client token
	calls     map[string]int
	faults    faults
}

// launched is what a client token stands for.
type launched struct {
	request   string
	instances []*instance
}

// New gives a server for an account.
func New(a Account) *Server {
	return &Server{account: a, instances: map[string]*instance{}, volumes: map[string]*Volume{}, launches: map[string]launched{},
		calls: map[string]int{}, faults: none()}
}

// Calls are how often each action was called by somebody with the right key,
// calls that were refused among them. Dry runs have names of their own:
// "RunInstances (dry run)".
func (s *Server) Calls() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}

// Instances are all instances as they are, seen or not, in the order of their
// IDs. Terminated ones are among them until they are forgotten.
func (s *Server) Instances() []Instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Instance
	for _, i := range s.sorted() {
		out = append(out, i.snapshot())
	}
	return out
}

// Volumes are all volumes in the order of their IDs.
func (s *Server) Volumes() []Volume {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Volume
	for _, v := range s.volumes {
		out = append(out, v.snapshot())
	}
	slices.SortFunc(out, func(a, b Volume) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// sorted are the instances that are not forgotten, in the order of their IDs.
func (s *Server) sorted() []*instance {
	var out []*instance
	for _, i := range s.instances {
		if !i.forgotten {
			out = append(out, i)
		}
	}
	slices.SortFunc(out, func(a, b *instance) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// id makes an ID that never was: 17 hexadecimal digits in no order.
func (s *Server) id(prefix string) string {
	s.serial++
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", prefix, s.serial))
	return prefix + "-0" + hex.EncodeToString(sum[:8])
}

// stamp is a time as answers show it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
