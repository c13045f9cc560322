package converge

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
)

// Several steps that fail are told in one line, and what kinds of error they
// are is not lost, whether it is told or not.
func TestJoin(t *testing.T) {
	if n, err := join([]error{nil, nil}); n != 0 || err != nil {
		t.Errorf("no failure is %v", err)
	}
	one := errors.New("install a: no space")
	if n, err := join([]error{nil, one}); n != 1 || err != one {
		t.Errorf("one failure is %v", err)
	}
	many := []error{errors.New("a"), nil, errors.New("b"), errors.New("c"), errors.New("d"), hosts.ErrForeign}
	n, err := join(many)
	if got := err.Error(); n != 5 || got != "a; b; c; and 2 more" || strings.Contains(got, "\n") {
		t.Errorf("five failures are %q", got)
	}
	if !errors.Is(err, hosts.ErrForeign) {
		t.Error("the kind of the last failure is lost")
	}
}

// Members that wait for the same are told of together.
func TestGates(t *testing.T) {
	var all []cluster.Host
	for name, gate := range map[cluster.MemberName]string{"etcd-a": "R3: no SRV", "etcd-b": "R3: no SRV", "etcd-c": "", "etcd-d": "R3: no address"} {
		all = append(all, cluster.Host{Name: name, Node: cluster.Known(cluster.Node{Process: cluster.Process{Gate: gate}})})
	}
	slices.SortFunc(all, func(a, b cluster.Host) int { return strings.Compare(string(a.Name), string(b.Name)) })
	want := []string{"etcd-a and etcd-b wait at their gates: R3: no SRV", "etcd-d waits at its gate: R3: no address"}
	if got := waiting(Round{State: cluster.State{Hosts: cluster.Known(all)}}); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// What was seen before somebody thought about it is not planned from.
func TestRecent(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for age, want := range map[time.Duration]bool{0: true, 4 * time.Second: true, 5 * time.Second: false, time.Hour: false} {
		if got := recent(&cluster.State{At: now.Add(-age)}, now); got != want {
			t.Errorf("%s old: recent %t, want %t", age, got, want)
		}
	}
	if recent(nil, now) {
		t.Error("no observation is recent")
	}
}

// Steps on different objects are carried out at once, those on one in order.
func TestChains(t *testing.T) {
	on := func(n cluster.MemberName) cluster.Host { return cluster.Host{Name: n} }
	p := plan.Plan{Together: true, Steps: []plan.Step{
		plan.InstallNode{Host: on("a")}, plan.InstallNode{Host: on("b")}, plan.StartMember{Host: on("c")}, plan.StartMember{Host: on("b")}}}
	if got := fmt.Sprint(chains(p)); got != "[[0] [1 3] [2]]" {
		t.Errorf("together: %s", got)
	}
	p.Together = false
	if got := fmt.Sprint(chains(p)); got != "[[0 1 2 3]]" {
		t.Errorf("in order: %s", got)
	}
}

// A plan that was shown and the steps that follow speak of the same members, and
// names that were claimed are never given out again.
func TestFreshNames(t *testing.T) {
	given := func(token cluster.Token) *cluster.Fresh {
		return &cluster.Fresh{Token: token, Members: []cluster.MemberName{cluster.MemberName(token) + "1", cluster.MemberName(token) + "2"}}
	}
	joins := func(name cluster.MemberName) plan.Step {
		return plan.ChangeRecords{Purpose: plan.Reserve, Op: cluster.Add, Of: name}
	}
	var f fresh
	for _, step := range []struct {
		offered, used cluster.Token
		members       string
		then          plan.Step
	}{
		{"a", "a", "[a1 a2]", plan.StartNameServer{}},
		{"b", "a", "[a1 a2]", plan.ChangeRecords{Purpose: plan.Repair}},
		{"c", "a", "[a1 a2]", plan.ChangeRecords{Purpose: plan.Claim}},
		{"d", "d", "[d1 d2]", joins("d1")},
		{"e", "d", "[d2]", plan.StartNameServer{}},
		{"f", "d", "[d2]", joins("d2")},
		{"g", "g", "[g1 g2]", plan.StartNameServer{}},
	} {
		names := given(step.offered)
		f.keep(names)
		if names.Token != step.used || fmt.Sprint(names.Members) != step.members {
			t.Errorf("offered %s: used %s with members %s, want %s with %s", step.offered, names.Token, names.Members, step.used, step.members)
		}
		f.spend(plan.Plan{Steps: []plan.Step{step.then}})
	}
}

// Members that were to join and left again are counted until one has joined, each
// once, and no other member is.
func TestGivenUp(t *testing.T) {
	adds := cluster.Operation{Kind: cluster.Add, Member: "a"}
	leaves := func(of cluster.MemberName) plan.Step {
		return plan.ChangeRecords{Purpose: plan.Reserve, Op: cluster.Remove, Of: of, Reason: plan.Reason{Why: "it died"}}
	}
	for _, c := range []struct {
		name string
		op   cluster.Operation
		step plan.Step
		want string
	}{
		{"a joiner leaves", adds, leaves("a"), "[{z it died} {a it died}]"},
		{"it leaves again, the first time was not written", cluster.Operation{Kind: cluster.Add, Member: "z"}, leaves("z"), "[{z it died}]"},
		{"another member leaves", cluster.Operation{}, leaves("a"), "[{z it died}]"},
		{"it goes on", adds, plan.StartMember{}, "[{z it died}]"},
		{"it has joined", adds, plan.ChangeRecords{Purpose: plan.Release, Op: cluster.Add, Of: "a"}, "[]"},
	} {
		g := givenUp{{Member: "z", Why: "it died"}}
		g.learn(c.op, plan.Plan{Steps: []plan.Step{c.step}})
		if got := fmt.Sprint([]cluster.GivenUp(g)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
