package discovery

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// NameServer returns a resolver that asks the name server at address
// ("host:port"; without a port, 53), over UDP and, for long answers, TCP. It
// asks nobody else; only /etc/hosts comes before it, as with any Go resolver.
func NameServer(address string) *net.Resolver {
	address = serverAddress(address)
	return &net.Resolver{
		PreferGo: true, // the system's resolver does not call Dial
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, address)
		},
	}
}

func serverAddress(address string) string {
	if _, _, err := net.SplitHostPort(address); err == nil {
		return address
	}
	return net.JoinHostPort(strings.Trim(address, "[]"), "53")
}

// Dialer returns a function that dials as net.Dialer does, but looks up hosts
// as [Lookup] does with the same options. It fits http.Transport.DialContext
// and grpc.WithContextDialer (there with the network "tcp"). Of the options
// only [WithResolver] matters to it.
func Dialer(opts ...Option) func(ctx context.Context, network, address string) (net.Conn, error) {
	r := newOptions(opts).resolver
	d := net.Dialer{Resolver: r}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if host, port, err := net.SplitHostPort(address); err == nil {
			address = net.JoinHostPort(hostFor(r, host), port)
		}
		return d.DialContext(ctx, network, address)
	}
}

// hostFor is the form in which a resolver is asked for a host. A trailing dot
// keeps the search list of resolv.conf from turning a name that does not exist
// into somebody else's. Only Go's own resolver is given it: glibc does not
// find a name with a trailing dot in /etc/hosts, where hosts may be pinned.
func hostFor(r *net.Resolver, host string) string {
	if _, err := netip.ParseAddr(host); err == nil || host == "" || !r.PreferGo || strings.HasSuffix(host, ".") {
		return host
	}
	return host + "."
}

// parallelHosts bounds how many hosts are looked up at once: more than any
// etcd cluster has, less than a forged answer may name.
const parallelHosts = 16

// families are those of a host's addresses that could not be asked for: there
// may be more addresses of them than were found.
type families struct{ four, six bool }

// has says whether an address is of one of the families.
func (f families) has(a netip.Addr) bool { return a.Is4() && f.four || a.Is6() && f.six }

// addAddresses fills in Addrs or AddrErr of each endpoint, and returns what is
// unknown of each.
func (q question) addAddresses(ctx context.Context, endpoints []Endpoint) []families {
	unknown := make([]families, len(endpoints))
	var wg sync.WaitGroup
	slots := make(chan struct{}, parallelHosts)
	for i := range endpoints {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			unknown[i] = q.hostAddresses(ctx, &endpoints[i])
		})
	}
	wg.Wait()
	return unknown
}

// hostAddresses asks for the families apart: where both are asked for at once,
// net returns one error, and that is absence if one family is empty and the
// other one could not be asked for.
func (q question) hostAddresses(ctx context.Context, e *Endpoint) families {
	host := hostFor(q.resolver, e.Host)
	var four, six []netip.Addr
	var err4, err6 error
	var both sync.WaitGroup
	both.Go(func() { four, err4 = q.resolver.LookupNetIP(ctx, "ip4", host) })
	both.Go(func() { six, err6 = q.resolver.LookupNetIP(ctx, "ip6", host) })
	both.Wait()
	unknown := families{four: familyUnknown(err4), six: familyUnknown(err6)}
	for _, a := range slices.Concat(four, six) {
		e.Addrs = append(e.Addrs, a.Unmap())
	}
	if len(e.Addrs) > 0 {
		slices.SortFunc(e.Addrs, netip.Addr.Compare)
		e.Addrs = slices.Compact(e.Addrs)
		return unknown
	}
	e.AddrErr = &Error{Kind: ErrNotFound, Names: []string{e.Host + "."}, Err: cmp.Or(err4, err6)}
	switch {
	case unknown.four:
		e.AddrErr = &Error{Kind: ErrUnavailable, Names: []string{e.Host + "."}, Err: err4}
	case unknown.six:
		e.AddrErr = &Error{Kind: ErrUnavailable, Names: []string{e.Host + "."}, Err: err6}
	}
	return unknown
}

// familyUnknown says of the outcome of a question for one family that nothing is
// known. A name that stands in a hosts file with addresses of the other family
// alone has a net.AddrError: it has none of this one.
func familyUnknown(err error) bool {
	var none *net.AddrError
	return err != nil && !errors.As(err, &none) && errors.Is(kindOf(err), ErrUnavailable)
}
