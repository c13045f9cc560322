package real

import (
	"context"
	"fmt"
	"os"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
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
	return withServers(w, givenServers{by: "Cloudflare", zone: func(ctx context.Context) (string, []string, error) {
		z, err := zone.Zone(ctx)
		return z.Name, z.NameServers, err
	}}), nil
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
