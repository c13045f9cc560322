// Package converge is the loop that makes a cluster match its spec, and
// keeps it that way. Read this page first; each of its five stages is a package
// below:
//
//	spec     what is wanted
//	observe  what exists
//	plan     what to do (and what not to)
//	apply    do it
//	verify   check the result
//
// [Loop.Run] repeats rounds until the goal is reached, as a command does; a
// program that keeps a cluster for good calls [Loop.Round] at its own pace.
//
// The loop decides nothing from what it remembers between two rounds, except how
// long there has been no progress, and which members were to join and were lost:
// each plan is made from a fresh observation of the world, the first perhaps from
// one that its caller has just shown. So a crash at any point, a lost answer or a
// second controller costs one more observation.
package converge

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/observe"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/converge/verify"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/progress"
	"github.com/pleiad-etcd/pleiad/internal/world"
)

// Loop is one controller of one cluster; see [Up] and [Destroy].
type Loop struct {
	Spec  cluster.Spec
	World world.World
	// Next plans towards the goal.
	Next plan.Planner
	// Wishes are what a person asks for beside the spec; see [Loop.Wish].
	Wishes plan.Wishes
	// Check verifies that the goal is reached, once nothing is left to do.
	Check func(cluster.Spec, cluster.State) []verify.Difference
	// Seen is an observation that somebody made, which spares the next round its
	// own while it is fresh; nil for none.
	Seen *cluster.State
	// Report receives every event.
	Report progress.Reporter
	// Look is how long an observation may take at the most, if it is more than
	// usual; for who looks but once.
	Look time.Duration
	// Patience is how long the loop goes on while nothing moves.
	Patience time.Duration
	// Boundary is called before and after every step. It is where tests stop,
	// kill or interfere.
	Boundary func(ctx context.Context, when, step string)

	memory memory
}

// Up makes the loop that converges to the spec.
func Up(spec cluster.Spec, w world.World) Loop {
	return Loop{Spec: spec, World: w, Next: plan.Up, Check: verify.Check, Report: progress.Discard{},
		Patience: time.Minute, Boundary: func(context.Context, string, string) {}, memory: newMemory()}
}

// Wish has the loop do what a person asks for beside the spec. Of a member that is to
// be replaced and does not answer, the others are asked.
func (l *Loop) Wish(w plan.Wishes) { l.Wishes, l.Next = w, plan.For(w) }

// Observe looks at the world, as a round does. Of members that a person gives up, and
// of those whose host is gone, the others are asked.
func (l *Loop) Observe(ctx context.Context) cluster.State {
	s := observe.Observe(ctx, l.Spec, l.World, observe.Steady.AtLeast(l.Look))
	given := slices.Clone(l.Wishes.Replaced)
	for _, h := range s.Missing {
		if !h.View.Known() {
			given = append(given, h.Name)
		}
	}
	observe.Hear(ctx, l.Spec, l.World, &s, given)
	return s
}

// Destroy makes the loop that takes down all that is ours.
func Destroy(spec cluster.Spec, w world.World) Loop {
	l := Up(spec, w)
	l.Next = plan.Destroy
	l.Check = func(cluster.Spec, cluster.State) []verify.Difference { return nil }
	return l
}

// Outcome is how a loop ended without an error.
type Outcome struct {
	// State is the last observation.
	State cluster.State
	// Refusals are what was not done, and why. With any of them the goal is
	// not reached.
	Refusals []plan.Refusal
	// Differences are what verification found although nothing was left to
	// do; always empty after a destroy.
	Differences []verify.Difference
	// Missing are the members whose host was not found and of which nobody has
	// seen the end, by name. They are in no state any more once the records are
	// gone.
	Missing []cluster.Host
	// Steps counts the steps that were carried out, Done those of them that
	// succeeded, Changes those that succeeded and did more than wait.
	Steps, Done, Changes int
}

// Reached says whether the goal is reached.
func (o Outcome) Reached() bool { return len(o.Refusals) == 0 && len(o.Differences) == 0 }

// Stalled is the error of a loop that gave up: for as long as its patience
// lasted, the same steps were planned and nothing moved.
type Stalled struct {
	For   time.Duration
	Steps []string
	// Last is the error of the last attempt, nil if the steps succeeded
	// without effect.
	Last error
	// Waiting is what start gates waited for at the end (rule R3), and why the
	// members and name servers that were awaited were not as they should be.
	Waiting []string
}

// Error implements error.
func (s *Stalled) Error() string {
	text := fmt.Sprintf("no progress for %s, still at: %s", s.For.Round(time.Second), strings.Join(s.Steps, ", "))
	if s.Last != nil {
		text = s.Last.Error()
	}
	return strings.Join(append([]string{text}, s.Waiting...), "; ")
}

// Unwrap gives the cause.
func (s *Stalled) Unwrap() error { return s.Last }

// Run goes round until nothing is left to do, a person must act, or nothing
// moves any more.
func (l *Loop) Run(ctx context.Context) (Outcome, error) {
	var out Outcome
	pace := pace{patience: l.Patience, since: time.Now(), seen: map[string]int{}}
	for {
		r, err := l.Round(ctx)
		if err != nil {
			return out, err
		}
		out.add(r)
		switch {
		case r.Last():
			return l.finish(out), nil
		case ctx.Err() != nil:
			return out, context.Cause(ctx)
		case fault.Lasting(r.Err) && r.Done == 0: // else something may follow from what was done
			return out, r.Err
		case pace.keep(ctx, r.Plan, r.Err):
		case len(r.Plan.Steps) == 0:
			return l.finish(out), nil
		default:
			return out, &Stalled{For: time.Since(pace.since), Steps: names(r.Plan), Last: r.Err, Waiting: waiting(r)}
		}
	}
}

// add takes up what came of a round.
func (o *Outcome) add(r Round) {
	o.State, o.Missing, o.Refusals = r.State, r.Missing, r.Plan.Refusals
	o.Steps += len(r.Plan.Steps)
	o.Done += r.Done
	if !slices.ContainsFunc(r.Plan.Steps, plan.Waits) { // who waits does nothing else
		o.Changes += r.Done
	}
}

// finish ends a loop that has nothing left to do.
func (l *Loop) finish(out Outcome) Outcome {
	for _, r := range out.Refusals {
		l.tell(progress.Event{Kind: progress.Refused, Detail: strings.Join(r.Evidence, "; "),
			Step: &progress.Step{Verb: r.What, Rules: []string{string(r.Rule)}}})
	}
	out.Differences = l.Check(l.Spec, out.State)
	if out.Reached() {
		l.tell(progress.Event{Kind: progress.Converged})
	}
	return out
}

func (l *Loop) tell(e progress.Event) {
	e.At = time.Now()
	l.Report.Report(e)
}

// Describe is a step as people and scripts are told of it.
func Describe(s plan.Step) progress.Step {
	r := s.Because()
	out := progress.Step{Verb: s.Verb(), Object: s.Object(), Destroys: s.Destroys(), Waits: plan.Waits(s), Why: r.Why, Quorum: r.Quorum}
	for _, m := range s.Members() {
		out.Members = append(out.Members, string(m))
	}
	for _, rule := range r.Rules {
		out.Rules = append(out.Rules, string(rule))
	}
	return out
}

func names(p plan.Plan) []string {
	out := make([]string, len(p.Steps))
	for i, s := range p.Steps {
		out[i] = plan.String(s)
	}
	return out
}
