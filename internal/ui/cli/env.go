package cli

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"github.com/pleiad-etcd/pleiad/discovery"
	"github.com/pleiad-etcd/pleiad/internal/operate"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
)

type envOptions struct {
	*globals
	system *System
}

func newEnv(s *System, g *globals, run func(context.Context, *envOptions) error) *cobra.Command {
	o := &envOptions{globals: g, system: s}
	if run == nil {
		run = func(ctx context.Context, o *envOptions) error { return o.run(ctx) }
	}
	return &cobra.Command{
		Use:     "env",
		Short:   "Print export lines for your own etcdctl",
		Long:    "env prints shell commands that point your own etcdctl at the cluster.",
		Example: `  eval "$(pleiad env)" && etcdctl endpoint health`,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
}

func (o *envOptions) run(ctx context.Context) error {
	t, err := o.known(ctx, o.system)
	if err != nil {
		return cannot("find the cluster", err)
	}
	act := fmt.Sprintf("print the environment for cluster %s", t.Spec.Cluster)
	sur, err := o.surroundings(ctx, o.system, t)
	if err != nil {
		return cannot(act, err)
	}
	found, err := operate.Discover(ctx, t.Spec, sur)
	if err != nil {
		return cannot(act, err, o.again("status"), o.again("up"))
	}
	v := render.Variables{Variables: environment(found.URLs(), t)}
	if !t.Spec.OnMachines() {
		// The names of local hosts are known to no resolver but the cluster's.
		v.Note = []string{"addresses instead of names, which your resolver does not know; the certificates are valid for both"}
		v.Variables = environment(byAddress(found), t)
	}
	return cannot(act, o.printer(o.system).Show(v))
}

// byAddress are the URLs of all endpoints with addresses for names.
func byAddress(c discovery.Cluster) []string {
	var out []string
	for _, e := range c.Endpoints {
		scheme := "http"
		if e.TLS {
			scheme = "https"
		}
		for _, a := range e.Addrs {
			out = append(out, scheme+"://"+netip.AddrPortFrom(a, e.Port).String())
		}
	}
	return out
}
