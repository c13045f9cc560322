// Package etcdtest holds the clauses of the etcd.Inspector and etcd.Changer
// contracts as tests. The real client runs them against real members in processes
// of their own, the simulator against its own members; each calls [Run] from a test.
package etcdtest

import (
	order "cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/etcd"
)

// Harness runs the clauses somewhere.
type Harness struct {
	// Open makes the hosts of a new cluster with this many members, to be
	// bootstrapped together, and one more that may join later. None of them has
	// been started.
	Open func(t *testing.T, members int) World
	// Within runs one clause, for instance in a bubble of testing/synctest;
	// nil to call it.
	Within func(t *testing.T, clause func(t *testing.T))
}

// World is one cluster, and what can be done to it.
type World struct {
	Inspector etcd.Inspector
	Changer   etcd.Changer
	// Hosts are the hosts of all founding members, and last that of the joiner, in
	// the order of the indexes below.
	Hosts []cluster.Host
	// PeerURL is where its peers find the joiner.
	PeerURL string
	// Start starts a founding member, with its data if it ran before. It returns as
	// soon as the member accepts connections, ready or not.
	Start func(t *testing.T, i int)
	// Join starts the joiner for the first time, with etcd's list of members. It
	// returns like Start.
	Join func(t *testing.T, list []cluster.Member)
	// Stop ends a member at once, as kill -9 does.
	Stop func(t *testing.T, i int)
}

// patience is how long anything may take that must happen in the end.
const patience = 30 * time.Second

// few is "a few seconds" of the contract.
const few = 5 * time.Second

// Run holds an inspector and a changer to their contracts.
func Run(t *testing.T, h Harness) {
	for _, c := range []struct {
		name    string
		members int
		clause  func(*testing.T, World)
	}{
		{"members agree, fail and come back", 3, life},
		{"a single member", 1, single},
		{"a member that is not ready", 3, unready},
		{"a member that never started", 1, unstarted},
		{"a done context", 1, done},
		{"a member joins and leaves", 3, joins},
		{"the leader moves and leaves", 3, leads},
		{"a voter is down", 3, strict},
		{"nobody takes a change", 3, nobody},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			within := h.Within
			if within == nil {
				within = func(t *testing.T, clause func(*testing.T)) { clause(t) }
			}
			within(t, func(t *testing.T) { c.clause(t, h.Open(t, c.members)) })
		})
	}
}

// answer is what View gave for one host.
type answer struct {
	view cluster.View
	err  error
}

// ask asks all hosts at once: the contract promises that this is safe.
func (w World) ask(t *testing.T) []answer {
	out := make([]answer, len(w.Hosts))
	var all sync.WaitGroup
	for i, h := range w.Hosts {
		all.Go(func() { out[i].view, out[i].err = w.Inspector.View(t.Context(), h) })
	}
	all.Wait()
	return out
}

// eventually asks until the answers are as wanted. want says what is not.
func (w World) eventually(t *testing.T, want func([]answer) string) []answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		answers := w.ask(t)
		lacking := want(answers)
		if lacking == "" {
			return answers
		}
		select {
		case <-ctx.Done():
			t.Fatalf("still not after %s: %s; answers %+v", patience, lacking, answers)
		case <-tick.C:
		}
	}
}

// healthy wants the members at these indexes to serve under one leader, and
// the others to be unknown.
func (w World) healthy(indexes ...int) func([]answer) string {
	return func(answers []answer) string {
		leader := answers[indexes[0]].view.Leader
		for i, a := range answers {
			switch up := slices.Contains(indexes, i); {
			case up && a.err != nil:
				return "error from " + string(w.Hosts[i].Name)
			case up && (!a.view.Healthy() || a.view.Leader != leader):
				return "health, and one leader, at " + string(w.Hosts[i].Name)
			case !up && a.err == nil:
				return "silence of " + string(w.Hosts[i].Name)
			}
		}
		return ""
	}
}

// founders are the indexes of the founding members.
func (w World) founders() []int {
	var all []int
	for i := range w.Hosts[:w.joiner()] {
		all = append(all, i)
	}
	return all
}

// joiner is the index of the joiner.
func (w World) joiner() int { return len(w.Hosts) - 1 }

