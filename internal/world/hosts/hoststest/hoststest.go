// Package hoststest is the conformance suite of hosts.Provider: a case for
// each sentence of the contract. The local provider, every later one and the
// simulator pass it, or else the simulator lies.
//
// [Run] it with a function that makes a [World]. The suite knows nothing of
// files, processes or clouds; what it must do to a world beyond the contract
// stands in World.
package hoststest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
)

// World is a place without any host, fresh for each case.
type World struct {
	// Provider returns a provider of one cluster's hosts. Each call gives one
	// of its own, as if a second command ran beside the first.
	Provider func(cluster.Name) hosts.Provider
	// Member makes a member run on a host, as far as Terminate can tell, until
	// stop is called. Nil where the provider cannot see what runs on a host.
	Member func(cluster.Name, cluster.Host) (stop func())
	// Data puts a member's data on a host. It returns a function that finds out
	// where it is now.
	Data func(cluster.Name, cluster.Host) (where func() Where)
	// Obscure makes it impossible to tell whether this host exists, until
	// restore is called.
	Obscure func(cluster.Name, cluster.Host) (restore func())
}

// Where is where the data of a host is.
type Where string

// Data is on its host, kept aside, or deleted.
const (
	OnHost  Where = "on its host"
	Kept    Where = "kept"
	Deleted Where = "deleted"
)

const (
	ours  = cluster.Name("dev")
	token = cluster.Token("8f2c6a0e8f2c6a0e")
)

func member(i int) cluster.MemberName { return cluster.MemberName(fmt.Sprintf("etcd-k3v9qd%d", i)) }

// Run runs the suite.
func Run(t *testing.T, world func(*testing.T) World) {
	RunIn(t, func(t *testing.T, test func(*testing.T)) { test(t) }, world)
}

// RunIn runs each case of the suite inside another function, such as synctest.Test
// for a world that waits but does nothing that takes time.
func RunIn(t *testing.T, around func(*testing.T, func(*testing.T)), world func(*testing.T) World) {
	for _, c := range []struct {
		clause string
		test   func(*testing.T, World)
	}{
		{"a world without hosts has an empty list", testEmpty},
		{"Launch returns when the host is in List, complete", testLaunch},
		{"List is sorted by name", testSorted},
		{"Launch is idempotent by name", testIdempotent},
		{"Launch refuses the place of another incarnation", testOtherIncarnation},
		{"Launches at once make hosts of their own", testConcurrent},
		{"Launches of one name at once make one host", testConcurrentSame},
		{"clusters have nothing in common", testTwoClusters},
		{"Terminate removes one host", testTerminate},
		{"Terminate of a host that does not exist is no error", testTerminateAbsent},
		{"Terminate deletes data or moves it aside", testData},
		{"Terminate refuses while a member runs", testBusy},
		{"Terminate refuses a host as blank that is not", testNotBlank},
		{"a list is whole or unknown", testObscured},
		{"methods return when their context has ended", testCancelled},
	} {
		t.Run(c.clause, func(t *testing.T) {
			around(t, func(t *testing.T) { c.test(t, world(t)) })
		})
	}
}

func list(t *testing.T, p hosts.Provider) []cluster.Host {
	t.Helper()
	l, err := p.List(t.Context())
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	for _, place := range l.Places {
		if place.Unknown != "" {
			t.Fatalf("List: place %s: %s", place, place.Unknown)
		}
	}
	return l.Hosts
}

func launch(t *testing.T, p hosts.Provider, names ...cluster.MemberName) []cluster.Host {
	t.Helper()
	for _, n := range names {
		if err := p.Launch(t.Context(), n, token); err != nil {
			t.Fatalf("Launch: %v", err)
		}
	}
	return up(t, p)
}

// up waits until all hosts can be used, and lists them.
func up(t *testing.T, p hosts.Provider) []cluster.Host {
	t.Helper()
	l := list(t, p)
	for _, h := range l {
		if err := p.Await(t.Context(), h, func(string) {}); err != nil {
			t.Fatalf("Await %s: %v", h.Name, err)
		}
	}
	for _, h := range l {
		if h.Pending == "" && h.Blank {
			t.Errorf("%s is blank, and not pending", h.Name)
		}
	}
	l = list(t, p)
	for _, h := range l {
		if h.Pending != "" {
			t.Errorf("after Await %s is pending: %s", h.Name, h.Pending)
		}
	}
	return l
}

func names(l []cluster.Host) []cluster.MemberName {
	var out []cluster.MemberName
	for _, h := range l {
		out = append(out, h.Name)
	}
	return out
}

func wantSame(t *testing.T, got, want []cluster.Host) {
	t.Helper()
	if d := gocmp.Diff(want, got, cmpopts.EquateComparable(cluster.Host{}.Address), cmpopts.EquateEmpty()); d != "" {
		t.Errorf("hosts differ (-want +got):\n%s", d)
	}
}

