package sim

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
)

// TestPrediction compares what people are shown with what happens: where nothing
// fails, the steps that [plan.Road] predicts are those that are taken, and after each
// batch the world is as the effects of its steps say.
func TestPrediction(t *testing.T) {
	option := func(s *stage) { s.spec.Etcd.Options = map[string]string{"heartbeat-interval": "200"} }
	for _, c := range []struct {
		name   string
		fresh  bool
		spec   func(*cluster.Spec)
		befall func(*stage)
		verb   func(*stage) string
	}{
		{name: "from nothing", fresh: true},
		{name: "from nothing on machines", fresh: true, spec: onMachines(3)},
		{name: "nothing to do"},
		{name: "other options", befall: option},
		{name: "grow", befall: func(s *stage) { s.spec.Members = 5 }},
		{name: "shrink", befall: func(s *stage) { s.spec.Members = 1 }},
		{name: "grow with other options", befall: func(s *stage) { s.spec.Members = 5; option(s) }},
		{name: "a host was edited", befall: func(s *stage) { s.first().drift = []string{"its unit differs"} }},
		{name: "a host was edited, and other options", befall: func(s *stage) { s.first().drift = []string{"its unit differs"}; option(s) }},
		{name: "a member is down", befall: func(s *stage) { s.stop(s.first()) }},
		{name: "all members are down", befall: func(s *stage) {
			for _, h := range s.w.rules.ours() {
				s.stop(h)
			}
		}},
		{name: "all members are down that have changed", befall: func(s *stage) {
			s.spec.Members = 5
			s.reach("up")
			for _, h := range s.w.rules.ours() {
				s.stop(h)
			}
		}},
		{name: "data is gone", befall: func(s *stage) { s.moveData(s.first()) }},
		{name: "a host is gone", befall: func(s *stage) { s.w.vanish(s.first(), "vanishes") }},
		{name: "records are gone", befall: func(s *stage) { s.put(s.spec.ClientService(), cluster.SRV) }},
		{name: "certificates are due", befall: func(s *stage) { time.Sleep(300 * 24 * time.Hour) }},
		{name: "another program", befall: func(s *stage) { s.w.programs.now = cluster.Program{Version: "v1.9.0", Etcd: "3.7.3", Build: "b19"} }},
		{name: "replace a member", verb: func(s *stage) string { return "replace " + string(s.first().Name) }},
		{name: "destroy", verb: func(*stage) string { return "destroy" }},
		{name: "destroy half of it", befall: func(s *stage) { s.stop(s.first()); s.w.vanish(s.first(), "vanishes") }, verb: func(*stage) string { return "destroy" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, c.spec)
				if !c.fresh {
					s.reach("up")
				}
				if c.befall != nil {
					c.befall(s)
				}
				verb := "up"
				if c.verb != nil {
					verb = c.verb(s)
				}
				foretold(s, verb)
			})
		})
	}
}

// foretold runs a command, and compares.
func foretold(s *stage, verb string) {
	var road []plan.Plan
	var taken []plan.Plan
	var before *cluster.State
	s.watch = func(next plan.Planner, st cluster.State, p plan.Plan) {
		if road == nil {
			var err error
			if road, err = plan.Road(next, s.spec, st); err != nil {
				s.Error(err)
			}
		}
		if before != nil {
			if d := cmp.Diff(outline(*before), outline(st)); d != "" {
				s.Errorf("%s: after %v, predicted (-) and seen (+):\n%s", verb, described(taken[len(taken)-1:]), d)
			}
		}
		taken = append(taken, p)
		predicted := st
		for _, step := range p.Steps {
			predicted = step.Effect(s.spec, predicted)
		}
		before = &predicted
	}
	s.reach(verb)
	if d := cmp.Diff(described(road), described(taken)); d != "" {
		s.Errorf("%s: steps predicted (-) and taken (+):\n%s", verb, d)
	}
}

// described are batches as people read them, but for those that only wait: what is
// waited for may have come before anybody looks.
func described(road []plan.Plan) []string {
	var out []string
	for _, p := range road {
		var steps []string
		for _, s := range p.Steps {
			if !plan.Waits(s) {
				steps = append(steps, s.Verb()+" "+s.Object())
			}
		}
		if steps != nil {
			slices.Sort(steps)
			out = append(out, strings.Join(steps, "; "))
		}
	}
	return out
}

// outline is what a prediction of a state promises, a line each.
func outline(s cluster.State) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, set := range s.Records.Or(cluster.Records{}).Sets {
		say("record %s", set)
	}
	for _, h := range s.Hosts.Or(nil) {
		n := h.Node.Or(cluster.Node{})
		say("%s: token %s, sealed %t, drift %q, made %v of %d, certificate %t", h.Name, h.Token, n.Sealed, n.Drift, n.Made.Member, len(n.Made.Members), n.Certificate != nil)
		say("%s: installed %s", h.Name, n.Installed)
		say("%s: next %v, former %v, failed %v", h.Name, n.Next, n.Former, n.Failed)
		say("%s: runs %t with %s %v, data %v", h.Name, n.Process.Running, n.Process.Flags, n.Process.Program, n.Data)
	}
	return out
}
