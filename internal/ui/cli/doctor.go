package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/pleiad-etcd/pleiad/internal/ui/doctor"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
	"github.com/pleiad-etcd/pleiad/internal/world/home"
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
		Short: "Look whether a cluster can live here: machines, disks, ports, clocks, name servers",
		Long: `doctor looks at what a cluster needs before there is one, or while there is: the
state directory, the disk's space and speed, addresses, the clock, limits, the
name servers, and what the key may change. On machines over SSH it looks from
there: system, clock, ports, disk, resolver; one without pleiad gets it for that
moment, and a machine that is somebody else's is left alone. It changes nothing
that lasts. It exits 1 if something would keep up from working; warnings exit 0.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
}

func (o *doctorOptions) run(ctx context.Context) error {
	t, err := o.find(ctx, o.system)
	var unusable *home.Error
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
		Probe: sur.Probe, Authoritatives: sur.NameServers, Try: sur.Try})
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
