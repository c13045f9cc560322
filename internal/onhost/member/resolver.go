package member

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/pleiad-etcd/pleiad/internal/system/sidebyside"
)

// resolver answers Go's own DNS client inside the process: pinned names from
// memory, everything else from a name server. etcd looks up everything through
// net.DefaultResolver (peers, its gRPC client), so that replacing that once,
// before etcd starts, is enough; the operating system's configuration stays as
// it is.
//
// Go reads a hosts file before it asks any name server. On a machine of its own
// the member has one of its own (node.Node.Hosts); elsewhere a wrong line there
// wins over a pin, which [misled] finds. The search list of resolv.conf still
// applies to names without a final dot.
type resolver struct {
	// server is asked for what is not pinned; the zero value leaves the choice
	// to Go, which reads resolv.conf.
	server netip.AddrPort
	// system are the name servers of the operating system.
	system *sidebyside.Servers
	// pins are answered without it.
	pins pins
}

// newResolver checks server, host:port with an IP address (a name would be
// looked up through the very resolver) or empty for those of the system, and
// the pins of a node.
func newResolver(server string, pins map[string]string) (*resolver, error) {
	r := &resolver{system: sidebyside.System()}
	var err error
	if server != "" {
		if r.server, err = netip.ParseAddrPort(server); err != nil {
			return nil, fmt.Errorf("resolver %q: want IP address and port: %w", server, err)
		}
	}
	if r.pins.at, err = parsePins(pins); err != nil {
		return nil, err
	}
	return r, nil
}

// network is the resolver as the net package takes it.
func (r *resolver) network() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: sidebyside.Dial(r.answer)}
}

// answer is a [sidebyside.Answer].
func (r *resolver) answer(ctx context.Context, network, chosen string, query []byte) ([]byte, error) {
	local, err := r.pinned(query)
	if err != nil || local != nil {
		return local, err
	}
	if r.server.IsValid() {
		return sidebyside.Exchange(ctx, "udp", r.server.String(), query)
	}
	return r.system.Ask(ctx, network, chosen, query)
}

// misled are the pinned names for which r, in which the pins are, says something
// else: only the operating system's hosts file comes before them.
func misled(ctx context.Context, r *net.Resolver, pins map[string]string) []string {
	ctx, cancel := context.WithTimeout(ctx, gateRound)
	defer cancel()
	var out []string
	for _, name := range slices.Sorted(maps.Keys(pins)) {
		if bad := checkAddress(name, pins[name], askAddresses(ctx, r, "", name)); bad != "" {
			out = append(out, bad)
		}
	}
	return out
}

// pinned answers an address query for a pinned name, and nil for everything
// else. A name that continues behind a pinned one can only come from a search
// list: it does not exist, and to ask for it would make a member depend on DNS
// wherever ndots is high.
func (r *resolver) pinned(query []byte) ([]byte, error) {
	var q dns.Msg
	if err := q.Unpack(query); err != nil {
		return nil, fmt.Errorf("read DNS query: %w", err)
	}
	if len(q.Question) != 1 || q.Question[0].Qclass != dns.ClassINET {
		return nil, nil
	}
	question := q.Question[0]
	if question.Qtype != dns.TypeA && question.Qtype != dns.TypeAAAA {
		return nil, nil
	}
	name := dns.CanonicalName(question.Name)
	at := r.pins.now()
	addr, ok := at[name]
	if !ok && !continuesPin(at, name) {
		return nil, nil
	}
	var a dns.Msg
	a.SetReply(&q)
	a.RecursionAvailable = true
	header := dns.RR_Header{Name: question.Name, Rrtype: question.Qtype, Class: dns.ClassINET}
	switch {
	case !ok:
		a.Rcode = dns.RcodeNameError
	case question.Qtype == dns.TypeA && addr.Is4():
		a.Answer = []dns.RR{&dns.A{Hdr: header, A: addr.AsSlice()}}
	case question.Qtype == dns.TypeAAAA && addr.Is6():
		a.Answer = []dns.RR{&dns.AAAA{Hdr: header, AAAA: addr.AsSlice()}}
	}
	return a.Pack()
}

func continuesPin(at map[string]netip.Addr, name string) bool {
	for pin := range at {
		if strings.HasPrefix(name, pin) {
			return true
		}
	}
	return false
}
