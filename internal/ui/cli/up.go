package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/pleiad-etcd/pleiad/internal/converge"
	"github.com/pleiad-etcd/pleiad/internal/converge/observe"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/converge/spec"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
	"github.com/pleiad-etcd/pleiad/internal/world/home"
)

type upOptions struct {
	*globals
	system *System
	yes    bool
}

func newUp(s *System, g *globals, run func(context.Context, *upOptions) error) *cobra.Command {
	o := &upOptions{globals: g, system: s}
	if run == nil {
		run = func(ctx context.Context, o *upOptions) error { return o.run(ctx) }
	}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Make the cluster what the spec says: create it, repair it",
		Long: `up makes the cluster what the spec says. It looks at hosts, records and members,
prints its plan, takes one safe step after another until they agree with the
spec, and then finds the cluster through DNS as any client would.

It can be interrupted at any moment, and run again at any time. Without a spec
file it makes three members with TLS on this machine.`,
		Example: "  pleiad up\n  pleiad up --cluster blue --members 5\n  pleiad up -f pleiad.yaml",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	cmd.Flags().BoolVar(&o.yes, "yes", false, "do not ask before hosts or data are destroyed")
	return cmd
}

func (o *upOptions) run(ctx context.Context) error {
	begun := time.Now()
	t, lock, err := o.begin(ctx)
	if err != nil {
		return cannot("bring up the cluster", err)
	}
	outcome, err := o.converge(ctx, t)
	outcome.Took = time.Since(begun)
	act := fmt.Sprintf("bring up cluster %s", t.spec.Cluster)
	if outcome.Steps == 0 && t.stored == nil && (err != nil || !outcome.Reached) {
		// Nothing came of it: leave no trace. Remove gives the lock back, and
		// refuses where there is more than a trace; what came before it is
		// what matters then.
		_, _ = t.home.Remove(lock)
	} else {
		err = errors.Join(err, lock.Release())
	}
	if err != nil && len(outcome.Refusals) > 0 { // what was refused may be the reason
		err = errors.Join(err, o.printer(o.system).Show(outcome))
	}
	if err != nil {
		return cannot(act, err)
	}
	if outcome.Reached {
		outcome.Next = o.next(t)
	}
	if err := o.printer(o.system).Show(outcome); err != nil {
		return cannot(act, err)
	}
	switch {
	case len(outcome.Refusals) > 0:
		return refusedError(act, outcome.Refusals)
	case !outcome.Reached:
		return cannot(act, errors.New("it is not as the spec says"), o.again("status"))
	}
	return nil
}

// begin makes or finds the cluster's home and takes its lock. What was stored
// is read again under the lock: another command may just have changed it.
func (o *upOptions) begin(ctx context.Context) (target, *home.Lock, error) {
	for {
		t, err := o.find(ctx, o.system)
		if err != nil {
			return t, nil, err
		}
		creating, cancel := context.WithTimeout(ctx, cmp.Or(o.timeout, patienceHere))
		h, err := home.Create(creating, t.root, t.spec.Cluster, home.SeatOf(t.spec))
		cancel()
		if err != nil {
			return t, nil, err
		}
		lock, err := o.lock(ctx, o.system, h, "pleiad up")
		if errors.Is(err, home.ErrNone) && ctx.Err() == nil { // destroyed while we waited
			continue
		}
		if err != nil {
			return t, nil, err
		}
		if t, err = o.find(ctx, o.system); err == nil && t.home == nil {
			err = fmt.Errorf("cluster %s: %w", t.spec.Cluster, home.ErrNone)
		}
		if err == nil && t.home.Copied() == "" { // a copy is the planner's to refuse
			err = t.home.Settle()
		}
		if err != nil {
			return t, nil, errors.Join(err, lock.Release())
		}
		return t, lock, nil
	}
}

