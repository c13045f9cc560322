package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pleiad-etcd/pleiad/internal/converge/observe"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
)

type statusOptions struct {
	*globals
	system *System
	watch  bool
	every  time.Duration
}

func newStatus(s *System, g *globals, run func(context.Context, *statusOptions) error) *cobra.Command {
	o := &statusOptions{globals: g, system: s}
	if run == nil {
		run = func(ctx context.Context, o *statusOptions) error { return o.run(ctx) }
	}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show hosts, records, members and health side by side",
		Long: `status shows hosts, records, members and health side by side, and every place
where they differ from the spec. It only reads, and exits 0 whatever it finds;
health and plan have exit codes for scripts. A machine that has not been looked at
after some seconds is unknown; --timeout waits longer for one that is slow.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	cmd.Flags().BoolVar(&o.watch, "watch", false, "repeat until interrupted")
	cmd.Flags().DurationVar(&o.every, "every", 2*time.Second, "interval of --watch")
	return cmd
}

func (o *statusOptions) run(ctx context.Context) error {
	if o.every <= 0 {
		return &failure{act: "run pleiad status", err: fmt.Errorf("--every %s: expected a positive duration, such as 2s", o.every), exit: Usage}
	}
	t, err := o.known(ctx, o.system)
	if err != nil {
		return cannot("find the cluster", err)
	}
	act := fmt.Sprintf("show the status of cluster %s", t.Spec.Cluster)
	sur, err := o.surroundings(ctx, o.system, t)
	if err != nil {
		return cannot(act, err)
	}
	for {
		state := observe.Observe(ctx, t.Spec, sur.World, observe.Glance.AtLeast(o.timeout))
		if ctx.Err() != nil {
			return o.end(ctx)
		}
		p := o.printer(o.system)
		if o.watch && p.Screen.Size != nil && p.Format == render.Text {
			fmt.Fprint(o.system.raw.out, "\x1b[H\x1b[2J") // top of a cleared screen (ECMA-48: CUP, ED)
		}
		if err := p.Show(render.NewStatus(t.Spec, state, o.again)); err != nil {
			return cannot(act, err)
		}
		if !o.watch {
			return nil
		}
		select {
		case <-ctx.Done():
			return o.end(ctx)
		case <-time.After(o.every):
		}
	}
}

// end is the end by a signal: the way to end --watch, an interruption else.
func (o *statusOptions) end(ctx context.Context) error {
	if o.watch {
		return nil
	}
	return context.Cause(ctx)
}
