package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pleiad-etcd/pleiad/discovery"
	"github.com/pleiad-etcd/pleiad/internal/converge/spec"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
	"github.com/pleiad-etcd/pleiad/internal/world/statedir"
)

type discoverOptions struct {
	*globals
	system   *System
	domain   string
	name     string
	resolver string
	peers    bool
}

func newDiscover(s *System, g *globals, run func(context.Context, *discoverOptions) error) *cobra.Command {
	o := &discoverOptions{globals: g, system: s}
	if run == nil {
		run = func(ctx context.Context, o *discoverOptions) error { return o.run(ctx) }
	}
	cmd := &cobra.Command{
		Use:   "discover DOMAIN",
		Short: "Print the endpoints of any etcd cluster, from its SRV records",
		Long: `discover prints the client URLs of the etcd cluster of a domain, one per line, as
its SRV records say. It works for any etcd cluster, not only for pleiad's. It asks
the system's resolver, or the one given with --resolver. For a cluster on this
machine it asks the name server of that cluster.`,
		Example: "  pleiad discover example.com\n  pleiad discover dev.test --output json",
		Args:    exactly(1, "one argument, the domain"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.domain = args[0]
			return run(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVar(&o.name, "name", "", "which of several clusters on the domain: etcd's --discovery-srv-name")
	cmd.Flags().StringVar(&o.resolver, "resolver", "", "name server to ask, host or host:port")
	cmd.Flags().BoolVar(&o.peers, "peers", false, "print the peer URLs instead")
	return cmd
}

func (o *discoverOptions) run(ctx context.Context) error {
	act := "discover " + o.domain
	opts := []discovery.Option{discovery.WithAddresses(), discovery.WithServiceName(o.name)}
	resolver := o.resolver
	if resolver == "" {
		var err error
		if resolver, err = o.local(ctx); err != nil {
			return cannot(act, err)
		}
	}
	if resolver != "" {
		opts = append(opts, discovery.WithResolver(discovery.NameServer(resolver)))
	}
	lookup := discovery.Lookup
	if o.peers {
		lookup = discovery.LookupPeers
	}
	found, err := lookup(ctx, o.domain, opts...)
	if errors.Is(err, discovery.ErrNotFound) {
		return &failure{act: act, err: err, exit: NoCluster, hints: []string{"another resolver may know it: --resolver HOST:PORT"}}
	}
	if err != nil {
		return cannot(act, err)
	}
	return cannot(act, o.printer(o.system).Show(endpoints(found)))
}

func endpoints(c discovery.Cluster) render.Endpoints {
	out := render.Endpoints{Domain: c.Domain, Service: c.Service, Endpoints: []render.Endpoint{}}
	for _, e := range c.Endpoints {
		one := render.Endpoint{URL: e.URL(), Host: e.Host, Port: e.Port, TLS: e.TLS, Addresses: []string{}}
		for _, a := range e.Addrs {
			one.Addresses = append(one.Addresses, a.String())
		}
		if e.AddrErr != nil {
			one.Error = e.AddrErr.Error()
		}
		out.Endpoints = append(out.Endpoints, one)
	}
	return out
}

// local is the name server of a cluster of this domain on this machine, if one
// is known here. Homes that cannot be read have no say.
func (o *discoverOptions) local(ctx context.Context) (string, error) {
	root, err := statedir.Root(o.stateDir, o.system.Env)
	if err != nil {
		return "", nil //nolint:nilerr // without a state directory no cluster is known
	}
	domain := strings.ToLower(strings.TrimSuffix(o.domain, "."))
	for _, name := range o.clusters(o.system) {
		g := globals{flags: spec.Flags{Cluster: &name}, stateDir: root}
		t, err := g.find(ctx, o.system)
		if err != nil || t.Home == nil || t.Spec.Domain != domain {
			continue
		}
		sur, err := o.surroundings(ctx, o.system, t)
		if err != nil {
			return "", fmt.Errorf("cluster %s: %w", name, err)
		}
		if sur.Resolver != "" {
			return sur.Resolver, nil
		}
	}
	return "", nil
}