// wantApart checks that all hosts could run their members at the same time.
func wantApart(t *testing.T, l []cluster.Host) {
	t.Helper()
	taken := map[string]cluster.MemberName{}
	for _, h := range l {
		for _, port := range []uint16{h.Ports.Peer, h.Ports.Client, h.Ports.Metrics} {
			at := fmt.Sprintf("%s:%d", h.Address, port)
			if other, ok := taken[at]; ok {
				t.Errorf("%s and %s both have %s", other, h.Name, at)
			}
			taken[at] = h.Name
		}
	}
}

func testEmpty(t *testing.T, w World) {
	if l := list(t, w.Provider(ours)); len(l) != 0 {
		t.Errorf("List = %v, want none", l)
	}
}

func testLaunch(t *testing.T, w World) {
	l := launch(t, w.Provider(ours), member(1))
	if len(l) != 1 || l[0].Name != member(1) || l[0].Token != token {
		t.Fatalf("List = %+v, want one host %s with token %s", l, member(1), token)
	}
	h := l[0]
	if !h.Address.IsValid() || h.Address.IsUnspecified() {
		t.Errorf("address is %v", h.Address)
	}
	if h.Ports.Peer == 0 || h.Ports.Client == 0 || h.Ports.Metrics == 0 {
		t.Errorf("ports are %+v", h.Ports)
	}
	if !path.IsAbs(h.Paths.Config) || !path.IsAbs(h.Paths.Data) || h.Paths.Config == h.Paths.Data {
		t.Errorf("paths are %+v, want absolute ones that differ", h.Paths)
	}
	wantApart(t, l)
	wantSame(t, list(t, w.Provider(ours)), l) // as another command sees it
}

func testSorted(t *testing.T, w World) {
	l := launch(t, w.Provider(ours), member(2), member(3), member(1))
	if got := names(l); !slices.IsSorted(got) || len(got) != 3 {
		t.Errorf("List = %v, want all three, sorted", got)
	}
	wantApart(t, l)
}

func testIdempotent(t *testing.T, w World) {
	before := launch(t, w.Provider(ours), member(1))
	wantSame(t, launch(t, w.Provider(ours), member(1)), before)
}

func testOtherIncarnation(t *testing.T, w World) {
	p := w.Provider(ours)
	before := launch(t, p, member(1))
	if err := p.Launch(t.Context(), member(1), "another"); !errors.Is(err, hosts.ErrForeign) {
		t.Errorf("Launch over another incarnation's host: %v, want ErrForeign", err)
	}
	wantSame(t, list(t, p), before)
}

func testConcurrent(t *testing.T, w World) {
	const n = 9
	errs := make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		p := w.Provider(ours)
		group.Go(func() { errs[i] = p.Launch(t.Context(), member(i), token) })
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("Launch: %v", err)
	}
	l := up(t, w.Provider(ours))
	if len(l) != n {
		t.Errorf("List = %v, want %d hosts", names(l), n)
	}
	wantApart(t, l)
}

func testConcurrentSame(t *testing.T, w World) {
	const n = 5
	errs := make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		p := w.Provider(ours)
		group.Go(func() { errs[i] = p.Launch(t.Context(), member(1), token) })
	}
	group.Wait()
	// Losing such a race may be an error, as long as trying again is none.
	l := launch(t, w.Provider(ours), member(1))
	if len(l) != 1 || l[0].Name != member(1) {
		t.Errorf("List = %v after Launches %v, want one host", names(l), errs)
	}
}

func testTwoClusters(t *testing.T, w World) {
	a, b := w.Provider(ours), w.Provider("other")
	inA, inB := launch(t, a, member(1)), launch(t, b, member(2))
	if !slices.Equal(names(inA), []cluster.MemberName{member(1)}) || !slices.Equal(names(inB), []cluster.MemberName{member(2)}) {
		t.Errorf("Lists = %v and %v, want each cluster's own host", names(inA), names(inB))
	}
	wantApart(t, slices.Concat(inA, inB))
	if err := b.Terminate(t.Context(), cluster.Host{Name: member(2)}, hosts.DeleteData); err != nil {
		t.Fatal(err)
	}
	wantSame(t, list(t, a), inA)
}

func testTerminate(t *testing.T, w World) {
	p := w.Provider(ours)
	before := launch(t, p, member(1), member(2), member(3))
	if err := p.Terminate(t.Context(), cluster.Host{Name: member(2)}, hosts.DeleteData); err != nil {
		t.Fatalf("Terminate: %v", err)
	}
	want := slices.DeleteFunc(slices.Clone(before), func(h cluster.Host) bool { return h.Name == member(2) })
	wantSame(t, list(t, p), want)
	after := launch(t, p, member(4))
	wantApart(t, after)
	if i, ok := slices.BinarySearchFunc(after, member(4), func(h cluster.Host, n cluster.MemberName) int { return cmp.Compare(h.Name, n) }); !ok {
		t.Errorf("List = %v after a Launch, want %s at %d", names(after), member(4), i)
	}
}

