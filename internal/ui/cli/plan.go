package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pleiad-etcd/pleiad/internal/converge"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
)

type planOptions struct {
	*globals
	system  *System
	destroy bool
}

func newPlan(s *System, g *globals, run func(context.Context, *planOptions) error) *cobra.Command {
	o := &planOptions{globals: g, system: s}
	if run == nil {
		run = func(ctx context.Context, o *planOptions) error { return o.run(ctx) }
	}
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what up would do, step by step, and why",
		Long: `plan shows all steps from the current state to the spec: each with its reason,
its rules and the quorum arithmetic, and what is refused. It changes nothing. It
exits 0 if there is nothing to do, 2 if changes are pending, and 5 if every step
is refused.

Names and addresses of hosts that do not exist yet are examples. For hosts in EC2
it also says how many instances and volumes will be launched; it knows no prices.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	cmd.Flags().BoolVar(&o.destroy, "destroy", false, "show what destroy would do")
	return cmd
}

func (o *planOptions) run(ctx context.Context) error {
	t, err := o.find(ctx, o.system)
	if err != nil {
		return cannot("plan", err)
	}
	act := fmt.Sprintf("plan for cluster %s", t.Spec.Cluster)
	sur, err := o.surroundings(ctx, o.system, t)
	if err != nil {
		return cannot(act, err)
	}
	loop := converge.Up(t.Spec, sur.World)
	loop.Wish(plan.Wishes{Older: true}) // up asks
	if o.destroy {
		loop = converge.Destroy(t.Spec, sur.World)
	}
	loop.Look = o.timeout
	state := loop.Observe(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := o.operator(o.system, o.find).SameZone(ctx, t, state, false); err != nil {
		return astray(err)
	}
	batches, unforeseen := plan.Road(loop.Next, t.Spec, state)
	road := render.NewRoad(t.Spec, batches, o.spelled(t))
	if err := o.printer(o.system).Show(road); err != nil {
		return cannot(act, err)
	}
	switch {
	case unforeseen != nil:
		return &failure{act: act, err: unforeseen, exit: Failed}
	case len(road.Batches) > 0:
		return quietExit(Pending)
	case len(road.Refusals) > 0:
		return refusedError(act, road.Refusals)
	}
	return nil
}
