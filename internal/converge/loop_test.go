package converge

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/converge/verify"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/progress"
	"github.com/pleiad-etcd/pleiad/internal/world"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
)

// empty is a world in which nothing is, and whose one step, the renewal of the
// operator's certificate, does what a test says.
type empty struct {
	dns.Zone
	hosts.Provider
	looks int
	look  func()
	renew func() error
}

func (*empty) Read(context.Context, []cluster.Key) (cluster.Records, error) {
	return cluster.Records{}, nil
}
func (*empty) Apply(context.Context, []cluster.Change) (dns.Receipt, error) { return "", nil }
func (*empty) Settled(context.Context, dns.Receipt) error                   { return nil }
func (*empty) List(context.Context) (hosts.Listing, error)                  { return hosts.Listing{}, nil }
func (*empty) Trace(context.Context) ([]cluster.Host, error)                { return nil, nil }
func (e *empty) Inspect(context.Context) (cluster.Control, error) {
	e.looks++
	e.look()
	return cluster.Control{}, nil
}
func (e *empty) RenewOperator(context.Context) error { return e.renew() }
func (*empty) Create(context.Context, cluster.Owner, bool) error {
	return errors.New("nobody asked for it")
}
func (*empty) Forget(context.Context) error { return errors.New("nobody asked for it") }
func (*empty) Issue(context.Context, cluster.MemberName, []string) (node.Credentials, error) {
	return node.Credentials{}, errors.New("nobody asked for it")
}

// told notes the kinds of events.
type told struct {
	mu     sync.Mutex
	kinds  []progress.Kind
	detail []string
	failed string // how the last step failed
}

func (r *told) Report(e progress.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kinds, r.detail = append(r.kinds, e.Kind), append(r.detail, e.Detail)
	if e.Kind == progress.Failed {
		r.failed = e.Error
	}
}

// scripted is a loop in an empty world, whose plans are those given; the last
// one stays.
func scripted(plans ...plan.Plan) (*Loop, *empty, *told) {
	e, r := &empty{look: func() {}, renew: func() error { return nil }}, &told{}
	l := Up(cluster.Spec{Members: 1}, world.World{DNS: e, Hosts: e, Authority: e, Fresh: func(int) cluster.Fresh { return cluster.Fresh{} }})
	l.Report = r
	l.Check = func(cluster.Spec, cluster.State) []verify.Difference { return nil }
	l.Next = func(cluster.Spec, cluster.State) plan.Plan {
		p := plans[0]
		if len(plans) > 1 {
			plans = plans[1:]
		}
		return p
	}
	return &l, e, r
}

var (
	nothing = plan.Plan{}
	renewal = plan.Plan{Steps: []plan.Step{plan.RenewOperator{}}}
	lasting = plan.Plan{Refusals: []plan.Refusal{{Rule: "R10"}, {Rule: "R1", Unknown: true}}}
	passing = plan.Plan{Refusals: []plan.Refusal{{Rule: "R1", Unknown: true}}}
)

// timed runs a loop to its end and says how long that took. It must be called in
// a bubble.
func timed(t *testing.T, l *Loop) (Outcome, time.Duration, error) {
	begun := time.Now()
	out, err := l.Run(t.Context())
	return out, time.Since(begun), err
}

// Everything that happens is told, and nothing else.
func TestALoopIsTold(t *testing.T) {
	odd := func(l *Loop, e *empty) {
		l.Check = func(cluster.Spec, cluster.State) []verify.Difference { return []verify.Difference{{}} }
	}
	fails := func(_ *Loop, e *empty) { e.renew = func() error { return hosts.ErrNoPlace } }
	for _, c := range []struct {
		name   string
		plans  []plan.Plan
		change func(*Loop, *empty)
		want   []progress.Kind
	}{
		{"nothing to do", []plan.Plan{nothing}, nil, []progress.Kind{progress.Observed, progress.Converged}},
		{"a step", []plan.Plan{renewal, nothing}, nil, []progress.Kind{progress.Observed, progress.Planned, progress.Started, progress.Done, progress.Observed, progress.Converged}},
		{"a step that fails", []plan.Plan{renewal}, fails, []progress.Kind{progress.Observed, progress.Planned, progress.Started, progress.Failed}},
		{"a refusal", []plan.Plan{lasting}, nil, []progress.Kind{progress.Observed, progress.Refused, progress.Refused}},
		{"a refusal that passes", []plan.Plan{passing, nothing}, nil, []progress.Kind{progress.Observed, progress.Observed, progress.Converged}},
		{"a difference", []plan.Plan{nothing}, odd, []progress.Kind{progress.Observed}},
	} {
		synctest.Test(t, func(t *testing.T) {
			l, e, r := scripted(c.plans...)
			if c.change != nil {
				c.change(l, e)
			}
			timed(t, l)
			if !slices.Equal(r.kinds, c.want) {
				t.Errorf("%s: told %q, want %q", c.name, r.kinds, c.want)
			}
		})
	}
}

