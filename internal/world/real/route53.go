package real

import (
	"cmp"
	"context"
	"fmt"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/amazon"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/route53"
)

func withRoute53(spec cluster.Spec, w World) (World, error) {
	c := spec.DNS.Route53
	zone, err := route53.New(route53.Config{
		Zone: c.Zone, ID: c.ZoneID, Domain: spec.Domain, Region: c.Region, Endpoint: c.Endpoint,
		Credentials: amazon.Credentials(cmp.Or(c.Region, route53.UsualRegion), c.Profile),
		Comment:     fmt.Sprintf("etcd cluster %s, written by pleiad", spec.Cluster),
	})
	if err != nil {
		return w, err
	}
	w.World.DNS = dns.Guard(spec, zone)
	w.Try = zone.Try
	if spec.FindsZone() {
		w.FindZone = func(ctx context.Context) (string, error) {
			z, err := zone.Zone(ctx)
			return z.Name, err
		}
	}
	return withServers(w, givenServers{by: "Route 53", zone: func(ctx context.Context) (string, []string, error) {
		z, err := zone.Zone(ctx)
		if err == nil {
			err = z.Unseen()
		}
		return z.Name, z.NameServers, err
	}}), nil
}
