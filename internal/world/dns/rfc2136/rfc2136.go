// Package rfc2136 is the DNS provider for any name server that accepts dynamic
// updates (RFC 2136) signed with TSIG (RFC 8945): BIND, Knot, PowerDNS, and
// pleiad's embedded server, which is reached through this same package.
//
// [New] makes a provider from a key in memory, [Open] from a key file. What it
// promises:
//   - A change set is one update message, so all of it is done or none. Its
//     guards are prerequisites of that message, so that the server compares
//     and swaps in one act (rule R11).
//   - It deletes exact records only, never "all at this name": what somebody
//     else put beside ours stays, and the guard would have noticed it.
//   - Updates go over TCP, once. UDP would have to be repeated, and a repeated
//     update cannot be told from a second writer.
//   - Reads go to the same server, ask for the given names alone, and accept
//     only signed answers from the authority.
package rfc2136

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/tsig"
)

// Config says where updates go.
type Config struct {
	// Server is host or host:port of the zone's primary; port 53 by default.
	Server string
	// Zone is the zone that holds the domain, with or without trailing dot.
	Zone string
	// Key is allowed to read and to update the names of the cluster.
	Key tsig.Key
	// Timeout bounds each Read and Apply; 5 s by default.
	Timeout time.Duration
}

// Provider is a [dns.Zone] on such a server. It holds no connection and no
// state between calls.
type Provider struct {
	server, zone string
	key          tsig.Key
	keyFile      string // "" if the key did not come from one
	timeout      time.Duration
}

var _ dns.Zone = (*Provider)(nil)

// Open is [New] with the key of a file. The errors of such a provider have a
// method Remedy that says, a line each, what a person types or changes against
// them; some of these lines name the file.
func Open(c Config, keyFile string) (*Provider, error) {
	p, err := New(c)
	if err != nil {
		return nil, err
	}
	p.keyFile = keyFile
	return p, nil
}

// New makes a provider. It asks nobody.
func New(c Config) (*Provider, error) {
	if _, ok := wire.IsDomainName(c.Zone); !ok || c.Zone == "" {
		return nil, fmt.Errorf("zone %q is not a domain name", c.Zone)
	}
	host, port, err := net.SplitHostPort(c.Server)
	if err != nil {
		host, port = strings.Trim(c.Server, "[]"), "53"
	}
	if host == "" || port == "" {
		return nil, fmt.Errorf("name server %q: want host or host:port", c.Server)
	}
	if c.Key == (tsig.Key{}) {
		return nil, errors.New("a name server without a TSIG key: unsigned updates are not supported")
	}
	return &Provider{
		server:  net.JoinHostPort(host, port),
		zone:    wire.CanonicalName(c.Zone),
		key:     c.Key,
		timeout: cmp.Or(c.Timeout, 5*time.Second),
	}, nil
}

// Settled implements [dns.Zone]. The protocol says nothing about secondaries,
// so it returns at once.
func (p *Provider) Settled(context.Context, dns.Receipt) error { return nil }

// Read implements [dns.Zone].
func (p *Provider) Read(ctx context.Context, keys []cluster.Key) (cluster.Records, error) {
	records, err := p.read(ctx, keys)
	if err != nil {
		return cluster.Records{}, fmt.Errorf("read zone %s at %s: %w", p.zone, p.server, err)
	}
	return records, nil
}

// Apply implements [dns.Zone].
func (p *Provider) Apply(ctx context.Context, changes []cluster.Change) (dns.Receipt, error) {
	if err := p.apply(ctx, changes); err != nil {
		return "", fmt.Errorf("update zone %s at %s: %w", p.zone, p.server, err)
	}
	return "", nil
}
