// Package discovery finds an etcd cluster from DNS SRV records, and keeps
// finding it while members come and go.
//
// An etcd cluster that is published in DNS has one SRV record per member, on
// one of two names: _etcd-client-ssl._tcp.DOMAIN for members that serve TLS,
// _etcd-client._tcp.DOMAIN for members that do not. These are the names that
// etcdctl --discovery-srv reads. The domain is all that a program needs to be
// told.
//
// # Which function first
//
// [Lookup] asks once and returns the cluster's endpoints. [Watch] asks again
// and again and yields the endpoints whenever they change. A program that uses
// etcd's own Go client needs neither: package
// [github.com/pleiad-etcd/pleiad/discovery/etcdclient] returns a clientv3
// client whose endpoints follow DNS. This package imports the standard library
// only, no gRPC.
//
//	cluster, err := discovery.Lookup(ctx, "example.com")
//	if err != nil {
//		return err
//	}
//	for _, e := range cluster.Endpoints {
//		fmt.Println(e.URL()) // https://m1.example.com:2379
//	}
//
// # How to use it well
//
// Keep watching. Stock clients read SRV once, when they start; one that runs
// for months ends up with members that were all replaced long ago.
//
// Say [TLSOnly] if you know that the cluster serves TLS. Without it Lookup
// takes the -ssl records if there are any, and plain ones only where a name
// server has said that there are no -ssl records. But DNS answers are not
// authenticated: who can forge them can also forge that one.
//
// Trust the cluster's own CA, not the system's. The records name the hosts,
// and TLS verifies the host that the record named; with a public CA, who can
// forge the records names a host that has a valid certificate. See
// [Endpoint.TLSConfig].
//
// Ask the resolver that knows the names. Clusters often live in a private
// zone: [NameServer] and [WithResolver] send all questions to its server, and
// [Dialer] dials host names that only that server knows.
//
// # What it promises
//
//   - Unknown is not absent. Records are believed to be absent only if a name
//     server said so; a timeout or SERVFAIL is [ErrUnavailable], never an empty
//     cluster, and never a reason to go from TLS to plain.
//   - Whole or nothing. One unusable record (an IP address as target, port 0)
//     fails the lookup with [ErrInvalidRecord]; etcd's own lookup drops or
//     passes on such records in silence. A truncated answer is asked for again
//     over TCP.
//   - One scheme. If -ssl and plain records exist side by side, etcd's tools
//     mix them; here that is [ErrMixed] unless the caller chose with [TLSOnly]
//     or [PlainOnly].
//   - Endpoints are a set: lower case, without trailing dot, without
//     duplicates, sorted by host and port. Priority and weight are ignored, as
//     etcd ignores them; shuffle if you mean to spread load.
//   - Every error says which names were asked ([Error]).
//   - Everything is safe for concurrent use, and no goroutine of this package
//     outlives the call that started it.
package discovery

import (
	"crypto/tls"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Cluster is what DNS says about one etcd cluster.
type Cluster struct {
	// Domain is the domain that was asked for: lower case, no trailing dot.
	Domain string
	// Service is the name that holds the SRV records, with trailing dot, such
	// as "_etcd-client-ssl._tcp.example.com.".
	Service string
	// Endpoints has one entry for each member, sorted by host and port. It is
	// never empty in a Cluster that came without an error, and either all
	// endpoints use TLS or none does.
	Endpoints []Endpoint
}

// URLs returns the URLs of all endpoints, in order: what clientv3 and the
// flag --endpoints of etcdctl expect.
func (c Cluster) URLs() []string {
	urls := make([]string, len(c.Endpoints))
	for i, e := range c.Endpoints {
		urls[i] = e.URL()
	}
	return urls
}

// clone is a copy that shares no memory, so that who is given it may keep and
// change it.
func (c Cluster) clone() Cluster {
	c.Endpoints = slices.Clone(c.Endpoints)
	for i := range c.Endpoints {
		c.Endpoints[i].Addrs = slices.Clone(c.Endpoints[i].Addrs)
	}
	return c
}

// Endpoint is where one member can be reached.
type Endpoint struct {
	// Host is the member's host name: lower case, no trailing dot. It is also
	// the name that its certificate must be valid for.
	Host string
	// Port is the TCP port, never 0.
	Port uint16
	// TLS says that the member was published as speaking TLS.
	TLS bool
	// Addrs are the addresses of Host, sorted, with [WithAddresses]; else nil.
	Addrs []netip.Addr
	// AddrErr is why Host has no addresses, always an *[Error]; nil if it has
	// some or none were asked for. A host without address does not make the
	// lookup fail: the other members can still be used. It is [ErrNotFound] only if
	// the name server said for both families, IPv4 and IPv6, that there are none.
	AddrErr error
}

// URL returns the endpoint as etcd writes it: "https://m1.example.com:2379",
// or http without TLS.
func (e Endpoint) URL() string {
	if e.TLS {
		return "https://" + e.HostPort()
	}
	return "http://" + e.HostPort()
}

// HostPort returns "host:port", as net.Dial takes it.
func (e Endpoint) HostPort() string {
	return net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))
}

// TLSConfig returns a copy of base that verifies this very member: its
// ServerName is the endpoint's host, also where the connection is made to one
// of Addrs. A nil base stands for an empty one. For an endpoint without TLS it
// returns nil.
//
// Why the host and not the domain? With TLS the domain that a person typed
// would be the better reference, for nobody can forge that; and etcd's
// documentation asks for it in certificates. But etcd itself verifies the
// domain in one case only (the peer dialler, at first boot, without a CA file),
// its clients since 3.5 verify the host, and many clusters' certificates hold
// no domain at all. So the host it is, which DNS named: verification is worth
// as much as the CAs in base.RootCAs are choosy. Give it a pool with the
// cluster's own CA; with the system's pool, add a check of your own that the
// host lies where you expect it, for instance below the domain.
func (e Endpoint) TLSConfig(base *tls.Config) *tls.Config {
	if !e.TLS {
		return nil
	}
	config := &tls.Config{}
	if base != nil {
		config = base.Clone()
	}
	config.ServerName = e.Host
	return config
}

// compare orders endpoints by host, then port.
func (e Endpoint) compare(o Endpoint) int {
	if c := strings.Compare(e.Host, o.Host); c != 0 {
		return c
	}
	return int(e.Port) - int(o.Port)
}

// same says whether both are the same place at the same addresses.
func (e Endpoint) same(o Endpoint) bool {
	return e.Host == o.Host && e.Port == o.Port && e.TLS == o.TLS && slices.Equal(e.Addrs, o.Addrs)
}