// What only a person can mend ends a loop at once; what may pass is tried for a
// while.
func TestALoopEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, _ := scripted(lasting)
		if out, took, err := timed(t, l); err != nil || len(out.Refusals) != 2 || took != 0 {
			t.Errorf("a lasting refusal: %v, %v after %s", out.Refusals, err, took)
		}
		l, e, _ := scripted(passing)
		if out, took, err := timed(t, l); err != nil || len(out.Refusals) != 1 || took == 0 || e.looks != attempts {
			t.Errorf("a passing refusal: %v, %v after %s and %d looks", out.Refusals, err, took, e.looks)
		}
		l, e, _ = scripted(renewal)
		e.renew = func() error { return fmt.Errorf("here: %w", hosts.ErrNoPlace) }
		if _, took, err := timed(t, l); !errors.Is(err, hosts.ErrNoPlace) || errors.As(err, new(*Stalled)) || took != 0 {
			t.Errorf("a final error: %v after %s", err, took)
		}
		l, e, _ = scripted(renewal)
		other := errors.New("no answer")
		e.renew = func() error { return other }
		var stalled *Stalled
		if out, _, err := timed(t, l); !errors.As(err, &stalled) || !errors.Is(err, other) || out.Steps != attempts || out.Done != 0 {
			t.Errorf("an error that may pass: %v, %d steps, %d done", err, out.Steps, out.Done)
		} else if got := stalled.Error(); got != "renew certificate of the operator: no answer" {
			t.Errorf("an error that may pass: %q", got)
		}
		l, _, _ = scripted(renewal)
		if _, took, err := timed(t, l); err == nil || err.Error() != "no progress for 1m0s, still at: renew certificate of the operator" || took < l.Patience {
			t.Errorf("a step without effect: %v after %s", err, took)
		}
	})
}

// Records that are repaired again are no movement; other records are, though the step
// is called the same.
func TestALoopDoesNotPauseBeforeOtherRecords(t *testing.T) {
	repair := func(why string) plan.Plan {
		return plan.Plan{Steps: []plan.Step{plan.ChangeRecords{Purpose: plan.Repair, Reason: plan.Reason{Why: why}}}}
	}
	for want, plans := range map[time.Duration][]plan.Plan{
		0:              {repair("a differs"), repair("b differs"), repair("c differs"), nothing},
		4 * firstPause: {repair("a differs"), repair("a differs"), repair("b differs"), nothing},
	} {
		synctest.Test(t, func(t *testing.T) {
			l, _, _ := scripted(plans...)
			if out, took, err := timed(t, l); err != nil || out.Done != 3 || took != want {
				t.Errorf("%d done in %s: %v; want 3 in %s", out.Done, took, err, want)
			}
		})
	}
}

// A pause that somebody asks for is kept, and is no attempt; one that is longer
// than the loop's patience ends it.
func TestALoopPausesWhenAsked(t *testing.T) {
	for after, want := range map[time.Duration]struct {
		steps int
		took  time.Duration
	}{7 * time.Second: {9, 56 * time.Second}, time.Hour: {1, 0}} {
		synctest.Test(t, func(t *testing.T) {
			l, e, _ := scripted(renewal)
			e.renew = func() error {
				return fmt.Errorf("here: %w", &fault.Limited{After: after, Err: errors.New("too many requests")})
			}
			out, took, err := timed(t, l)
			if fault.RetryAfter(err) != after || out.Steps != want.steps || took != want.took {
				t.Errorf("a pause of %s: %v, %d steps in %s, want %d in %s", after, err, out.Steps, took, want.steps, want.took)
			}
		})
	}
}

