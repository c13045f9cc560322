package authoritative

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// names are the zone's name servers as the zone itself names them, sorted.
func (s *Servers) names(ctx context.Context) ([]string, error) {
	answers, _, err := s.exchange(ctx, s.primary, []wire.Question{question(s.zone, wire.TypeNS)})
	if err == nil {
		err = authority(answers[0])
	}
	if err != nil {
		return nil, fmt.Errorf("ask the primary %s for the zone's NS records: %w", s.primary, err)
	}
	var names []string
	for _, record := range answers[0].Answer {
		if ns, ok := record.(*wire.NS); ok && wire.CanonicalName(ns.Hdr.Name) == s.zone {
			names = append(names, wire.CanonicalName(ns.Ns))
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("the primary %s has no NS records of the zone: it is another zone, or its records are incomplete", s.primary)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// maxServers bounds whom we ask: a large zone has a dozen name servers.
const maxServers = 64

// addressed are the name servers with each of their addresses, still to be
// asked, and notes on those without and on a primary that is not among them.
// The primary knows the addresses that lie in its own zones; the others are
// asked of the resolver.
func (s *Servers) addressed(ctx context.Context, names []string) (v cluster.Visibility, err error) {
	if len(names) > maxServers {
		return v, fmt.Errorf("the zone has %d name servers, more than %d", len(names), maxServers)
	}
	var questions []wire.Question
	for _, name := range names {
		questions = append(questions, question(name, wire.TypeA), question(name, wire.TypeAAAA))
	}
	answers, primary, err := s.exchange(ctx, s.primary, questions)
	if err != nil {
		return v, fmt.Errorf("ask the primary %s for the addresses of %s: %w", s.primary, strings.Join(names, ", "), err)
	}
	addresses, faults := make([][]netip.Addr, len(names)), make([]error, len(names))
	var lookups sync.WaitGroup
	for i, name := range names {
		addresses[i], faults[i] = addressesIn(name, answers[2*i], answers[2*i+1])
		// The primary alone speaks for names in its zone.
		if faults[i] != nil && !wire.IsSubDomain(s.zone, name) {
			lookups.Go(func() { addresses[i], faults[i] = s.lookup(ctx, name) })
		}
	}
	lookups.Wait()
	hidden := !slices.Contains(names, wire.CanonicalName(s.host))
	for i, name := range names {
		if len(v.Servers)+len(addresses[i]) > maxServers {
			return v, fmt.Errorf("the zone's name servers have more than %d addresses", maxServers)
		}
		for _, address := range addresses[i] {
			v.Servers = append(v.Servers, cluster.AuthoritativeServer{Name: name, Address: address})
			hidden = hidden && address != primary
		}
		if len(addresses[i]) == 0 {
			v.Notes = append(v.Notes, without(name, faults[i]))
		}
	}
	if len(v.Servers) == 0 {
		return v, errors.New(strings.Join(v.Notes, "; "))
	}
	if hidden {
		v.Notes = append(v.Notes, fmt.Sprintf("updates go to %s, which is not the address of a name server of the zone: if it is a hidden primary, it must notify the others of each change", primary))
	}
	return v, nil
}

// addressesIn are the addresses in a primary's answers, sorted. It is an error
// if there are none and the primary has no authority to say so.
func addressesIn(name string, answers ...*wire.Msg) (addresses []netip.Addr, err error) {
	for _, m := range answers {
		if fault := authority(m); fault != nil {
			err = fmt.Errorf("the primary was asked, and %w", fault)
			continue
		}
		for _, record := range m.Answer {
			var address netip.Addr
			switch r := record.(type) {
			case *wire.A:
				address, _ = netip.AddrFromSlice(r.A.To4())
			case *wire.AAAA:
				address, _ = netip.AddrFromSlice(r.AAAA)
			}
			if address.IsValid() && wire.CanonicalName(record.Header().Name) == name {
				addresses = append(addresses, address)
			}
		}
	}
	if len(addresses) > 0 {
		err = nil
	}
	return distinct(addresses), err
}

func distinct(addresses []netip.Addr) []netip.Addr {
	slices.SortFunc(addresses, netip.Addr.Compare)
	return slices.Compact(addresses)
}

func without(name string, fault error) string {
	line := fmt.Sprintf("name server %s has no address", name)
	if fault != nil {
		line += ": " + fault.Error()
	}
	return line
}

// recursive is the resolver at an address, the system's if that is empty.
func recursive(address string) *net.Resolver {
	if address == "" {
		return net.DefaultResolver
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
}

// lookup asks the resolver for the addresses of a name server outside the zone.
func (s *Servers) lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.lookups, fmt.Errorf("the resolver gave no answer within %s", s.lookups))
	defer cancel()
	addresses, err := s.resolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return nil, reason(ctx, err)
	}
	for i := range addresses {
		addresses[i] = addresses[i].Unmap()
	}
	return distinct(addresses), nil
}

// horizon is a note if the resolver of this machine sees other name servers
// for the zone than its primary names, else "". What this machine sees its
// hosts may see too, so nobody but the hosts can say whether it matters. It is not
// worth the rest of the answer: of the caller's time it takes two thirds, and if they
// are less than a resolver may need, its silence says nothing.
func (s *Servers) horizon(ctx context.Context, names []string) string {
	limit, hurried := s.lookups, false
	if end, ok := ctx.Deadline(); ok && time.Until(end)*2/3 < limit {
		limit, hurried = time.Until(end)*2/3, true
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %s", limit))
	defer cancel()
	records, err := s.resolver.LookupNS(ctx, s.zone)
	if over(ctx) && hurried {
		return ""
	}
	if missing := new(net.DNSError); errors.As(err, &missing) && missing.IsNotFound {
		return fmt.Sprintf("the resolver of this machine finds no name servers of zone %s: nothing delegates the zone to them, or this machine is outside the network where it is seen", s.zone)
	}
	if err != nil {
		return fmt.Sprintf("the resolver of this machine was asked for the name servers of zone %s: %s", s.zone, reason(ctx, err))
	}
	var seen []string
	for _, r := range records {
		seen = append(seen, wire.CanonicalName(r.Host))
	}
	slices.Sort(seen)
	if seen = slices.Compact(seen); slices.Equal(seen, names) {
		return ""
	}
	return fmt.Sprintf("the resolver of this machine names other name servers for zone %s (%s) than the primary does (%s): "+
		"there are two zones of that name (split horizon), or the delegation is out of date", s.zone, strings.Join(seen, ", "), strings.Join(names, ", "))
}
