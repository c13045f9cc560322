package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pleiad-etcd/pleiad/internal/operate"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
)

type healthOptions struct {
	*globals
	system *System
}

func newHealth(s *System, g *globals, run func(context.Context, *healthOptions) error) *cobra.Command {
	o := &healthOptions{globals: g, system: s}
	if run == nil {
		run = func(ctx context.Context, o *healthOptions) error { return o.run(ctx) }
	}
	return &cobra.Command{
		Use:   "health",
		Short: "Check that each member serves, found through DNS as any client would",
		Long: `health finds the cluster through its client SRV records alone, as any client
would, and asks each member for a linearizable read. It exits 0 if the cluster
is healthy, and 1 if not.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
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
	health, err := operate.Look(ctx, t.Spec, sur)
	if err != nil {
		return &failure{act: act, err: err, exit: Failed, hints: []string{o.again("status"), o.again("up")}}
	}
	if err := o.printer(o.system).Show(render.Health(health)); err != nil {
		return cannot(act, err)
	}
	if health.Verdict != operate.Healthy {
		return quietExit(Failed)
	}
	return nil
}
