// Package cloudflare is the DNS provider for zones at Cloudflare, through its
// API v4. It stands between the contract of package dns and HTTPS, and keeps
// nothing that the zone does not hold.
//
// Make a [Provider] with [New] and wrap it in dns.Guard. What it promises:
//   - A change set is one batch, which Cloudflare carries out as one
//     transaction. It is never divided and never sent a second time: an answer
//     that is lost is an unknown outcome (rule R12).
//   - The API has no conditions. What stands for them is that a record's ID is
//     used once: a batch that deletes a record which somebody else has deleted
//     fails as a whole. Every writer moves the marker, and moving it deletes
//     its record and makes another; so of two writers who saw the same marker
//     one fails (rule R11).
//   - A first claim has nothing to delete. After it the records are read again:
//     the oldest marker wins, and whoever finds an older one takes back all it
//     has written and says conflict.
//   - Addresses are never proxied. A record that somebody has switched to
//     proxied is read as another value (cluster.Proxied), so that it is seen
//     and repaired.
//
// What it cannot promise: records that the API's conditions do not cover, those
// that a change set only expects to stand or to be absent, are compared with a
// list made shortly before ([listing.Fresh]), and so is what somebody edits by hand
// without making a new record. And of two first claims sent in one instant both
// can win, if the older one becomes visible only after the younger was checked;
// the next reading shows two markers, on which nobody builds.
//
// It speaks HTTP itself, not through Cloudflare's library: three calls are made,
// and of the library's own behaviour everything would have to be switched off or
// wrapped: writes that are repeated, answers without limit, errors that carry
// the request with its token.
package cloudflare

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/listing"
)

// Config says which zone, and by which right.
type Config struct {
	// Zone is the zone's name, with or without trailing dot; empty for the
	// nearest one at or above Domain.
	Zone string
	// Domain is where the cluster's names are, with or without trailing dot.
	Domain string
	// Token may edit the zone's records.
	Token Token
	// Source is where the token came from, for remedies: a file, a variable.
	Source string
	// Comment stands beside each record in Cloudflare's dashboard; nothing
	// depends on it. What is longer than all plans allow is cut off.
	Comment string
	// Endpoint is where the API is; empty for Cloudflare's own.
	Endpoint string
	// Timeout bounds each call; 10 s by default.
	Timeout time.Duration
	// Transport carries the calls; nil for one that takes the proxy of the
	// environment.
	Transport http.RoundTripper
}

const (
	// maxComment is what the smallest plan allows.
	maxComment = 100
)

// Provider is a [dns.Zone] at Cloudflare. Beside the zone's ID it remembers the
// last list, for a moment, and which records it has deleted last.
type Provider struct {
	api     api
	name    string // as configured, without trailing dot; "" to be found
	domain  string // without trailing dot
	source  string
	comment string

	mu   sync.Mutex
	zone Zone            // the zero Zone until it was found
	last listed          // the list that the next change may build on
	gone map[string]bool // IDs that the last change deleted: a list with one of them is old
}

var _ dns.Zone = (*Provider)(nil)

// New makes a provider. It asks nobody.
func New(c Config) (*Provider, error) {
	domain, zone := listing.Plain(c.Domain), listing.Plain(c.Zone)
	if domain == "" {
		return nil, fmt.Errorf("a zone at Cloudflare without a domain in it")
	}
	if zone != "" && !listing.Within(domain, zone) {
		return nil, fmt.Errorf("the domain %s is not in the zone %s", domain, zone)
	}
	if c.Token.secret == nil {
		return nil, fmt.Errorf("a zone at Cloudflare without a token for it")
	}
	api, err := newAPI(c)
	if err != nil {
		return nil, err
	}
	return &Provider{api: api, name: zone, domain: domain, source: c.Source, comment: cut(c.Comment, maxComment)}, nil
}

// Read implements [dns.Zone].
func (p *Provider) Read(ctx context.Context, keys []cluster.Key) (cluster.Records, error) {
	records, err := p.read(ctx, keys)
	if err != nil {
		return cluster.Records{}, fmt.Errorf("read %s at Cloudflare: %w", p.called(), err)
	}
	return records, nil
}

// Apply implements [dns.Zone].
func (p *Provider) Apply(ctx context.Context, changes []cluster.Change) (dns.Receipt, error) {
	if err := p.apply(ctx, changes); err != nil {
		return "", fmt.Errorf("change %s at Cloudflare: %w", p.called(), err)
	}
	return "", nil
}

// Settled implements [dns.Zone]. Cloudflare does not say when its servers have a
// change, so it returns at once.
func (p *Provider) Settled(context.Context, dns.Receipt) error { return nil }

// called is the zone as a person knows it.
func (p *Provider) called() string {
	if p.name != "" {
		return "zone " + p.name
	}
	return "the zone of " + p.domain
}

// cut shortens a text to at most so many bytes, on one line.
func cut(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
	return text[:min(len(text), most)]
}
