package cloudflare

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/world/dns/listing"
)

// Zone is a zone as Cloudflare knows it.
type Zone struct {
	ID   string `json:"id"`
	Name string `json:"name"` // without trailing dot
	// Status is active once the zone is delegated to Cloudflare.
	Status string `json:"status"`
	// Kind is full where Cloudflare answers for the zone and it is edited here.
	Kind string `json:"type"`
	// NameServers are those that answer for the zone, without trailing dots.
	NameServers []string `json:"name_servers"`
	// Permissions are what the token may do with the zone, such as
	// "#dns_records:edit"; nil where Cloudflare does not say.
	Permissions []string `json:"permissions"`
}

// Zone is the zone that holds the domain. It is looked up once.
func (p *Provider) Zone(ctx context.Context) (Zone, error) {
	z, err := p.find(ctx)
	if err != nil {
		return Zone{}, fmt.Errorf("find %s at Cloudflare: %w", p.called(), err)
	}
	return z, nil
}

func (p *Provider) find(ctx context.Context) (Zone, error) {
	p.mu.Lock()
	known := p.zone
	p.mu.Unlock()
	if known.ID != "" {
		return known, nil
	}
	for _, name := range p.candidates() {
		found, err := p.lookup(ctx, name)
		if err != nil {
			return Zone{}, err
		}
		if len(found) == 0 {
			continue
		}
		z, err := p.usable(found)
		if err != nil {
			return Zone{}, err
		}
		p.mu.Lock()
		p.zone = z
		p.mu.Unlock()
		return z, nil
	}
	return Zone{}, p.noZone()
}

// forget makes the next call look the zone up again: it may have moved to
// another account, or be gone.
func (p *Provider) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.zone = Zone{}
}

// candidates are the names that the zone can have, the longest first. Nobody has
// the zone of a top-level domain.
func (p *Provider) candidates() []string {
	if p.name != "" {
		return []string{p.name}
	}
	var out []string
	for name := p.domain; strings.Contains(name, "."); {
		out = append(out, name)
		_, name, _ = strings.Cut(name, ".")
	}
	return out
}

// lookup are the zones of a name that the token can see: several where accounts
// compete for it.
func (p *Provider) lookup(ctx context.Context, name string) ([]Zone, error) {
	a, err := p.api.call(ctx, http.MethodGet, "/zones", url.Values{"name": {name}}, nil)
	if err != nil {
		return nil, p.unread(err, anyZone)
	}
	var zones []Zone
	if err := json.Unmarshal(a.Result, &zones); err != nil {
		return nil, p.malformed()
	}
	return slices.DeleteFunc(zones, func(z Zone) bool { return listing.Plain(z.Name) != name || !identifier(z.ID) }), nil
}

// usable is the one of several zones whose records resolvers see.
func (p *Provider) usable(zones []Zone) (Zone, error) {
	for _, z := range zones {
		if z.Status == "active" {
			return z, p.editable(z)
		}
	}
	return Zone{}, p.inactive(zones[0])
}

// identifier says whether an ID can stand in a path.
func identifier(id string) bool {
	return id != "" && len(id) <= 64 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}

// editable says why records of an active zone cannot be had here.
func (p *Provider) editable(z Zone) error {
	switch z.Kind {
	case "secondary":
		return p.elsewhere(z, "it is a secondary zone: its records come from another name server",
			"use dns.rfc2136 with that name server, or give the cluster a zone of its own at Cloudflare")
	case "partial":
		return p.elsewhere(z, "it is a partial zone: another provider answers for it",
			"write the records at that provider, or give the cluster a zone of its own at Cloudflare")
	}
	return nil
}

func (p *Provider) malformed() error { return errors.New("the answer is not of the API's form") }
