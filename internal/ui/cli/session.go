package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/operate"
	"github.com/pleiad-etcd/pleiad/internal/ui/foreign"
	"github.com/pleiad-etcd/pleiad/internal/world/real"
	"github.com/pleiad-etcd/pleiad/internal/world/statedir"
	"github.com/pleiad-etcd/pleiad/internal/world/trace"
)

// operator carries out the command that runs, and says to stderr for whom it
// waits.
func (g *globals) operator(s *System, find func(context.Context, *System) (operate.Target, error)) operate.Operator {
	o := operate.New("pleiad "+g.command,
		func(ctx context.Context) (operate.Target, error) { return find(ctx, s) },
		func(ctx context.Context, t operate.Target) (real.World, error) { return g.surroundings(ctx, s, t) })
	o.Timeout, o.Boundary = g.timeout, breakpoint(s)
	o.Held = func(who statedir.Holder, t operate.Target) {
		fmt.Fprintf(s.Err, "waiting: %s is at work on cluster %s\n", foreign.Text(who.String()), t.Spec.Cluster)
	}
	o.Stale = func(why string) {
		fmt.Fprintf(s.Err, "waiting: the resolver of this machine does not show the current list yet: %s\n", foreign.Text(why))
	}
	o.Progress = func() operate.Progress { return g.printer(s).Progress() }
	return o
}

// surroundings are those of a target, traced to stderr with -v. A cluster
// without a home gets one that holds nothing.
func (g *globals) surroundings(ctx context.Context, s *System, t operate.Target) (real.World, error) {
	h := t.Home
	if h == nil {
		var err error
		if h, err = statedir.Absent(t.Root, t.Spec.Cluster, t.Spec.Domain); err != nil {
			return real.World{}, err
		}
	}
	var say func(string)
	if g.verbose {
		say = teller(s)
	}
	var calls real.Trace
	if say != nil {
		calls = func(what, whom string, took time.Duration, err error) {
			say(trace.Call{Whom: whom, What: what, Took: took, Answer: "ok", Err: err}.String())
		}
	}
	sur, err := s.Open(ctx, t.Spec, h, calls)
	if err == nil && sur.Close != nil {
		g.opened = append(g.opened, sur.Close)
	}
	if err != nil || say == nil {
		return sur, err
	}
	sur.World = trace.World(sur.World, provider(t.Spec), func(c trace.Call) { say(c.String()) })
	return sur, nil
}

// teller prints outside calls to stderr, each with the time since now.
func teller(s *System) func(string) {
	var mu sync.Mutex
	begun := time.Now()
	return func(call string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(s.Err, "+%.3fs %s\n", time.Since(begun).Seconds(), foreign.Text(call))
	}
}

// refusedError is the error of an outcome with refusals, which were shown.
func refusedError(act string, refusals []plan.Refusal) error {
	rules := ""
	for i, r := range refusals {
		if i > 0 {
			rules += "; "
		}
		rules += fmt.Sprintf("%s is refused by rule %s", r.What, r.Rule)
	}
	return &failure{act: act, err: errors.New(rules), exit: Refused}
}
