// Package authoritative asks every authoritative server of a zone whether it
// shows what the primary shows. It is separate from the providers: they write to
// the primary and read from it; this package tells how far the records have
// spread from there. Nothing is decided on its answer alone: a member starts when
// its own host's resolver shows the truth (rule R3).
//
// [New] makes the comparer; it sends no query. Each [Servers.Compare]
//
//	primary ──NS──▶ names ──A, AAAA──▶ addresses ──our names──▶ each compared
//	         (child's own)  (primary, else resolver)  (TCP, RD=0, AA)
//
// starts from the beginning, since name servers change too. What it promises:
//   - The name servers are those that the zone itself names, not those of the
//     delegation above it.
//   - An answer counts only if it is authoritative, whole, and to the question
//     asked. Any other answer makes the server unknown, never behind:
//     unknown is not absent.
//   - Recursive resolvers are asked for the zone's NS records, and for the
//     addresses of the primary and of name servers outside the zone; for
//     nothing else. Asking one for a name of ours too early would make it
//     cache the answer "does not exist".
//
// What it cannot see: an anycast address has many servers behind it, and the
// one nearest to this machine need not be the one nearest to a host.
package authoritative

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/rr"
)

// Config says which zone and where it is written.
type Config struct {
	// Primary is host or host:port of the server that updates go to; port 53
	// by default. It must answer unsigned questions.
	Primary string
	// Zone is the zone that holds the domain, with or without trailing dot.
	Zone string
	// Resolver is host:port of the recursive resolver; by default what the
	// system uses.
	Resolver string
	// Port is where the zone's name servers listen; "53" by default.
	Port string
	// Quiet leaves the recursive resolver unasked about the zone itself: where
	// nothing delegates the zone yet, "does not exist" would be remembered, and
	// with it that nothing below exists (RFC 8020).
	Quiet bool
	// Timeout bounds the talk with each server; 2 s by default.
	Timeout time.Duration
	// Lookup bounds each question to the resolver; 20 s by default, as long as one
	// with two name servers may take that are both mute: 5 s each, twice
	// (resolv.conf(5)).
	Lookup time.Duration
}

// Servers are the name servers of one zone. It holds no connection and no
// state between calls.
type Servers struct {
	host, primary, zone, port string // host is primary without its port
	resolver                  *net.Resolver
	timeout, lookups          time.Duration
	quiet                     bool
}

var _ dns.Authoritatives = (*Servers)(nil)

// New makes a comparer.
func New(c Config) (*Servers, error) {
	if _, ok := wire.IsDomainName(c.Zone); !ok || c.Zone == "" {
		return nil, fmt.Errorf("zone %q is not a domain name", c.Zone)
	}
	host, port, err := net.SplitHostPort(c.Primary)
	if err != nil {
		host, port = strings.Trim(c.Primary, "[]"), "53"
	}
	if host == "" || port == "" {
		return nil, fmt.Errorf("name server %q: want host or host:port", c.Primary)
	}
	return &Servers{
		host:     host,
		primary:  net.JoinHostPort(host, port),
		zone:     wire.CanonicalName(c.Zone),
		port:     cmp.Or(c.Port, "53"),
		resolver: recursive(c.Resolver),
		timeout:  cmp.Or(c.Timeout, 2*time.Second),
		lookups:  cmp.Or(c.Lookup, 20*time.Second),
		quiet:    c.Quiet,
	}, nil
}

// Compare implements [dns.Authoritatives].
func (s *Servers) Compare(ctx context.Context, keys []cluster.Key, want cluster.Records) (cluster.Visibility, error) {
	v, err := s.compare(ctx, keys, want)
	if err != nil {
		return cluster.Visibility{}, fmt.Errorf("compare the name servers of zone %s: %w", s.zone, err)
	}
	return v, nil
}

func (s *Servers) compare(ctx context.Context, keys []cluster.Key, want cluster.Records) (v cluster.Visibility, err error) {
	if keys, err = s.sorted(keys); err != nil {
		return v, err
	}
	names, err := s.names(ctx)
	if err != nil {
		return v, err
	}
	v, err = s.addressed(ctx, names)
	if err != nil {
		return v, err
	}
	var all sync.WaitGroup
	for i := range v.Servers {
		all.Go(func() { s.judge(ctx, &v.Servers[i], keys, want) })
	}
	var seen string
	if !s.quiet {
		all.Go(func() { seen = s.horizon(ctx, names) })
	}
	all.Wait()
	if ctx.Err() != nil {
		return v, context.Cause(ctx)
	}
	if seen != "" {
		v.Notes = append(v.Notes, seen)
	}
	return v, nil
}

// sorted are the keys in the order of the report, each once.
func (s *Servers) sorted(keys []cluster.Key) ([]cluster.Key, error) {
	if err := dns.CheckKeys(keys); err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, errors.New("no names to compare: all servers would agree")
	}
	for _, k := range keys {
		if !wire.IsSubDomain(s.zone, k.Name) {
			return nil, fmt.Errorf("%s %s is not in the zone", k.Name, k.Type)
		}
	}
	keys = slices.SortedFunc(slices.Values(keys), func(a, b cluster.Key) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(string(a.Type), string(b.Type)))
	})
	return slices.Compact(keys), nil
}

// judge asks one server for all keys and notes what is wrong with its answers.
func (s *Servers) judge(ctx context.Context, server *cluster.AuthoritativeServer, keys []cluster.Key, want cluster.Records) {
	questions := make([]wire.Question, len(keys))
	for i, k := range keys {
		questions[i] = question(k.Name, rr.Type(k.Type))
	}
	answers, _, err := s.exchange(ctx, net.JoinHostPort(server.Address.String(), s.port), questions)
	if err != nil {
		server.Unknown = err.Error()
		return
	}
	var behind []string
	for i, k := range keys {
		line, err := difference(k, answers[i], want)
		if err != nil {
			server.Unknown = fmt.Sprintf("%s %s: %s", k.Type, k.Name, err)
			return
		}
		if line != "" {
			behind = append(behind, line)
		}
	}
	server.Behind = behind
}
