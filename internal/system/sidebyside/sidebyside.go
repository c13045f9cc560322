// Package sidebyside asks the name servers of resolv.conf(5) side by side: the next one
// is asked beside one that does not answer soon. It stands below whatever looks up
// names, in a member and on the control machine, as what a net.Resolver dials with.
//
// What it promises: a name server that is mute costs a lookup [hedge], not the five
// seconds for which the resolver of the system, and Go's, wait for it at each lookup
// anew. The configuration of the system stays as it is, and so do files, search list
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

// systemServers are the name servers of the system, host:port, read anew each
// time: DHCP may change them.
func systemServers() []string {
	out := slices.Clone(resolvconf.Read("/etc/resolv.conf").Servers)
	for i, server := range out {
		out[i] = net.JoinHostPort(server, "53")
	}
	return out
}

// Servers are name servers that know the same. Its methods are safe for concurrent use.
type Servers struct {
	list   func() []string
	silent silence
}

// System are the name servers of the operating system.
func System() *Servers { return &Servers{list: systemServers} }

// These are the name servers given, host:port.
func These(servers ...string) *Servers { return &Servers{list: func() []string { return servers }} }

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

// silence is which name servers have not answered when they were asked last.
type silence struct {
	mu   sync.Mutex
	last map[string]bool
}

func (s *silence) note(server string, silent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		s.last = map[string]bool{}
	}
	s.last[server] = silent
}

func (s *silence) servers() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for server, silent := range s.last {
		if host, port, err := net.SplitHostPort(server); err == nil && port == "53" {
			server = host
		}
		if silent {
			out = append(out, server)
		}
	}
	slices.Sort(out)
	return out
}

// said is what one name server answered.
type said struct {
	server  string
	message []byte
	err     error
}

// final says whether nobody else need be asked: there are such records, or no
// such name. Any other answer is about the server.
func (s said) final() bool {
	if s.err != nil {
		return false
	}
	code := s.message[3] & 0x0f // RFC 1035, section 4.1.1
	return code == 0 || code == 3
}

// askAll asks name servers, each a little later than the one before it, or as soon
// as that one has failed, and returns the first answer that is final; without
// one, the last that came. It leaves nothing behind.
func (s *Servers) askAll(ctx context.Context, network string, servers []string, query []byte) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	answers := make(chan said, len(servers))
	open := map[string]bool{}
	next := func() {
		if len(servers) == 0 {
			return
		}
		server := servers[0]
		servers, open[server] = servers[1:], true
		asking.Go(func() {
			message, err := Exchange(ctx, network, server, query)
			answers <- said{server, message, err}
		})
	}
	next()
	timer := time.NewTicker(hedge)
	defer timer.Stop()
	var last said
	for len(open) > 0 {
		select {
		case <-timer.C:
			next()
		case last = <-answers:
			delete(open, last.server)
			s.silent.note(last.server, silentError(last.err))
			if last.final() {
				for server := range open {
					s.silent.note(server, true)
				}
				return last.message, nil
			}
			next()
		}
	}
	return last.message, last.err
}

// silentError says of an error of an exchange that nothing came, not even a
// refusal.
func silentError(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}