// An observation that was just made is planned from, once.
func TestALoopTakesWhatWasSeen(t *testing.T) {
	for age, want := range map[time.Duration]int{0: 1, time.Minute: 2} {
		synctest.Test(t, func(t *testing.T) {
			l, e, _ := scripted(renewal, nothing)
			l.Seen = &cluster.State{At: time.Now().Add(-age)}
			if _, _, err := timed(t, l); err != nil || e.looks != want {
				t.Errorf("%s old: %d looks, want %d; %v", age, e.looks, want, err)
			}
		})
	}
}

// A loop that was told to end does not act any more, nor look.
func TestALoopEndsWithItsContext(t *testing.T) {
	cause := errors.New("somebody pressed a key")
	for name, befall := range map[string]func(*Loop, *empty, func()){
		"while it looks": func(l *Loop, e *empty, cancel func()) {
			e.look = cancel
			l.Next = func(cluster.Spec, cluster.State) plan.Plan {
				t.Error("planned from a look that was cut short")
				return nothing
			}
		},
		"before a step": func(l *Loop, _ *empty, cancel func()) {
			l.Boundary = func(_ context.Context, when, _ string) {
				if when == "before" {
					cancel()
				}
			}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			l, e, _ := scripted(renewal)
			e.renew = func() error { t.Errorf("%s: a step was carried out", name); return nil }
			befall(l, e, func() { cancel(cause) })
			if _, err := l.Run(ctx); err != cause || e.looks != 1 {
				t.Errorf("%s: %v after %d looks", name, err, e.looks)
			}
		})
	}
}