// agreed wants all founding members to be healthy and to list the same members, each
// of which has published its client URLs. A member does that when it is ready, and
// the others learn of it in their own time: health does not imply it.
func (w World) agreed(answers []answer) string {
	if lacking := w.healthy(w.founders()...)(answers); lacking != "" {
		return lacking
	}
	for i, a := range answers[:w.joiner()] {
		if !cmp.Equal(a.view.Members, answers[0].view.Members) {
			return "agreement on the members at " + string(w.Hosts[i].Name)
		}
		for _, m := range a.view.Members {
			if m.Name == "" || len(m.ClientURLs) == 0 {
				return "name and client URLs of " + m.ID.String()
			}
		}
	}
	return ""
}

// life goes through the life of a cluster of three.
func life(t *testing.T, w World) {
	born := w.begin(t)
	w.checkAgreement(t, born)

	w.checkHeard(t, born, w.founders()...)

	// One follower fails: it is unknown, the others serve on. What they say of
	// the member list has not changed.
	leader, first, second := w.roles(t, born)
	w.Stop(t, first)
	two := w.eventually(t, w.healthy(leader, second))
	w.checkHeard(t, born, leader, second)
	for _, i := range []int{leader, second} {
		if d := cmp.Diff(born[i].view.Members, two[i].view.Members); d != "" {
			t.Errorf("%s lists other members after a failure (-before +after):\n%s", w.Hosts[i].Name, d)
		}
	}

	// The leader fails too: the last one answers all the same, and says that
	// it cannot serve.
	w.Stop(t, leader)
	last := w.eventually(t, func(answers []answer) string {
		if a := answers[second]; a.err != nil {
			t.Fatalf("without quorum %s does not answer: %v", w.Hosts[second].Name, a.err)
		} else if a.view.Stalled == "" || a.view.Leader != 0 {
			return "stalled, and without a leader"
		}
		return ""
	})[second].view
	patient, cancel := context.WithTimeout(t.Context(), few)
	defer cancel()
	if v, err := w.Inspector.View(patient, w.Hosts[second]); err != nil || v.Stalled == "" || patient.Err() != nil {
		t.Errorf("without quorum, with a distant deadline: %+v, %v, context %v", v, err, patient.Err())
	}
	was := born[second].view
	if last.ID != was.ID || last.Cluster != was.Cluster || last.Healthy() || !cmp.Equal(last.Members, was.Members) {
		t.Errorf("without quorum: %+v, before: %+v", last, was)
	}

	// They come back with their data: the same cluster.
	w.Start(t, leader)
	w.Start(t, first)
	back := w.eventually(t, w.agreed)
	w.checkAgreement(t, back)
	for _, i := range w.founders() {
		if b, a := born[i].view, back[i].view; b.ID != a.ID || b.Cluster != a.Cluster || a.Term < b.Term || a.Applied < b.Applied {
			t.Errorf("%s came back as another: before %+v, after %+v", w.Hosts[i].Name, b, a)
		}
	}
}

// checkHeard waits until of all founding members those at these indexes are heard by
// another one of them, and nobody else is.
func (w World) checkHeard(t *testing.T, born []answer, indexes ...int) {
	t.Helper()
	w.eventually(t, func([]answer) string {
		heard, errs := make([][]cluster.MemberID, len(indexes)), make([]error, len(indexes))
		var all sync.WaitGroup
		for n, i := range indexes {
			all.Go(func() { heard[n], errs[n] = w.Inspector.Heard(t.Context(), w.Hosts[i]) })
		}
		all.Wait()
		if err := errors.Join(errs...); err != nil {
			return err.Error()
		}
		for _, i := range w.founders() {
			id := born[i].view.ID
			by := slices.ContainsFunc(heard, func(peers []cluster.MemberID) bool { return slices.Contains(peers, id) })
			if by != slices.Contains(indexes, i) {
				return fmt.Sprintf("whether %s is heard: %t; want that it is one of %v", w.Hosts[i].Name, by, indexes)
			}
		}
		return ""
	})
}

// begin starts all founding members.
func (w World) begin(t *testing.T) []answer {
	t.Helper()
	for _, i := range w.founders() {
		w.Start(t, i)
	}
	return w.eventually(t, w.agreed)
}

