package discovery

import (
	"context"
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

// addAddresses fills in Addrs or AddrErr of each endpoint.
func (q question) addAddresses(ctx context.Context, endpoints []Endpoint) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, parallelHosts)
	for i := range endpoints {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			endpoints[i].Addrs, endpoints[i].AddrErr = q.hostAddresses(ctx, endpoints[i].Host)
		})
	}
	wg.Wait()
}

func (q question) hostAddresses(ctx context.Context, host string) ([]netip.Addr, error) {
	addrs, err := q.resolver.LookupNetIP(ctx, "ip", hostFor(q.resolver, host))
	if err == nil && len(addrs) > 0 {
		for i := range addrs {
			addrs[i] = addrs[i].Unmap()
		}
		slices.SortFunc(addrs, netip.Addr.Compare)
		return slices.Compact(addrs), nil
	}
	return nil, &Error{Kind: kindOf(err), Names: []string{host + "."}, Err: err}
}