// A step that somebody interrupts is told as interrupted, one that fails by itself
// as what it is.
func TestAnInterruptedStepIsToldSo(t *testing.T) {
	for _, c := range []struct {
		err         error
		interrupted bool
		want        string
	}{
		{context.Canceled, true, "interrupted"},
		{errors.New("disk full"), true, "renew certificate of the operator: disk full"},
		{context.Canceled, false, "renew certificate of the operator: context canceled"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		l, e, r := scripted(renewal)
		e.renew = func() error {
			if c.interrupted {
				cancel()
			}
			return c.err
		}
		if _, err := l.Round(ctx); err != nil || r.failed != c.want {
			t.Errorf("%v, interrupted %t: told %q, want %q; %v", c.err, c.interrupted, r.failed, c.want, err)
		}
		cancel()
	}
}

// Whoever goes round at a pace of its own is told by each round what was done,
// and that there is nothing more to do. Nothing is forgotten in between.
func TestRounds(t *testing.T) {
	l, e, _ := scripted(renewal, renewal, passing, nothing)
	fails := errors.New("no answer")
	e.renew = func() error { defer func() { fails = nil }(); return fails }
	names := 0
	l.World.Fresh = func(int) cluster.Fresh { names++; return cluster.Fresh{Token: cluster.Token(fmt.Sprint(names))} }
	for i, want := range []struct {
		steps, done int
		err         error
		last        bool
	}{{steps: 1, err: fails}, {steps: 1, done: 1}, {}, {last: true}} {
		r, err := l.Round(t.Context())
		if err != nil || len(r.Plan.Steps) != want.steps || r.Done != want.done || !errors.Is(r.Err, want.err) || r.Last() != want.last {
			t.Errorf("round %d: %d steps, %d done, last %t, %v, %v; want %+v", i, len(r.Plan.Steps), r.Done, r.Last(), r.Err, err, want)
		}
		if e.looks != i+1 || r.State.Fresh.Token != "1" {
			t.Errorf("round %d: %d looks, names %q", i, e.looks, r.State.Fresh.Token)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("somebody pressed a key"))
	if r, err := l.Round(ctx); err != context.Cause(ctx) || len(r.Plan.Steps) > 0 {
		t.Errorf("after the end: %+v, %v", r, err)
	}
}

// What a gate waits for is told once.
func TestGatesAreToldOnce(t *testing.T) {
	l, _, r := scripted()
	for _, gate := range []string{"", "R3: no SRV", "R3: no SRV", "R3: no address", ""} {
		h := cluster.Host{Name: "etcd-a", Node: cluster.Known(cluster.Node{Process: cluster.Process{Gate: gate}})}
		l.tellGates(cluster.State{Hosts: cluster.Known([]cluster.Host{h})})
	}
	if want := []string{"waits at its gate: R3: no SRV", "waits at its gate: R3: no address"}; !slices.Equal(r.detail, want) {
		t.Errorf("told %q, want %q", r.detail, want)
	}
}

// A loop that waits in vain says of everybody that it waits for why that is.
func TestAStalledLoopSaysWhatItWaitsFor(t *testing.T) {
	host := func(name string, p cluster.Process, v cluster.Seen[cluster.View]) cluster.Host {
		return cluster.Host{Name: cluster.MemberName(name), Node: cluster.Known(cluster.Node{Process: p}), View: v}
	}
	refused := cluster.Unknown[cluster.View]("connection refused")
	running := cluster.Process{Running: true}
	dark := host("etcd-d", cluster.Process{}, refused)
	dark.Node = cluster.Unknown[cluster.Node]("no answer within 30s")
	for _, c := range []struct {
		step plan.Step
		want []string
	}{
		{plan.AwaitMembers{Hosts: []cluster.Host{
			host("etcd-a", running, refused),
			host("etcd-b", running, refused),
			host("etcd-c", cluster.Process{Running: true, Exit: "exit status 2"}, cluster.Known(cluster.View{})),
			dark,
			host("etcd-e", cluster.Process{Running: true, Gate: "R3: no SRV"}, cluster.Unknown[cluster.View]("waits at its gate: R3: no SRV")),
			host("etcd-f", running, cluster.Known(cluster.View{Leader: 1})),
		}}, []string{
			"etcd-e waits at its gate: R3: no SRV",
			"etcd-a and etcd-b are not serving: connection refused",
			"etcd-c is not serving: knows no leader; it last ended with: exit status 2",
			"etcd-d is not serving: connection refused; what is on its host is unknown: no answer within 30s",
			"etcd-f is not serving: it does not list all members by name yet",
		}},
		{plan.AwaitRecords{}, []string{"name server ns2.test (192.0.2.2): shows no SRV"}},
		{plan.RenewOperator{}, nil},
	} {
		r := Round{Plan: plan.Plan{Steps: []plan.Step{c.step}}}
		if s, ok := c.step.(plan.AwaitMembers); ok {
			r.State.Hosts = cluster.Known(s.Hosts)
		}
		r.State.Visibility = cluster.Known(cluster.Visibility{Servers: []cluster.AuthoritativeServer{
			{Name: "ns1.test.", Address: netip.MustParseAddr("192.0.2.1")},
			{Name: "ns2.test.", Address: netip.MustParseAddr("192.0.2.2"), Behind: []string{"shows no SRV"}}}})
		if got := waiting(r); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.step.Verb(), got, c.want)
		}
	}
}

// A step that only waits is not counted among what was changed.
func TestWaitingIsNoChange(t *testing.T) {
	wait := plan.Plan{Steps: []plan.Step{plan.AwaitMembers{}}}
	l, _, _ := scripted(renewal, wait, wait, nothing)
	out, err := l.Run(t.Context())
	if err != nil || out.Steps != 3 || out.Done != 3 || out.Changes != 1 {
		t.Errorf("%d steps, %d done, %d changes; %v", out.Steps, out.Done, out.Changes, err)
	}
	if Describe(renewal.Steps[0]).Waits || !Describe(wait.Steps[0]).Waits || !Describe(plan.AwaitRecords{}).Waits {
		t.Error("a step is described as what it is not")
	}
}

// A goal is reached with nothing refused and nothing different; another look
// helps where all that was refused is unknown.
func TestOutcome(t *testing.T) {
	different := []verify.Difference{{}}
	for _, c := range []struct {
		refusals []plan.Refusal
		reached  bool
		passes   bool
	}{{nil, true, false}, {lasting.Refusals, false, false}, {passing.Refusals, false, true}} {
		if got := (Outcome{Refusals: c.refusals}).Reached(); got != c.reached {
			t.Errorf("%v: reached %t", c.refusals, got)
		}
		if (Outcome{Refusals: c.refusals, Differences: different}).Reached() {
			t.Errorf("%v: reached in spite of a difference", c.refusals)
		}
		if got := mayPass(c.refusals); got != c.passes {
			t.Errorf("%v: may pass %t", c.refusals, got)
		}
	}
}