// converge plans, tells, asks, does, and looks at the result as a client.
func (o *upOptions) converge(ctx context.Context, t target) (render.Outcome, error) {
	out := render.NewOutcome("up", t.spec)
	sur, err := o.surroundings(ctx, o.system, t)
	if err != nil {
		return out, err
	}
	screen := o.printer(o.system)
	loop := converge.Up(t.spec, sur.World)
	loop.Patience = o.patience(t.spec)
	loop.Boundary = breakpoint(o.system)

	state := observe.Observe(ctx, t.spec, loop.World, observe.Steady)
	if ctx.Err() != nil {
		return out, context.Cause(ctx)
	}
	if err := o.sameZone(ctx, o.system, t, state, o.command); err != nil {
		return out, err
	}
	road := render.NewRoad(t.spec, plan.Road(plan.Up, t.spec, state), o.spelled(t))
	if road.Brief = true; road.Steps() > 0 {
		shown := road
		shown.Refusals = nil // at the end, with all that was done before
		if err := screen.Show(shown); err != nil {
			return out, err
		}
	}
	if !o.yes {
		if err := consent(ctx, o.system, o.globals, "up", endangered(road)); err != nil {
			return out, err
		}
	}
	kept := keeps(t, road)
	if kept {
		if err := t.home.SaveSpec(spec.Encode(t.spec)); err != nil {
			return out, err
		}
	}
	live := screen.Progress()
	loop.Report, loop.Seen = live, &state
	result, err := loop.Run(ctx)
	live.Close()
	out.Take(result, o.spelled(t))
	err = errors.Join(err, settle(t, kept, result, err))
	if err != nil || !result.Reached() {
		return out, err
	}
	return out, o.prove(ctx, t, &out)
}

// keeps says whether a spec is stored before anything is done, so that what was
// begun is gone on with. One that asks for what is refused would be obeyed later,
// when nobody thinks of it. The first one is kept all the same if there is
// anything to do: whatever is made must be found again.
func keeps(t target, road render.Road) bool {
	begins := len(road.Refusals) == 0 || road.Steps() > 0
	return begins && (t.stored == nil || !asked(road.Refusals))
}

// asked says whether a refusal is of something that the spec asks for.
func asked(refusals []plan.Refusal) bool {
	return slices.ContainsFunc(refusals, func(r plan.Refusal) bool { return r.Asked })
}

// settle stores at last what was obeyed: the new spec, or the former one if the
// new one asks for what was refused, or if nothing came of it. A member that
// cannot be reached does not take back what others were restarted with.
func settle(t target, kept bool, result converge.Outcome, err error) error {
	nothing := result.Done == 0 && (len(result.Refusals) > 0 || err != nil)
	refused := asked(result.Refusals) || nothing
	switch {
	case t.stored == nil || kept == !refused || !kept && err != nil:
		return nil
	case refused:
		return t.home.SaveSpec(spec.Encode(*t.stored))
	}
	return t.home.SaveSpec(spec.Encode(t.spec))
}

// prove finds the cluster through DNS as any client would. The resolver of
// this machine may still remember what DNS said before, for as long as that
// allowed; it is asked until it does not, or patience ends.
func (o *upOptions) prove(ctx context.Context, t target, out *render.Outcome) error {
	sur, err := o.surroundings(ctx, o.system, t) // the name server may be new
	if err != nil {
		return err
	}
	end := time.Now().Add(o.patience(t.spec))
	told := false
	for {
		health, err := healthOf(ctx, t.spec, sur)
		if err == nil {
			out.Health = &health
			out.Reached = health.Verdict == render.Healthy
		}
		if out.Reached || sur.Resolver != "" || ctx.Err() != nil || time.Now().After(end) {
			return err
		}
		if !told {
			told = true
			fmt.Fprintf(o.system.Err, "waiting: the resolver of this machine does not show the cluster as it is yet\n")
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (o *upOptions) next(t target) []string {
	if o.format() == render.Text && o.system.Size == nil {
		return nil // nobody reads it in a pipe
	}
	next := []string{o.again("etcdctl -- put greeting hello"), o.again("health"), o.again("status"), `eval "$(` + o.again("env") + `)"`}
	if t.spec.Hosts.Local != nil {
		next = append(next, o.again("destroy"))
	}
	return next
}

// endangered are the hosts that a road would remove, with their data.
func endangered(r render.Road) []string {
	var out []string
	for _, b := range r.Batches {
		for _, s := range b.Steps {
			if s.Destroys {
				out = append(out, s.String()+", and its data with it")
			}
		}
	}
	return out
}
