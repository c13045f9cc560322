package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge"
	"github.com/pleiad-etcd/pleiad/internal/converge/observe"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
	"github.com/pleiad-etcd/pleiad/internal/world/home"
	"github.com/pleiad-etcd/pleiad/internal/world/real"
)

type destroyOptions struct {
	*globals
	system   *System
	yes      bool
	keepData bool
}

func newDestroy(s *System, g *globals, run func(context.Context, *destroyOptions) error) *cobra.Command {
	o := &destroyOptions{globals: g, system: s}
	if run == nil {
		run = func(ctx context.Context, o *destroyOptions) error { return o.run(ctx) }
	}
	cmd := &cobra.Command{
		Use:   "destroy",
		Short: "Take down the cluster with all its data, records and keys",
		Long: `destroy takes down everything of a cluster that is ours: members, hosts with
their data, records, the name server, keys. It says what goes and asks first.
What is not ours stays and is listed. A destroy that was interrupted is finished
by running it again. With --keep-data each member's data stays on its host, in a
place where no cluster looks for it.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	cmd.Flags().BoolVar(&o.yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&o.keepData, "keep-data", false, "move the members' data aside on their hosts instead of deleting it")
	return cmd
}

func (o *destroyOptions) run(ctx context.Context) error {
	begun := time.Now()
	t, err := o.known(ctx, o.system)
	if err != nil {
		return cannot("destroy the cluster", err)
	}
	act := fmt.Sprintf("destroy cluster %s", t.spec.Cluster)
	lock, err := o.lock(ctx, o.system, t.home, "pleiad destroy")
	if err != nil {
		return cannot(act, err)
	}
	if t, err = o.known(ctx, o.system); err != nil { // it may have changed while we waited
		return cannot(act, errors.Join(err, lock.Release()))
	}
	outcome, err := o.destroy(ctx, t, lock)
	if err != nil {
		return cannot(act, err)
	}
	outcome.Took = time.Since(begun)
	if err := o.printer(o.system).Show(outcome); err != nil {
		return cannot(act, err)
	}
	if len(outcome.Refusals) > 0 {
		return refusedError(act, outcome.Refusals)
	}
	return nil
}

// destroy runs the loop and then removes the home. It gives the lock back in
// any case.
func (o *destroyOptions) destroy(ctx context.Context, t target, lock *home.Lock) (render.Outcome, error) {
	out := render.NewOutcome("destroy", t.spec)
	sur, err := o.surroundings(ctx, o.system, t)
	if err == nil {
		err = o.look(ctx, t, sur)
	}
	if err != nil {
		return out, errors.Join(err, lock.Release())
	}
	live := o.printer(o.system).Progress()
	loop := converge.Destroy(t.spec, sur.World)
	loop.Next = o.planner()
	loop.Report, loop.Patience, loop.Boundary = live, o.patience(t.spec), breakpoint(o.system)
	result, err := loop.Run(ctx)
	live.Close()
	out.Take(result, o.spelled(t))
	if err != nil || !out.Reached {
		return out, errors.Join(err, lock.Release())
	}
	for _, h := range result.Missing {
		out.Left = append(out.Left, plan.NotFound(t.spec, h))
	}
	for _, set := range result.State.Records.Value.Sets {
		out.Left = append(out.Left, "record "+set.String()+", which is not ours")
	}
	if err := sur.Sweep(ctx); err != nil {
		return out, errors.Join(err, lock.Release())
	}
	left, err := t.home.Remove(lock)
	for _, name := range left {
		out.Left = append(out.Left, filepath.Join(t.home.Dir(), name))
	}
	return out, err
}

func (o *destroyOptions) planner() plan.Planner {
	if o.keepData {
		return plan.DestroyButData
	}
	return plan.Destroy
}

// look sees that the cluster is where the spec says, and asks for consent.
func (o *destroyOptions) look(ctx context.Context, t target, sur real.World) error {
	if o.yes && t.stored != nil && server(*t.stored) == server(t.spec) {
		return nil
	}
	state := observe.Observe(ctx, t.spec, sur.World, observe.Steady)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := o.sameZone(ctx, o.system, t, state, o.command); err != nil || o.yes {
		return err
	}
	return o.consent(ctx, t, state)
}

// consent says what goes and asks.
func (o *destroyOptions) consent(ctx context.Context, t target, state cluster.State) error {
	goes := []string{fmt.Sprintf("this destroys cluster %s on %s:", t.spec.Cluster, t.spec.Domain)}
	for _, h := range state.Hosts.Value {
		data := dataOf(t.spec, h)
		if o.keepData {
			data += ", which is moved aside and kept"
		}
		goes = append(goes, fmt.Sprintf("  host %s at %s with %s", h.Name, h.Address, data))
	}
	for _, h := range state.Missing {
		if p := h.Node.Value.Process; h.Node.Known() && p.Running {
			goes = append(goes, fmt.Sprintf("  member %s, process %d, whose host was removed while it ran", h.Name, p.PID))
			continue
		}
		goes = append(goes, "  left: "+plan.NotFound(t.spec, h))
	}
	for _, s := range state.Records.Value.Sets {
		goes = append(goes, "  record "+s.String())
	}
	if len(state.Hosts.Value) == 0 {
		goes = append(goes, "  no hosts")
	}
	road := plan.Road(o.planner(), t.spec, state)
	for _, refusal := range render.NewRoad(t.spec, road, o.spelled(t)).Refusals {
		goes = append(goes, "  but: "+refusal.String())
	}
	return consent(ctx, o.system, o.globals, "destroy", goes)
}

// dataOf says how much data goes with a host: what is on the disk where that
// can be seen, else the size of the database.
func dataOf(spec cluster.Spec, h cluster.Host) string {
	if spec.Hosts.Local != nil {
		if n, err := diskUse(h.Paths.Data); err == nil {
			return render.Size(n) + " of data"
		}
	}
	if h.View.Known() {
		return "a database of " + render.Size(h.View.Value.DBSize)
	}
	if h.Node.Known() && !h.Node.Value.Data.Present {
		return "no data"
	}
	return "data of unknown size"
}

// diskUse adds up the sizes of all files below a folder.
func diskUse(dir string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().IsRegular() {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}
