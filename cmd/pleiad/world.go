package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/ui/cli"
	"github.com/pleiad-etcd/pleiad/internal/world"
	localdelivery "github.com/pleiad-etcd/pleiad/internal/world/deliver/local"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/embedded"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/rfc2136"
	"github.com/pleiad-etcd/pleiad/internal/world/etcd/client"
	"github.com/pleiad-etcd/pleiad/internal/world/home"
	localhosts "github.com/pleiad-etcd/pleiad/internal/world/hosts/local"
)

// surroundings makes the world that a spec names. A new provider gets its line
// here.
func surroundings(ctx context.Context, spec cluster.Spec, h *home.Home) (cli.Surroundings, error) {
	if spec.Hosts.Local == nil { // never local processes in the place of somebody's machines
		return cli.Surroundings{}, errors.New("reach hosts of kind ssh: not in this version yet")
	}
	self, err := os.Executable()
	if err != nil {
		return cli.Surroundings{}, fmt.Errorf("find the running program: %w", err)
	}
	hosts, err := localhosts.New(h.Dir(), spec.Cluster)
	if err != nil {
		return cli.Surroundings{}, err
	}
	deliverer := localdelivery.New(func(config string) []string { return []string{self, "member", "--dir", config} })
	sur := cli.Surroundings{
		World: world.World{Hosts: hosts, Deliver: deliverer, Etcd: client.New(spec, h.ClientTLS), Authority: h, Fresh: world.Fresh},
		Block: localhosts.Block(h.Dir(), spec.Cluster, 0),
		Logs:  deliverer.Logs,
		Sweep: hosts.Sweep,
	}
	if spec.DNS.RFC2136 != nil {
		return withRFC2136(spec, sur)
	}
	return withEmbedded(ctx, spec, h, self, sur)
}

func withRFC2136(spec cluster.Spec, sur cli.Surroundings) (cli.Surroundings, error) {
	c := spec.DNS.RFC2136
	zone, err := rfc2136.Open(rfc2136.Config{Server: c.Server, Zone: c.Zone}, c.KeyFile)
	if err != nil {
		return sur, err
	}
	sur.DNS = dns.Guard(spec, zone)
	sur.Resolver = c.Address()
	return sur, nil
}

func withEmbedded(ctx context.Context, spec cluster.Spec, h *home.Home, self string, sur cli.Surroundings) (cli.Surroundings, error) {
	dir := filepath.Join(h.Dir(), "dns")
	ip, err := localhosts.ServerAddress(ctx, h.Dir(), spec.Cluster, 0)
	if err != nil {
		return sur, err
	}
	server, err := embedded.New(embedded.Config{Dir: dir, Zone: spec.Domain, IP: ip, Argv: []string{self, "dns-server", "--dir", dir}})
	if err != nil {
		return sur, err
	}
	sur.DNS, sur.World.Server = dns.Guard(spec, server), server
	sur.Resolver = server.Resolver()
	sur.Server = netip.AddrPortFrom(ip, embedded.Port)
	return sur, nil
}
