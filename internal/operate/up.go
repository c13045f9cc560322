package operate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pleiad-etcd/pleiad/discovery"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge"
	"github.com/pleiad-etcd/pleiad/internal/converge/observe"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/converge/spec"
	"github.com/pleiad-etcd/pleiad/internal/world/etcd"
	"github.com/pleiad-etcd/pleiad/internal/world/statedir"
)

// Up makes the cluster what the spec says, and looks at it as a client would. It
// asks if hosts or data are to be destroyed. The home is made if there is none;
// if nothing came of it, there is none again.
func (o Operator) Up(ctx context.Context) (Result, error) { return o.converge(ctx, nil) }

// Pick chooses a member of a target from what was seen.
type Pick func(Target, cluster.State) (cluster.MemberName, error)

// Replace is Up, and has one member replaced. It asks first. There must be a home.
func (o Operator) Replace(ctx context.Context, pick Pick) (Result, error) {
	t, err := o.Find(ctx)
	if err == nil && t.Home == nil {
		err = fmt.Errorf("cluster %s: %w", t.Spec.Cluster, statedir.ErrNone)
	}
	if err != nil {
		return Result{Target: t}, err
	}
	return o.converge(ctx, pick)
}

func (o Operator) converge(ctx context.Context, pick Pick) (Result, error) {
	t, lock, err := o.begin(ctx)
	if err != nil {
		return Result{}, err
	}
	r, err := o.up(ctx, t, pick)
	if r.Steps == 0 && t.Stored == nil && (err != nil || !r.Reached()) {
		// Nothing came of it: leave no trace. Remove gives the lock back, and
		// refuses where there is more than a trace; what came before it is
		// what matters then.
		_, _ = t.Home.Remove(lock)
		return r, err
	}
	r.Made = t.Stored == nil
	return r, errors.Join(err, lock.Release())
}

// begin makes or finds the cluster's home and takes its lock. What was stored
// is read again under the lock: another command may just have changed it.
func (o Operator) begin(ctx context.Context) (Target, *statedir.Lock, error) {
	for {
		t, err := o.Find(ctx)
		if err != nil {
			return t, nil, err
		}
		creating, cancel := o.waiting(ctx)
		h, err := statedir.Create(creating, t.Root, t.Spec.Cluster, statedir.SeatOf(t.Spec))
		cancel()
		if err != nil {
			return t, nil, err
		}
		lock, err := o.Lock(ctx, t, h)
		if errors.Is(err, statedir.ErrNone) && ctx.Err() == nil { // destroyed while we waited
			continue
		}
		if err != nil {
			return t, nil, err
		}
		if t, err = o.Find(ctx); err == nil && t.Home == nil {
			err = fmt.Errorf("cluster %s: %w", t.Spec.Cluster, statedir.ErrNone)
		}
		if err == nil && t.Home.Copied() == "" { // a copy is the planner's to refuse
			err = t.Home.Settle()
		}
		if err != nil {
			return t, nil, errors.Join(err, lock.Release())
		}
		return t, lock, nil
	}
}

// up looks, shows, asks, does, and looks at the result as a client.
func (o Operator) up(ctx context.Context, t Target, pick Pick) (Result, error) {
	r := Result{Target: t}
	w, err := o.Open(ctx, t)
	if err != nil {
		return r, err
	}
	loop := converge.Up(t.Spec, w.World)
	state, road, err := o.prepare(ctx, t, &loop, pick)
	if err != nil {
		return r, err
	}
	kept := keeps(t, road)
	if kept {
		if err := t.Home.SaveSpec(spec.Encode(t.Spec)); err != nil {
			return r, err
		}
	}
	loop.Seen = &state
	r.Outcome, err = o.run(ctx, loop)
	err = errors.Join(err, settle(t, kept, r.Outcome, err))
	if err != nil || !r.Outcome.Reached() {
		return r, err
	}
	r.Health, err = o.prove(ctx, t)
	if errors.Is(err, discovery.ErrNotFound) || errors.Is(err, discovery.ErrUnavailable) {
		err = &UnseenError{Spec: t.Spec, Err: err}
	}
	return r, err
}

// UnseenError is the error of a cluster that is as the spec says, and that this
// machine's resolver does not show.
type UnseenError struct {
	Spec cluster.Spec
	Err  error
}

// Error implements error.
func (e *UnseenError) Error() string {
	return fmt.Sprintf("its %d members are as the spec says, but this machine does not find them in DNS: %v", e.Spec.Members, e.Err)
}

