package cloudflare

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/listing"
)

// zonesShown is how many zones are looked at: the most in one answer.
const zonesShown = 50

// Grants asks what the token allows, and whether that is enough: it is an error
// if the token may not edit the zone's records. Nothing is changed.
func (p *Provider) Grants(ctx context.Context) (dns.Grants, error) {
	if err := p.Try(ctx); err != nil {
		return dns.Grants{}, err
	}
	z, err := p.find(ctx)
	if err != nil {
		return dns.Grants{}, err
	}
	out := dns.Grants{Zone: z.Name}
	for _, right := range z.Permissions {
		if !slices.Contains([]string{"#zone:read", "#dns_records:read", "#dns_records:edit"}, right) {
			out.Excess = append(out.Excess, cut(right, 60))
		}
	}
	a, err := p.api.call(ctx, http.MethodGet, "/zones", url.Values{"per_page": {strconv.Itoa(zonesShown)}}, nil)
	if err != nil {
		return dns.Grants{}, fmt.Errorf("list the token's zones at Cloudflare: %w", p.unread(err, anyZone))
	}
	var zones []Zone
	if err := json.Unmarshal(a.Result, &zones); err != nil {
		return dns.Grants{}, fmt.Errorf("list the token's zones at Cloudflare: %w", p.malformed())
	}
	for _, other := range zones {
		if listing.Plain(other.Name) != z.Name {
			out.Others = append(out.Others, cut(other.Name, 255))
		}
	}
	slices.Sort(out.Others)
	return out, nil
}
