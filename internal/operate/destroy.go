package operate

import (
	"context"
	"errors"
	"fmt"

	"github.com/pleiad-etcd/pleiad/internal/converge"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/world/statedir"
)

// Destroy takes down all of the cluster that is ours, and its home. It asks
// first, whatever there is. keepData moves the members' data aside instead of
// deleting it.
func (o Operator) Destroy(ctx context.Context, keepData bool) (Result, error) {
	t, err := o.Find(ctx)
	if err != nil {
		return Result{}, err
	}
	if t.Home == nil {
		return Result{}, fmt.Errorf("cluster %s: %w", t.Spec.Cluster, statedir.ErrNone)
	}
	lock, err := o.Lock(ctx, t, t.Home)
	if err != nil {
		return Result{Target: t}, err
	}
	now, err := o.Find(ctx) // it may have changed while we waited
	if err == nil && now.Home == nil {
		err = fmt.Errorf("cluster %s: %w", t.Spec.Cluster, statedir.ErrNone)
	}
	if err != nil {
		return Result{Target: t}, errors.Join(err, lock.Release())
	}
	r, err := o.destroy(ctx, now, keepData)
	if err != nil || !r.Reached() {
		return r, errors.Join(err, lock.Release())
	}
	r.Files, err = now.Home.Remove(lock) // which gives the lock back
	return r, err
}

// destroy looks, asks, and does.
func (o Operator) destroy(ctx context.Context, t Target, keepData bool) (Result, error) {
	r := Result{Target: t}
	w, err := o.Open(ctx, t)
	if err != nil {
		return r, err
	}
	loop := converge.Destroy(t.Spec, w.World)
	if keepData {
		loop.Next = plan.DestroyButData
	}
	if err := o.permit(ctx, t, loop); err != nil {
		return r, err
	}
	r.Outcome, err = o.run(ctx, loop)
	if err != nil || !r.Reached() {
		return r, err
	}
	return r, w.Sweep(ctx, keepData)
}

// permit sees that the cluster is where the spec says, and asks for consent.
func (o Operator) permit(ctx context.Context, t Target, loop converge.Loop) error {
	if o.Agreed && t.sameServer() {
		return nil
	}
	state, err := look(ctx, t, loop)
	if err == nil {
		err = o.SameZone(ctx, t, state, true)
	}
	if err != nil {
		return err
	}
	road, _ := plan.Road(loop.Next, t.Spec, state) // each step is planned anew, foreseen or not
	return o.consent(ctx, Question{Target: t, State: state, Road: road})
}
