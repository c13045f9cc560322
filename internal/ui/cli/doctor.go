package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/pleiad-etcd/pleiad/internal/ui/doctor"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
	"github.com/pleiad-etcd/pleiad/internal/world/statedir"
)

type doctorOptions struct {
	*globals
	system *System
}

func newDoctor(s *System, g *globals, run func(context.Context, *doctorOptions) error) *cobra.Command {
	o := &doctorOptions{globals: g, system: s}
	if run == nil {
		run = func(ctx context.Context, o *doctorOptions) error { return o.run(ctx) }
	}
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check whether a cluster can run here: machines, disks, ports, clocks, name servers",
		Long: `doctor checks what a cluster needs, before it exists and while it runs: the
state directory, the disk's space and speed, addresses, the clock, limits, the
name servers, and what the key may change. On machines over SSH it also checks the
system, clock, ports, disk and resolver; where pleiad is not installed, it is
copied there for the duration of the check. A machine that something else uses is
left alone. In EC2 it checks that the cluster's instances can be listed, and how
they are spread, but not what is on them. doctor makes no lasting change. It exits
1 if up would fail, and 0 if there are only warnings.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
}

func (o *doctorOptions) run(ctx context.Context) error {
	t, err := o.find(ctx, o.system)
	var unusable *statedir.Error
	if errors.As(err, &unusable) && t.Root != "" {
		t.Home = nil // that is a finding
	} else if err != nil {
		return cannot("examine", err)
	}
	sur, err := o.surroundings(ctx, o.system, t)
	if err != nil {
		return cannot("examine", err)
	}
	findings := doctor.Examine(ctx, doctor.Subject{Root: t.Root, Unusable: unusable, Command: o.again, Spec: t.Spec, World: sur.World, Block: sur.Block, Server: sur.Listens, Resolver: sur.Resolver,
		Patience: o.timeout, Probe: sur.Probe, Authoritatives: sur.NameServers, Try: sur.Try, Grants: sur.Grants, FindZone: sur.FindZone})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := o.printer(o.system).Show(findings); err != nil {
		return cannot("examine", err)
	}
	if findings.Worst == render.Broken {
		return quietExit(Failed)
	}
	return nil
}
