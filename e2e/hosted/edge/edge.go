// Package edge is what the name servers of a DNS provider are to its API: it answers
// DNS queries with the records that a fake of that API holds. End-to-end tests make it
// the name server of a zone, so that members and clients find by DNS what pleiad
// wrote by HTTP.
//
// [Edge.Serve] answers as the one server of the zone, ns1.ZONE, and as a resolver
// that knows the zone by heart: the answers of both would be the same.
package edge

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	wire "github.com/miekg/dns"
)

// Edge is the name server of one zone.
type Edge struct {
	// Records are those of the zone just then, each as a line of a zone file.
	Records func() []string
	// Zone has no trailing dot.
	Zone string
	// At is the address that the zone gives its name server.
	At netip.Addr
	// Delay is how long a change is held back, from the first query after it.
	Delay time.Duration

	mu      sync.Mutex
	served  []string
	waiting []version // oldest first
}

// version is what a zone holds since it was noticed.
type version struct {
	records []string
	noticed time.Time
}

// Server is the name a zone gives its name server.
func Server(zone string) string { return "ns1." + zone }

// Serve answers on a listener and a packet connection until it is stopped, which
// closes both.
func (e *Edge) Serve(l net.Listener, p net.PacketConn) (stop func() error) {
	e.served = e.Records()
	handler := wire.HandlerFunc(func(w wire.ResponseWriter, q *wire.Msg) {
		_ = w.WriteMsg(e.Answer(q)) // a client without an answer asks again
	})
	var all []*wire.Server
	ended := make(chan error, 2)
	for _, s := range []*wire.Server{{Listener: l, Handler: handler}, {PacketConn: p, Handler: handler}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { ended <- s.ActivateAndServe() }()
		<-started
		all = append(all, s)
	}
	return func() (err error) {
		for _, s := range all {
			err = errors.Join(err, s.Shutdown())
		}
		for range all {
			err = errors.Join(err, <-ended)
		}
		return err
	}
}

// Answer is the answer to a query.
func (e *Edge) Answer(q *wire.Msg) *wire.Msg {
	m := new(wire.Msg).SetReply(q)
	m.Authoritative, m.RecursionAvailable = true, true
	asked := q.Question[0]
	soa := fmt.Sprintf("%s. 60 IN SOA %s. hostmaster.%[1]s. 1 3600 600 86400 1", e.Zone, Server(e.Zone))
	exists := false
	for _, line := range append(e.lines(), soa) {
		record, err := wire.NewRR(line)
		if err != nil {
			m.Rcode = wire.RcodeServerFailure
			return m
		}
		if strings.EqualFold(record.Header().Name, asked.Name) {
			exists = true
			if record.Header().Rrtype == asked.Qtype {
				m.Answer = append(m.Answer, record)
			}
		}
	}
	if len(m.Answer) == 0 {
		if record, err := wire.NewRR(soa); err == nil {
			m.Ns = append(m.Ns, record)
		}
	}
	if !exists {
		m.Rcode = wire.RcodeNameError
	}
	return m
}

// lines are the records that are shown now, as a zone file has them.
func (e *Edge) lines() []string {
	lines := []string{fmt.Sprintf("%s. 60 IN NS %s.", e.Zone, Server(e.Zone)), fmt.Sprintf("%s. 60 IN A %s", Server(e.Zone), e.At)}
	return append(lines, e.shown(time.Now())...)
}

// shown are the records that are not held back any longer.
func (e *Edge) shown(now time.Time) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	newest := e.served
	if n := len(e.waiting); n > 0 {
		newest = e.waiting[n-1].records
	}
	if is := e.Records(); !slices.Equal(is, newest) {
		e.waiting = append(e.waiting, version{is, now})
	}
	for len(e.waiting) > 0 && now.Sub(e.waiting[0].noticed) >= e.Delay {
		e.served, e.waiting = e.waiting[0].records, e.waiting[1:]
	}
	return e.served
}