// checkAgreement wants agreed views to be of one cluster whose members are
// these hosts, and each view to be its own member's.
func (w World) checkAgreement(t *testing.T, answers []answer) {
	t.Helper()
	one := answers[0].view
	var names []cluster.MemberName
	for _, m := range one.Members {
		names = append(names, m.Name)
		if m.ID == 0 || len(m.PeerURLs) == 0 || m.Learner {
			t.Errorf("listed member lacks something: %+v", m)
		}
	}
	slices.Sort(names)
	var want []cluster.MemberName
	for _, i := range w.founders() {
		want = append(want, w.Hosts[i].Name)
	}
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("members are %v, want %v", names, want)
	}
	if !slices.IsSortedFunc(one.Members, func(a, b cluster.Member) int { return order.Compare(a.ID, b.ID) }) {
		t.Errorf("members are not sorted by ID: %v", one.Members)
	}
	for i, a := range answers[:w.joiner()] {
		v := a.view
		if v.Cluster == 0 || v.Cluster != one.Cluster || v.Term == 0 || v.Revision == 0 || v.Applied == 0 || v.DBSize == 0 || v.Version == "" || v.Learner {
			t.Errorf("%s: %+v", w.Hosts[i].Name, v)
		}
		if m, ok := member(v, v.ID); !ok || m.Name != w.Hosts[i].Name {
			t.Errorf("the member on host %s is %s %q", w.Hosts[i].Name, v.ID, m.Name)
		}
		if _, ok := member(v, v.Leader); !ok {
			t.Errorf("the leader %s is not listed by %s", v.Leader, w.Hosts[i].Name)
		}
	}
}

func member(v cluster.View, id cluster.MemberID) (cluster.Member, bool) {
	for _, m := range v.Members {
		if m.ID == id {
			return m, true
		}
	}
	return cluster.Member{}, false
}

// roles are the indexes of the leader and of two followers.
func (w World) roles(t *testing.T, answers []answer) (leader, first, second int) {
	t.Helper()
	leader = slices.IndexFunc(answers, func(a answer) bool { return a.view.ID == a.view.Leader })
	if leader < 0 {
		t.Fatal("no member says that it leads")
	}
	return leader, (leader + 1) % 3, (leader + 2) % 3
}

func single(t *testing.T, w World) {
	w.Start(t, 0)
	answers := w.eventually(t, w.agreed)
	w.checkAgreement(t, answers)
	if v := answers[0].view; v.Leader != v.ID {
		t.Errorf("the only member %s does not lead: leader %s", v.ID, v.Leader)
	}
	w.Stop(t, 0)
	if v, err := w.Inspector.View(t.Context(), w.Hosts[0]); err == nil {
		t.Errorf("a stopped member answers: %+v", v)
	}
}

// unready is a member that waits for its peers: it accepts connections and
// answers nothing. The end of ctx ends the question; without one it ends, too.
func unready(t *testing.T, w World) {
	w.Start(t, 0)
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if v, err := w.Inspector.View(short, w.Hosts[0]); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a deadline: %+v, %v, want %v", v, err, context.DeadlineExceeded)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	defer cancel()
	timer := time.AfterFunc(50*time.Millisecond, cancel)
	defer timer.Stop()
	if v, err := w.Inspector.View(cancelled, w.Hosts[0]); !errors.Is(err, context.Canceled) {
		t.Errorf("when cancelled amid: %+v, %v, want %v", v, err, context.Canceled)
	}
	patient, cancel := context.WithTimeout(t.Context(), few)
	defer cancel()
	if v, err := w.Inspector.View(patient, w.Hosts[0]); err == nil || patient.Err() != nil {
		t.Errorf("with a distant deadline: %+v, %v, context %v; want an error of its own", v, err, patient.Err())
	}
	// Once its peers are there it answers.
	w.Start(t, 1)
	w.Start(t, 2)
	w.eventually(t, w.healthy(0, 1, 2))
}

func unstarted(t *testing.T, w World) {
	ctx, cancel := context.WithTimeout(t.Context(), few)
	defer cancel()
	if v, err := w.Inspector.View(ctx, w.Hosts[0]); err == nil || ctx.Err() != nil {
		t.Errorf("a member that never started: %+v, %v, context %v; want an error", v, err, ctx.Err())
	}
}

func done(t *testing.T, w World) {
	w.Start(t, 0)
	w.eventually(t, w.healthy(0))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if v, err := w.Inspector.View(ctx, w.Hosts[0]); !errors.Is(err, context.Canceled) {
		t.Errorf("with a cancelled context: %+v, %v, want %v", v, err, context.Canceled)
	}
}
