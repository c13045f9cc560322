package real

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/authoritative"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/cloudflare"
)

func withCloudflare(ctx context.Context, spec cluster.Spec, w World) (World, error) {
	c := spec.DNS.Cloudflare
	token, err := cloudflareToken(ctx, c)
	switch {
	case ctx.Err() != nil:
		return w, err
	case err != nil:
		missing := shut{error: err, remedy: tokenRemedy(c.TokenFile)}
		w.World.DNS = dns.Guard(spec, missing)
		w.Grants = func(context.Context) (dns.Grants, error) { return dns.Grants{}, missing }
		return w, nil
	}
	zone, err := cloudflare.New(cloudflare.Config{
		Zone: c.Zone, Domain: spec.Domain, Token: token, Source: c.TokenFile, Endpoint: c.Endpoint,
		Comment: fmt.Sprintf("etcd cluster %s, written by pleiad", spec.Cluster),
	})
	if err != nil {
		return w, err
	}
	w.World.DNS = dns.Guard(spec, zone)
	w.Grants = zone.Grants
	if spec.FindsZone() {
		w.FindZone = func(ctx context.Context) (string, error) {
			z, err := zone.Zone(ctx)
			return z.Name, err
		}
	}
	w.NameServers = cloudflareServers{zone: zone}
	// Quiet, for the loop looks before the zone may be delegated.
	w.World.Authoritatives = cloudflareServers{zone: zone, quiet: true, timeout: time.Second}
	return w, nil
}

func cloudflareToken(ctx context.Context, c *cluster.CloudflareDNS) (cloudflare.Token, error) {
	if c.TokenFile == "" {
		token, err := cloudflare.ParseToken(os.Getenv(cloudflare.Variable))
		if err != nil {
			return token, fmt.Errorf("take the Cloudflare token from %s: %w", cloudflare.Variable, err)
		}
		return token, nil
	}
	reading, cancel := context.WithTimeoutCause(ctx, keyPatience, fmt.Errorf("it did not end within %s", keyPatience))
	defer cancel()
	return cloudflare.ReadToken(reading, c.TokenFile)
}

// tokenRemedy says how to give the token.
func tokenRemedy(file string) []string {
	if file == "" {
		return []string{"put the token into the environment: read -rs " + cloudflare.Variable + " && export " + cloudflare.Variable,
			"or put it into a file, and name that in dns.cloudflare.tokenFile of the spec"}
	}
	return []string{"put the token, and nothing else, into " + file + ", or name another file in dns.cloudflare.tokenFile of the spec and give that with -f"}
}

// cloudflareServers are the name servers that Cloudflare gives a zone. Which
// these are only Cloudflare knows, so it is asked at the first comparison.
type cloudflareServers struct {
	zone    *cloudflare.Provider
	quiet   bool
	timeout time.Duration
}

var _ dns.Authoritatives = cloudflareServers{}

// Compare asks one of them for the others, and says so if these are not the ones
// that Cloudflare names: then the zone that we write is not the one that is asked.
func (c cloudflareServers) Compare(ctx context.Context, keys []cluster.Key, want cluster.Records) (cluster.Visibility, error) {
	z, err := c.zone.Zone(ctx)
	if err != nil {
		return cluster.Visibility{}, err
	}
	err = errors.New("there are none at Cloudflare")
	for _, name := range z.NameServers {
		var servers *authoritative.Servers
		if servers, err = authoritative.New(authoritative.Config{Primary: name, Zone: z.Name, Quiet: c.quiet, Timeout: c.timeout}); err != nil {
			continue
		}
		var v cluster.Visibility
		if v, err = servers.Compare(ctx, keys, want); err == nil {
			return otherServers(v, z), nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return cluster.Visibility{}, fmt.Errorf("find the name servers of zone %s: %w", z.Name, err)
}

// otherServers adds a note if the servers that were found are not those that
// Cloudflare gave the zone.
func otherServers(v cluster.Visibility, z cloudflare.Zone) cluster.Visibility {
	var named, found []string
	for _, name := range z.NameServers {
		named = append(named, strings.ToLower(strings.TrimSuffix(name, ".")))
	}
	for _, s := range v.Servers {
		found = append(found, strings.TrimSuffix(s.Name, "."))
	}
	slices.Sort(named)
	slices.Sort(found)
	if named, found = slices.Compact(named), slices.Compact(found); !slices.Equal(named, found) {
		v.Notes = append(v.Notes, fmt.Sprintf("zone %s names %s as its name servers, but Cloudflare gave it %s: resolvers may ask a zone that is not the one written here",
			z.Name, strings.Join(found, ", "), strings.Join(named, ", ")))
	}
	return v
}