func testTerminateAbsent(t *testing.T, w World) {
	p := w.Provider(ours)
	if err := p.Terminate(t.Context(), cluster.Host{Name: member(1)}, hosts.DeleteData); err != nil {
		t.Errorf("Terminate of a host that never was: %v", err)
	}
	launch(t, p, member(1))
	for range 2 {
		if err := p.Terminate(t.Context(), cluster.Host{Name: member(1)}, hosts.DeleteData); err != nil {
			t.Errorf("Terminate: %v", err)
		}
	}
	if l := list(t, p); len(l) != 0 {
		t.Errorf("List = %v, want none", names(l))
	}
}

func testData(t *testing.T, w World) {
	p := w.Provider(ours)
	where := map[string]func() Where{}
	for _, h := range launch(t, p, member(1), member(2), member(3)) {
		where[string(h.Name)] = w.Data(ours, h)
	}
	want := map[string]Where{string(member(1)): OnHost, string(member(2)): OnHost, string(member(3)): OnHost}
	for _, step := range []struct {
		name cluster.MemberName
		fate hosts.DataFate
		then Where
	}{
		{member(1), hosts.KeepData, Kept},
		{member(2), hosts.DeleteData, Deleted},
		{member(1), hosts.KeepData, Kept},   // as after a lost answer
		{member(1), hosts.DeleteData, Kept}, // it is no host's any more
	} {
		if err := p.Terminate(t.Context(), cluster.Host{Name: step.name}, step.fate); err != nil {
			t.Fatalf("Terminate: %v", err)
		}
		want[string(step.name)] = step.then
		for name, is := range where {
			if is() != want[name] {
				t.Errorf("after Terminate %s: the data of %s is %s, want %s", step.name, name, is(), want[name])
			}
		}
	}
	if l := launch(t, p, member(4)); !slices.Equal(names(l), []cluster.MemberName{member(3), member(4)}) {
		t.Errorf("List = %v after a Launch beside kept data, want a new host", names(l))
	}
	if is := where[string(member(1))](); is != Kept {
		t.Errorf("after a Launch the kept data is %s", is)
	}
}

func testBusy(t *testing.T, w World) {
	if w.Member == nil {
		return // the contract leaves it to the caller
	}
	p := w.Provider(ours)
	l := launch(t, p, member(1))
	stop := w.Member(ours, l[0])
	if err := p.Terminate(t.Context(), cluster.Host{Name: member(1)}, hosts.DeleteData); !errors.Is(err, hosts.ErrBusy) {
		t.Errorf("Terminate under a running member: %v, want ErrBusy", err)
	}
	wantSame(t, list(t, p), l)
	stop()
	if err := p.Terminate(t.Context(), cluster.Host{Name: member(1)}, hosts.DeleteData); err != nil {
		t.Errorf("Terminate after the member stopped: %v", err)
	}
}

func testNotBlank(t *testing.T, w World) {
	p := w.Provider(ours)
	if err := p.Launch(t.Context(), member(1), token); err != nil {
		t.Fatal(err)
	}
	was := list(t, p)
	now := up(t, w.Provider(ours)) // by another command
	if !was[0].Blank {
		return // none is
	}
	if err := p.Terminate(t.Context(), was[0], hosts.DeleteData); !errors.Is(err, hosts.ErrBusy) {
		t.Errorf("Terminate of a host that was blank: %v, want ErrBusy", err)
	}
	wantSame(t, list(t, p), now)
}

func testObscured(t *testing.T, w World) {
	p := w.Provider(ours)
	before := launch(t, p, member(1), member(2))
	restore := w.Obscure(ours, before[1])
	switch l, err := p.List(t.Context()); {
	case err != nil && len(l.Hosts)+len(l.Places) != 0:
		t.Errorf("List = %+v beside %v, want nothing", l, err)
	case err == nil && !slices.ContainsFunc(l.Places, func(p cluster.Place) bool {
		return p.Unknown != "" && (p.Address == before[1].Address || p.Member == before[1].Name)
	}):
		t.Errorf("List = %+v, want an error, or %s unknown", l, before[1].Address)
	}
	restore()
	wantSame(t, list(t, p), before)
}

func testCancelled(t *testing.T, w World) {
	p := w.Provider(ours)
	before := launch(t, p, member(1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.List(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("List: %v, want context.Canceled", err)
	}
	if err := p.Launch(ctx, member(2), token); !errors.Is(err, context.Canceled) {
		t.Errorf("Launch: %v, want context.Canceled", err)
	}
	if err := p.Terminate(ctx, cluster.Host{Name: member(1)}, hosts.DeleteData); !errors.Is(err, context.Canceled) {
		t.Errorf("Terminate: %v, want context.Canceled", err)
	}
	wantSame(t, list(t, p), before)
	if l := launch(t, p, member(2)); len(l) != 2 {
		t.Errorf("List = %v after the second try, want two hosts", names(l))
	}
}
