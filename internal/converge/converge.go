// Package converge is the loop that makes a cluster what its spec says, and
// keeps it so. Read this page first; each of its five stages is a package
// below:
//
//	spec     what is wanted
//	observe  what is
//	plan     what to do (and what not to)
//	apply    do it
//	verify   is it so
//
// The loop remembers nothing between two rounds but how long nothing has
// moved: each plan is made from a fresh observation of the world, the first
// perhaps from one that its caller has just shown. So a crash at any point, a
// lost answer or a second controller only ever means one more look.
package converge

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/apply"
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
	// Check verifies that the goal is reached, once nothing is left to do.
	Check func(cluster.Spec, cluster.State) []verify.Difference
	// Seen is an observation that somebody made, which spares the loop its
	// first while it is fresh; nil for none.
	Seen *cluster.State
	// Report receives every event.
	Report progress.Reporter
	// Patience is how long the loop goes on while nothing moves.
	Patience time.Duration
	// Boundary is called before and after every step. It is where tests stop,
	// kill or interfere.
	Boundary func(ctx context.Context, when, step string)
}

// Up makes the loop that converges to the spec.
func Up(spec cluster.Spec, w world.World) Loop {
	return Loop{Spec: spec, World: w, Next: plan.Up, Check: verify.Check, Report: progress.Discard{},
		Patience: time.Minute, Boundary: func(context.Context, string, string) {}}
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
	// succeeded.
	Steps, Done int
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
	// Waiting is what start gates waited for at the end (rule R3).
	Waiting []string
}

// Error implements error.
func (s *Stalled) Error() string {
	text := fmt.Sprintf("nothing has moved for %s, still at: %s", s.For.Round(time.Second), strings.Join(s.Steps, ", "))
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
	told, lost := map[string]bool{}, missing{}
	pace := pace{patience: l.Patience, since: time.Now(), seen: map[string]int{}}
	var supply fresh
	if l.Seen != nil {
		supply.keep(&l.Seen.Fresh)
	}
	for round := 0; ; round++ {
		if round == 0 && recent(l.Seen, l.World.Now()) {
			out.State = *l.Seen
		} else {
			out.State = observe.Observe(ctx, l.Spec, l.World, observe.Steady)
		}
		if ctx.Err() != nil {
			return out, context.Cause(ctx)
		}
		l.tell(progress.Event{Kind: progress.Observed})
		out.Missing = lost.seen(out.State)
		l.tellGates(out.State, told)
		supply.keep(&out.State.Fresh)
		p := l.Next(l.Spec, out.State)
		supply.spend(p)
		out.Refusals = p.Refusals
		if len(p.Steps) == 0 && !mayPass(p.Refusals) {
			return l.finish(out), nil
		}
		failed, err := l.batch(ctx, p)
		out.Steps += len(p.Steps)
		done := len(p.Steps) - failed
		out.Done += done
		switch {
		case ctx.Err() != nil:
			return out, context.Cause(ctx)
		case fault.Lasting(err) && done == 0: // else something may follow from what was done
			return out, err
		case pace.keep(ctx, p, err):
		case len(p.Steps) == 0:
			return l.finish(out), nil
		default:
			return out, &Stalled{For: time.Since(pace.since), Steps: names(p), Last: err, Waiting: gates(out.State)}
		}
	}
}

// missing are the members whose host was not found, as each was first seen; the
// zero value for one that was seen to run and so is known to have ended since.
type missing map[cluster.MemberName]cluster.Host

// seen adds what is missing now, and returns those that may still run.
func (m missing) seen(s cluster.State) []cluster.Host {
	var out []cluster.Host
	now := map[cluster.MemberName]bool{}
	for _, h := range s.Missing {
		if running := h.Node.Known() && h.Node.Value.Process.Running; running {
			out, now[h.Name] = append(out, h), true
			m[h.Name] = cluster.Host{}
		} else if _, known := m[h.Name]; !known {
			m[h.Name] = h
		}
	}
	for name, h := range m {
		if h.Name != "" && !now[name] {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b cluster.Host) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return out
}

// fresh are names that nobody has used yet. As long as no plan claims them, all
// plans speak of the same, so that what was shown is what is done.
type fresh struct{ cluster.Fresh }

// keep puts the names that were kept in the place of these, or keeps these.
func (f *fresh) keep(names *cluster.Fresh) {
	if f.Token == "" {
		f.Fresh = *names
	}
	*names = f.Fresh
}

// spend forgets names that a plan claims, whether or not that succeeds (rule
// R6).
func (f *fresh) spend(p plan.Plan) {
	for _, s := range p.Steps {
		if change, ok := s.(plan.ChangeRecords); ok && change.Purpose == plan.Claim {
			*f = fresh{}
		}
	}
}

// recent says whether a plan may be made from an observation: whoever made it may
// have asked somebody since, who took their time. An observation itself takes
// seconds where a host does not answer.
func recent(seen *cluster.State, now time.Time) bool {
	const longest = 5 * time.Second
	return seen != nil && now.Sub(seen.At) < longest
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

// batch carries out the steps of a plan: together, but those on one object in
// order, or all one after the other. One that fails does not keep the others
// from being tried, for they never build on each other: what does is planned
// from the next observation.
func (l *Loop) batch(ctx context.Context, p plan.Plan) (failures int, err error) {
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
	return join(failed)
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
		l.tell(progress.Event{Kind: progress.Failed, Step: &shown, Took: time.Since(begun), Error: err.Error()})
	} else {
		l.tell(progress.Event{Kind: progress.Done, Step: &shown, Took: time.Since(begun)})
	}
	l.Boundary(ctx, "after", shown.String())
	return err
}

func (l *Loop) tell(e progress.Event) {
	e.At = time.Now()
	l.Report.Report(e)
}

// tellGates reports what start gates wait for, each once.
func (l *Loop) tellGates(s cluster.State, told map[string]bool) {
	for _, h := range s.Hosts.Value {
		if gate := h.Node.Value.Process.Gate; gate != "" && !told[string(h.Name)+gate] {
			told[string(h.Name)+gate] = true
			l.tell(progress.Event{Kind: progress.Waiting, Detail: "waits at its gate: " + gate,
				Step: &progress.Step{Verb: plan.StartMember{}.Verb(), Object: string(h.Name), Members: []string{string(h.Name)}}})
		}
	}
}

// gates are what members wait for at their gates. It is often the same for all.
func gates(s cluster.State) []string {
	var reasons, out []string
	waiting := map[string][]cluster.MemberName{}
	for _, h := range s.Hosts.Value {
		if gate := h.Node.Value.Process.Gate; gate != "" {
			if waiting[gate] == nil {
				reasons = append(reasons, gate)
			}
			waiting[gate] = append(waiting[gate], h.Name)
		}
	}
	for _, gate := range reasons {
		wait := " waits at its gate: "
		if len(waiting[gate]) > 1 {
			wait = " wait at their gates: "
		}
		out = append(out, cluster.JoinMembers(waiting[gate])+wait+gate)
	}
	return out
}

// Describe is a step as people and scripts are told of it.
func Describe(s plan.Step) progress.Step {
	r := s.Because()
	out := progress.Step{Verb: s.Verb(), Object: s.Object(), Destroys: s.Destroys(), Why: r.Why, Quorum: r.Quorum}
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

// mayPass says whether another look could lift every refusal.
func mayPass(refusals []plan.Refusal) bool {
	return len(refusals) > 0 && !slices.ContainsFunc(refusals, func(r plan.Refusal) bool { return !r.Unknown })
}
