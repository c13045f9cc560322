package converge

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/apply"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/progress"
)

// Round is one look at the world, and the one batch of steps that was taken
// after it.
type Round struct {
	// State is what was seen.
	State cluster.State
	// Missing are the members whose host was not found, now or in an earlier
	// round, and of which nobody has seen the end; by name.
	Missing []cluster.Host
	// Plan is what was planned from it, and tried.
	Plan plan.Plan
	// Done counts the steps that succeeded. Err is the error of the others; nil
	// if there are none.
	Done int
	Err  error
}

// Last says that another round would do nothing either, until a person or the
// world does something.
func (r Round) Last() bool { return len(r.Plan.Steps) == 0 && !mayPass(r.Plan.Refusals) }

// Round observes, plans, and carries out one batch. The error is that of a
// context which ended before anything was planned; if it ends later, what was
// begun is in the round.
func (l *Loop) Round(ctx context.Context) (Round, error) {
	state := l.look(ctx)
	if ctx.Err() != nil {
		return Round{}, context.Cause(ctx)
	}
	l.tell(progress.Event{Kind: progress.Observed})
	missing := l.memory.missing.seen(state)
	l.tellGates(state)
	l.memory.fresh.keep(&state.Fresh)
	state.GivenUp = slices.Clone(l.memory.givenUp)
	p := l.Next(l.Spec, state)
	l.memory.fresh.spend(p)
	l.memory.givenUp.learn(l.operation(state), p)
	done, err := l.batch(ctx, p)
	return Round{State: state, Missing: missing, Plan: p, Done: done, Err: err}, nil
}

// operation is the one in flight, as far as it can be read.
func (l *Loop) operation(s cluster.State) cluster.Operation {
	m, _, _ := l.Spec.Marker(s.Records.Or(cluster.Records{}))
	return m.Op
}

// look is what somebody has just seen, the first time, or an observation.
func (l *Loop) look(ctx context.Context) cluster.State {
	seen := l.Seen
	l.Seen = nil
	if seen != nil {
		l.memory.fresh.keep(&seen.Fresh)
	}
	if recent(seen, l.World.Now()) {
		return *seen
	}
	return l.Observe(ctx)
}

// recent says whether a plan may be made from an observation. Its maker may have
// waited since for a person's answer. An observation itself takes seconds if a host
// does not answer.
func recent(seen *cluster.State, now time.Time) bool {
	const longest = 5 * time.Second
	return seen != nil && now.Sub(seen.At) < longest
}

// batch carries out the steps of a plan: together, but those on one object in
// order, or all one after the other. One that fails does not keep the others
// from being tried, for they never build on each other: what does is planned
// from the next observation.
func (l *Loop) batch(ctx context.Context, p plan.Plan) (done int, err error) {
	steps := make([]progress.Step, len(p.Steps))
	for i, s := range p.Steps {
		steps[i] = Describe(s)
	}
	if len(steps) > 0 {
		l.tell(progress.Event{Kind: progress.Planned, Steps: steps, Together: p.Together})
	}
	failed := make([]error, len(p.Steps))
	var all sync.WaitGroup
	for _, chain := range chains(p) {
		all.Go(func() {
			for _, i := range chain {
				failed[i] = l.step(ctx, p.Steps[i], steps[i])
			}
		})
	}
	all.Wait()
	failures, err := join(failed)
	return len(steps) - failures, err
}

// chains are the steps of a plan, by number, that are carried out in order.
func chains(p plan.Plan) [][]int {
	var out [][]int
	chain := map[string]int{}
	for i, s := range p.Steps {
		on := s.Object()
		if !p.Together {
			on = ""
		}
		if _, begun := chain[on]; !begun {
			chain[on] = len(out)
			out = append(out, nil)
		}
		out[chain[on]] = append(out[chain[on]], i)
	}
	return out
}

func (l *Loop) step(ctx context.Context, s plan.Step, shown progress.Step) error {
	l.Boundary(ctx, "before", shown.String())
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	begun := time.Now()
	l.tell(progress.Event{Kind: progress.Started, Step: &shown})
	err := apply.Step(ctx, l.Spec, l.World, s, func(detail string) {
		l.tell(progress.Event{Kind: progress.Waiting, Step: &shown, Detail: detail})
	})
	if err != nil {
		l.tell(progress.Event{Kind: progress.Failed, Step: &shown, Took: time.Since(begun), Error: failing(ctx, err)})
	} else {
		l.tell(progress.Event{Kind: progress.Done, Step: &shown, Took: time.Since(begun)})
	}
	l.Boundary(ctx, "after", shown.String())
	return err
}

// failing is how an error of a step is told: if somebody interrupted it, what was
// cut short in it says nothing.
func failing(ctx context.Context, err error) string {
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))) {
		return "interrupted"
	}
	return err.Error()
}

// mayPass says whether another look could lift every refusal.
func mayPass(refusals []plan.Refusal) bool {
	return len(refusals) > 0 && !slices.ContainsFunc(refusals, func(r plan.Refusal) bool { return !r.Unknown })
}
