// Package sidebyside asks the name servers of resolv.conf(5) side by side: the next one
// is asked beside one that does not answer soon. It stands below whatever looks up
// names, in a member and on the control machine, as what a net.Resolver dials with.
//
// What it promises: a name server that is mute costs a lookup [hedge], and [grace] once
// if there are no such records, not the five seconds for which the resolver of the
// system, and Go's, wait for it at each lookup anew. That there is nothing is believed
// of the first server that answers at all, in the order of resolv.conf. The configuration of the system stays as it is, and so do files, search list
// and order, which Go reads before it dials. Nothing is left behind.
package sidebyside

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/system/resolvconf"
)

// hedge is how long a name server may take until the next one of resolv.conf is
// asked beside it. The resolver of the system, and Go's, wait for the first one
// to the end of resolv.conf's timeout (5 s), at each lookup anew.
const hedge = 250 * time.Millisecond

// grace is how long a name server may take until one behind it is believed that there
// are no such records. The first one may be slow and the only one that knows a private
// zone; the resolver of the system would wait for it.
const grace = time.Second

// systemServers are the name servers of the system, host:port, read anew each
// time: DHCP may change them.
func systemServers() []string {
	out := slices.Clone(resolvconf.Read("/etc/resolv.conf").Servers)
	for i, server := range out {
		out[i] = net.JoinHostPort(server, "53")
	}
	return out
}

// Servers are name servers in the order of a resolv.conf. Its methods are safe for concurrent use.
type Servers struct {
	list     func() []string
	exchange func(ctx context.Context, network, server string, query []byte) ([]byte, error)
	silent   silence
}

// System are the name servers of the operating system.
func System() *Servers { return &Servers{list: systemServers, exchange: Exchange} }

// These are the name servers given, host:port.
func These(servers ...string) *Servers {
	return &Servers{list: func() []string { return servers }, exchange: Exchange}
}

// Silent are the servers that did not answer when they were asked last, sorted, as
// resolv.conf has them.
func (s *Servers) Silent() []string { return s.silent.servers() }

// Ask is an [Answer]: of the servers, from the one on that Go has chosen.
func (s *Servers) Ask(ctx context.Context, network, chosen string, query []byte) ([]byte, error) {
	return s.askAll(ctx, network, s.order(chosen), query)
}

// order are the servers from the one on that Go has chosen, which tries and rotates
// them as resolv.conf says. One that does not stand there any more is not asked.
func (s *Servers) order(chosen string) []string {
	servers := s.list()
	if len(servers) == 0 {
		return []string{chosen} // Go has its own if there is no resolv.conf
	}
	if i := slices.Index(servers, chosen); i > 0 {
		return slices.Concat(servers[i:], servers[:i])
	}
	return servers
}

// silence is for how long name servers were asked and said nothing, at the longest since
// they last answered; 0 for one that did.
type silence struct {
	mu   sync.Mutex
	last map[string]time.Duration
}

func (s *silence) note(server string, silent time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		s.last = map[string]time.Duration{}
	}
	if silent > 0 {
		silent = max(silent, s.last[server]) // a shorter question says no more
	}
	s.last[server] = silent
}

// of is how long one was silent.
func (s *silence) of(server string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last[server]
}

func (s *silence) servers() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for server, silent := range s.last {
		if host, port, err := net.SplitHostPort(server); err == nil && port == "53" {
			server = host
		}
		if silent > 0 {
			out = append(out, server)
		}
	}
	slices.Sort(out)
	return out
}
