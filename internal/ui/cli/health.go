package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pleiad-etcd/pleiad/internal/operate"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
)

type healthOptions struct {
	*globals
	system *System
	direct bool
}

func newHealth(s *System, g *globals, run func(context.Context, *healthOptions) error) *cobra.Command {
	o := &healthOptions{globals: g, system: s}
	if run == nil {
		run = func(ctx context.Context, o *healthOptions) error { return o.run(ctx) }
	}
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Check that each member serves, found through DNS as any client would",
		Long: `health finds the cluster through its client SRV records alone, as any client
would, and asks each member for a linearizable read. It exits 0 if the cluster
is healthy, and 1 if not. With --direct it asks the members at the addresses of
their hosts: that tells a cluster that is ill from names that cannot be looked up.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	directly(cmd, &o.direct)
	return cmd
}

func (o *healthOptions) run(ctx context.Context) error {
	t, err := o.known(ctx, o.system)
	if err != nil {
		return cannot("find the cluster", err)
	}
	act := fmt.Sprintf("find cluster %s through DNS", t.Spec.Cluster)
	if copied := t.Home.Copy(); copied != "" {
		fmt.Fprintln(o.system.Err, "note: "+copied+"; what follows is about the original")
	}
	sur, err := o.surroundings(ctx, o.system, t)
	if err != nil {
		return cannot(act, err)
	}
	look := operate.Look
	if o.direct {
		act, look = fmt.Sprintf("find the members of cluster %s", t.Spec.Cluster), operate.LookDirect
	}
	health, err := look(ctx, t.Spec, sur)
	if err != nil {
		err = o.unfound(act, err, o.direct, "health --direct")
		if f := new(failure); errors.As(err, &f) {
			f.exit = Failed
		}
		return err
	}
	if err := o.printer(o.system).Show(render.Health(health)); err != nil {
		return cannot(act, err)
	}
	if health.Verdict != operate.Healthy {
		return quietExit(Failed)
	}
	return nil
}
