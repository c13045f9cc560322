package route53

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"

	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/system/httponce"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/listing"
)

// Zone is a hosted zone as Route 53 knows it.
type Zone struct {
	ID   string // without "/hostedzone/"
	Name string // without trailing dot
	// Private says that the zone is seen in VPCs alone, and from nowhere else.
	Private bool
	// NameServers are those that answer for a public zone, without trailing dots.
	NameServers []string
	// VPCs are where a private zone is seen, "vpc-0123 in eu-central-1".
	VPCs []string
}

// maxZonePages bounds the search for a zone: an account has 500 zones unless Amazon
// allows it more.
const maxZonePages = 20

// Zone is the zone that holds the domain, with all that is known of it. It is looked
// up once.
func (p *Provider) Zone(ctx context.Context) (Zone, error) {
	z, err := p.whole(ctx)
	if err != nil {
		return Zone{}, fmt.Errorf("find %s at Route 53: %w", p.called(), err)
	}
	return z, nil
}

// whole is the zone with its name servers, which only the question by ID gives.
func (p *Provider) whole(ctx context.Context) (Zone, error) {
	z, err := p.find(ctx)
	if err != nil || z.NameServers != nil || z.VPCs != nil {
		return z, err
	}
	return p.lookup(ctx, z.ID)
}

// find is the zone with its ID and name.
func (p *Provider) find(ctx context.Context) (Zone, error) {
	p.mu.Lock()
	known := p.zone
	p.mu.Unlock()
	switch {
	case known.ID != "":
		return known, nil
	case p.id != "":
		return p.lookup(ctx, p.id)
	}
	zones, err := p.zones(ctx)
	if err != nil {
		return Zone{}, err
	}
	for _, name := range p.candidates() {
		found := slices.DeleteFunc(slices.Clone(zones), func(z Zone) bool { return z.Name != name })
		switch len(found) {
		case 0:
			continue
		case 1:
			return p.remember(found[0]), nil
		}
		return Zone{}, ambiguous(name, found)
	}
	return Zone{}, p.noZone()
}

// candidates are the names that the zone can have, the longest first.
func (p *Provider) candidates() []string {
	if p.name != "" {
		return []string{p.name}
	}
	out := []string{p.domain}
	for name := p.domain; strings.Contains(name, "."); {
		_, name, _ = strings.Cut(name, ".")
		out = append(out, name)
	}
	return out
}

// zones are the zones that can hold the domain, and maybe others. One question is
// enough as a rule: Route 53 lists zones in the order of their labels from the right,
// from the name that is asked for on, so that from twindb.com on all below it follow.
// A zone that is a top-level domain, which only private ones can be, takes another
// question.
func (p *Provider) zones(ctx context.Context) ([]Zone, error) {
	names := p.candidates()
	if n := len(names); n > 2 {
		names = names[n-2:]
	}
	var found []Zone
	for _, from := range names {
		part, err := p.zonesFrom(ctx, from)
		if err != nil {
			return nil, err
		}
		found = append(found, part...)
		if slices.ContainsFunc(found, func(z Zone) bool { return slices.Contains(p.candidates(), z.Name) }) {
			break
		}
	}
	return found, nil
}

// zonesFrom are the zones at and below a name. The answer goes on behind these with
// whatever else the account has.
func (p *Provider) zonesFrom(ctx context.Context, name string) (found []Zone, err error) {
	in := &sdk.ListHostedZonesByNameInput{DNSName: &name, MaxItems: aws.Int32(100)}
	for range maxZonePages {
		out, err := call(ctx, p.api, "ListHostedZonesByName", (*sdk.Client).ListHostedZonesByName, in)
		if err != nil {
			return nil, p.unread(err, Zone{})
		}
		for _, h := range out.HostedZones {
			z := zoneOf(&h)
			if !listing.Within(z.Name, name) {
				return found, nil
			}
			if z.ID != "" {
				found = append(found, z)
			}
		}
		if !out.IsTruncated || aws.ToString(out.NextDNSName) == "" {
			return found, nil
		}
		in.DNSName, in.HostedZoneId = out.NextDNSName, out.NextHostedZoneId
	}
	return nil, fault.WithRemedy(fmt.Errorf("%w: more than %d zones at and below %s", fault.Unsupported, len(found), name), nameZone)
}

// lookup asks for a zone by its ID.
func (p *Provider) lookup(ctx context.Context, id string) (Zone, error) {
	out, err := call(ctx, p.api, "GetHostedZone", (*sdk.Client).GetHostedZone, &sdk.GetHostedZoneInput{Id: &id})
	if err != nil {
		return Zone{}, p.unread(err, Zone{ID: id})
	}
	z := zoneOf(out.HostedZone)
	if z.ID == "" {
		return Zone{}, p.unread(lost("a zone without its ID"), Zone{ID: id})
	}
	if !listing.Within(p.domain, z.Name) || p.name != "" && p.name != z.Name {
		return Zone{}, fault.WithRemedy(fmt.Errorf("%w: zone %s is %s, which is not the zone of %s", fault.Unsupported, z.ID, brief(z.Name), p.domain), nameZone)
	}
	if out.DelegationSet != nil {
		for _, s := range out.DelegationSet.NameServers {
			z.NameServers = append(z.NameServers, listing.Plain(s))
		}
	}
	for _, v := range out.VPCs {
		z.VPCs = append(z.VPCs, fmt.Sprintf("%s in %s", brief(aws.ToString(v.VPCId)), brief(string(v.VPCRegion))))
	}
	return p.remember(z), nil
}

func (p *Provider) remember(z Zone) Zone {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.zone = z
	return z
}

// forget makes the next call look the zone up again: it may be gone.
func (p *Provider) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.zone, p.last = Zone{}, listed{}
}

// zoneOf is what is known of a zone; the zero Zone if that is not what one is.
func zoneOf(h *types.HostedZone) Zone {
	if h == nil {
		return Zone{}
	}
	z := Zone{ID: strings.TrimPrefix(aws.ToString(h.Id), "/hostedzone/"), Name: listing.Plain(aws.ToString(h.Name))}
	if !identifier(z.ID) {
		return Zone{}
	}
	z.Private = h.Config != nil && h.Config.PrivateZone
	return z
}

// identifier says whether an ID can stand in a path.
func identifier(id string) bool {
	return id != "" && len(id) <= 32 && strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}

// lost is the error of an answer that is not what it should be.
func lost(why string) error {
	return &httponce.Lost{Sent: true, Err: errors.New("it answered with " + why)}
}
