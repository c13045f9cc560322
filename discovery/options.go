package discovery

import (
	"net"
	"time"
)

// DefaultInterval is how often [Watch] asks without [WithInterval]: half of 60
// seconds, the lowest TTL that all DNS providers accept and the usual one for
// etcd records.
const DefaultInterval = 30 * time.Second

// MinInterval is the least that [WithInterval] accepts.
const MinInterval = time.Second

// An Option changes how a cluster is looked up. Of contradicting options the
// last counts.
type Option func(*options)

type options struct {
	serviceName string
	choice      choice
	resolver    *net.Resolver
	addresses   bool
	interval    time.Duration
}

// choice is which of the two kinds of records are asked for.
type choice int

const (
	either choice = iota
	tlsOnly
	plainOnly
)

func newOptions(opts []Option) options {
	o := options{resolver: net.DefaultResolver, interval: DefaultInterval}
	for _, set := range opts {
		set(&o)
	}
	return o
}

// WithServiceName looks for the cluster of this name among several that share
// a domain: _etcd-client-ssl-NAME._tcp.DOMAIN and so on. It is what etcd calls
// --discovery-srv-name.
func WithServiceName(name string) Option {
	return func(o *options) { o.serviceName = name }
}

// TLSOnly asks for the -ssl records only, as if others could not exist. Without
// it and PlainOnly both kinds are asked for, and finding both is [ErrMixed].
func TLSOnly() Option {
	return func(o *options) { o.choice = tlsOnly }
}

// PlainOnly asks for the records of members without TLS only, as if others
// could not exist.
func PlainOnly() Option {
	return func(o *options) { o.choice = plainOnly }
}

// WithResolver sends all questions to this resolver; nil and the default are
// net.DefaultResolver. See [NameServer].
func WithResolver(r *net.Resolver) Option {
	return func(o *options) {
		if r == nil {
			r = net.DefaultResolver
		}
		o.resolver = r
	}
}

// WithAddresses also looks up the addresses of every host, so that the caller
// can dial by IP address ([Endpoint.Addrs]) and still verify the host name
// ([Endpoint.TLSConfig]).
func WithAddresses() Option {
	return func(o *options) { o.addresses = true }
}

// WithInterval sets the time between two lookups of [Watch]. It need not be
// shorter than the records' TTL, since the resolver would answer from its
// cache; Go's resolver does not tell the TTL. Less than [MinInterval] counts as
// MinInterval: time.Duration(30) is 30 nanoseconds, which no name server
// deserves.
func WithInterval(d time.Duration) Option {
	return func(o *options) { o.interval = max(d, MinInterval) }
}