// Unwrap gives the cause.
func (e *UnseenError) Unwrap() error { return e.Err }

// prepare is all that comes before the first step: a look, the member that is to be
// replaced if there is one, the road from there, and consent to it.
func (o Operator) prepare(ctx context.Context, t Target, loop *converge.Loop, pick Pick) (cluster.State, []plan.Plan, error) {
	state, err := look(ctx, t, *loop)
	if err == nil {
		err = o.SameZone(ctx, t, state, false)
	}
	if err != nil {
		return state, nil, err
	}
	q, wishes := Question{Target: t, State: state}, plan.Wishes{Older: true}
	if pick != nil {
		if q.Replaced, err = pick(t, state); err != nil {
			return state, nil, err
		}
		wishes.Replaced = []cluster.MemberName{q.Replaced}
		observe.Hear(ctx, t.Spec, loop.World, &q.State, wishes.Replaced)
		state = q.State
	}
	q.Road, _ = plan.Road(plan.For(wishes), t.Spec, state) // each step is planned anew, foreseen or not
	if err := o.Show(t, q.Road); err != nil {
		return state, nil, err
	}
	wishes.Older = len(q.Back()) > 0 // what comes up later, nobody has agreed to
	loop.Wish(wishes)
	if len(q.Destroys())+len(q.Back()) > 0 || q.Replaced != "" && len(q.Road[0].Steps) > 0 {
		err = o.consent(ctx, q)
	}
	return state, q.Road, err
}

// look observes for somebody who may be asked about it.
func look(ctx context.Context, t Target, loop converge.Loop) (cluster.State, error) {
	state := loop.Observe(ctx)
	if ctx.Err() != nil {
		return state, context.Cause(ctx)
	}
	return state, nil
}

// run runs a loop to its end.
func (o Operator) run(ctx context.Context, loop converge.Loop) (converge.Outcome, error) {
	live := o.Progress()
	defer live.Close()
	loop.Report, loop.Patience, loop.Boundary = live, o.patience(loop.Spec), o.Boundary
	return loop.Run(ctx)
}

// keeps says whether a spec is stored before anything is done, so that what was
// begun is gone on with. One that asks for what is refused would be obeyed later,
// when nobody thinks of it. The first one is kept all the same if there is
// anything to do: whatever is made must be found again.
func keeps(t Target, road []plan.Plan) bool {
	refusals := refused(road)
	begins := len(refusals) == 0 || len(road[0].Steps) > 0
	return begins && (t.Stored == nil || !asked(refusals))
}

// asked says whether a refusal is of something that the spec asks for.
func asked(refusals []plan.Refusal) bool {
	return slices.ContainsFunc(refusals, func(r plan.Refusal) bool { return r.Asked })
}

// settle stores at last what was obeyed: the new spec, or the former one if the
// new one asks for what was refused, or if nothing came of it. A member that
// cannot be reached does not take back what others were restarted with.
func settle(t Target, kept bool, result converge.Outcome, err error) error {
	nothing := result.Done == 0 && (len(result.Refusals) > 0 || err != nil)
	refused := asked(result.Refusals) || nothing
	switch {
	case t.Stored == nil || kept == !refused || !kept && err != nil:
		return nil
	case refused:
		return t.Home.SaveSpec(spec.Encode(*t.Stored))
	}
	return t.Home.SaveSpec(spec.Encode(t.Spec))
}

// prove finds the cluster through DNS as any client would. The resolver of
// this machine may still remember what DNS said before, also that there was
// nothing, for as long as that allowed; it is asked until it does not, or patience
// ends.
func (o Operator) prove(ctx context.Context, t Target) (*Health, error) {
	w, err := o.Open(ctx, t) // the name server may be new
	if err != nil {
		return nil, err
	}
	end := time.Now().Add(o.patience(t.Spec))
	var health *Health // as it was seen last
	for told := ""; ; {
		seen, err := o.Client(ctx, t.Spec, w)
		if err == nil {
			health = &seen
		}
		switch {
		case err == nil && seen.Verdict == Healthy, lasting(err), w.Resolver != "", ctx.Err() != nil, time.Now().After(end):
			return health, err
		}
		why := seen.complaint()
		if err != nil {
			why = err.Error()
		}
		if why != told {
			told = why
			o.Stale(why)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// lasting says of an error of a client that asking again will not do.
func lasting(err error) bool {
	return errors.Is(err, discovery.ErrInvalidArgument) || errors.Is(err, etcd.ErrUnasked)
}
