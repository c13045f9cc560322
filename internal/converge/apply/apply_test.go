package apply

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/world"
	"github.com/pleiad-etcd/pleiad/internal/world/authority"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/etcd"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
)

// stub is a world that notes what is asked of it, and of which one call fails.
type stub struct {
	calls   []string
	fails   int // the number of the call that fails, from 1; 0 for none
	records cluster.Records
	node    func() cluster.Node
	view    func() (cluster.View, error)
	servers func() cluster.Visibility
	// refused says of each change of the member list whether etcd refuses it; the last one stays.
	refused []bool
	// meanwhile is the marker after etcd has refused a change; empty for the same.
	meanwhile string
	fate      hosts.DataFate
	creds     *node.Credentials
}

var errCall = errors.New("the call failed")

func (s *stub) call(name string) error {
	s.calls = append(s.calls, name)
	if len(s.calls) == s.fails {
		return errCall
	}
	return nil
}

func (s *stub) world() world.World {
	return world.World{DNS: zone{s: s}, Server: server{s: s}, Authoritatives: authoritatives{s: s}, Hosts: provider{s: s}, Deliver: deliverer{s: s}, Etcd: inspector{s: s}, Members: changer{s: s}, Authority: keeper{s: s}}
}

type (
	zone struct {
		dns.Zone
		s *stub
	}
	server struct {
		dns.Server
		s *stub
	}
	authoritatives struct{ s *stub }
	provider       struct {
		hosts.Provider
		s *stub
	}
	deliverer struct{ s *stub }
	inspector struct {
		etcd.Inspector
		s *stub
	}
	changer struct{ s *stub }
	keeper  struct {
		authority.Authority
		s *stub
	}
)

func (z zone) Read(context.Context, []cluster.Key) (cluster.Records, error) {
	return z.s.records, z.s.call("read")
}
func (z zone) Apply(context.Context, []cluster.Change) (dns.Receipt, error) {
	return "", z.s.call("change")
}
func (z zone) Settled(context.Context, dns.Receipt) error { return z.s.call("settle") }

func (s server) Start(context.Context) error  { return s.s.call("start server") }
func (s server) Stop(context.Context) error   { return s.s.call("stop server") }
func (s server) Remove(context.Context) error { return s.s.call("remove server") }

func (a authoritatives) Compare(context.Context, []cluster.Key, cluster.Records) (cluster.Visibility, error) {
	return a.s.servers(), a.s.call("compare")
}

func (p provider) Launch(context.Context, cluster.MemberName, cluster.Token, ...netip.Addr) error {
	return p.s.call("launch")
}
func (p provider) Await(context.Context, cluster.Host, func(string)) error { return p.s.call("await") }
func (p provider) Terminate(_ context.Context, _ cluster.Host, fate hosts.DataFate) error {
	p.s.fate = fate
	return p.s.call("terminate")
}

func (d deliverer) Inspect(context.Context, cluster.Host) (cluster.Node, error) {
	return d.s.node(), d.s.call("inspect")
}
func (d deliverer) Install(_ context.Context, _ cluster.Host, _ node.Node, creds *node.Credentials, _ bool) error {
	d.s.creds = creds
	return d.s.call("install")
}
func (d deliverer) Revert(context.Context, cluster.Host) error { return d.s.call("revert") }
func (d deliverer) Start(context.Context, cluster.Host) error  { return d.s.call("start") }
func (d deliverer) Stop(context.Context, cluster.Host, time.Duration) error {
	return d.s.call("stop")
}

func (i inspector) View(context.Context, cluster.Host) (cluster.View, error) {
	if err := i.s.call("view"); err != nil {
		return cluster.View{}, err
	}
	return i.s.view()
}

func (c changer) change(name string) error {
	if err := c.s.call(name); err != nil {
		return err
	}
	if len(c.s.refused) > 0 && next(&c.s.refused) {
		if c.s.meanwhile != "" {
			c.s.records = with(marker(c.s.meanwhile))
		}
		return etcd.ErrRefused
	}
	return nil
}

func (c changer) AddLearner(context.Context, []cluster.Host, string) (cluster.MemberID, error) {
	return 1, c.change("add")
}
func (c changer) Promote(context.Context, []cluster.Host, cluster.MemberID) error {
	return c.change("promote")
}
func (c changer) Remove(context.Context, []cluster.Host, cluster.MemberID) error {
	return c.change("remove")
}
func (c changer) MoveLeader(context.Context, []cluster.Host, cluster.MemberID) error {
	return c.change("move leader")
}

func (k keeper) Create(context.Context, cluster.Owner, bool) error { return k.s.call("create") }
func (k keeper) RenewOperator(context.Context) error               { return k.s.call("renew") }
func (k keeper) Forget(context.Context) error                      { return k.s.call("forget") }
func (k keeper) Issue(context.Context, cluster.MemberName, []string) (node.Credentials, error) {
	return node.Credentials{}, k.s.call("issue")
}

var _ deliver.Deliverer = deliverer{}

const planned = "v=1 cluster=c1 owner=me gen=4 token=t state=sealed members=etcd-a id=7 op=restart:etcd-a"

func marker(values ...string) cluster.RecordSet {
	return cluster.NewRecordSet("_pleiad.c1.test.", cluster.TXT, values...)
}

func with(sets ...cluster.RecordSet) cluster.Records { return cluster.Records{Sets: sets} }

// sound is a world in which nothing has changed since a step was planned.
func sound() *stub {
	return &stub{records: with(marker(planned)),
		node:    func() cluster.Node { return found() },
		view:    func() (cluster.View, error) { return cluster.View{Leader: 1}, nil },
		servers: func() cluster.Visibility { return cluster.Visibility{} }}
}

// found is what was seen on the host when a step was planned. Each look makes
// another pointer.
func found() cluster.Node {
	return cluster.Node{Certificate: &cluster.Certificate{RenewAt: time.Unix(1, 0)},
		Data: cluster.Data{Present: true, Member: 1}, Process: cluster.Process{Running: true}}
}

// halted is the same after its member was stopped.
func halted() cluster.Node {
	n := found()
	n.Process = cluster.Process{}
	return n
}

func run(ctx context.Context, s *stub, step plan.Step, told *[]string) error {
	return Step(ctx, cluster.Spec{}, s.world(), step, func(what string) { *told = append(*told, what) })
}

type example struct {
	name  string
	step  plan.Step
	calls string
}

func examples() []example {
	m := marker(planned)
	h := cluster.Host{Name: "etcd-a", Node: cluster.Known(found())}
	return []example{
		{"start name server", plan.StartNameServer{}, "start server"},
		{"create authority", plan.CreateAuthority{}, "create"},
		{"renew", plan.RenewOperator{}, "renew"},
		{"change", plan.ChangeRecords{}, "change, settle"},
		{"change after a rest", plan.ChangeRecords{Rests: time.Millisecond}, "change, settle"},
		{"change while a member serves", plan.ChangeRecords{Rests: time.Millisecond, While: &h}, "view, change, settle"},
		{"launch", plan.LaunchHost{Marker: m}, "read, launch"},
		{"install", plan.InstallNode{Host: h}, "install"},
		{"install and issue", plan.InstallNode{Host: h, Issue: true}, "inspect, issue, install"},
		{"revert", plan.RevertNode{Host: h}, "revert"},
		{"restart", plan.StartMember{Host: h}, "inspect, start"},
		{"first start", plan.StartMember{Host: h, Marker: &m}, "read, inspect, start"},
		{"await records", plan.AwaitRecords{}, "compare"},
		{"stop", plan.StopMember{Host: h}, "stop"},
		{"stop in turn", plan.StopMember{Host: h, Marker: &m}, "read, stop"},
		{"terminate", plan.TerminateHost{Host: h, Marker: m}, "read, inspect, terminate"},
		{"add learner", plan.AddLearner{Change: plan.Change{Marker: m}}, "read, add"},
		{"promote learner", plan.PromoteLearner{Change: plan.Change{Marker: m}}, "read, promote"},
		{"remove member", plan.RemoveMember{Change: plan.Change{Marker: m}}, "read, remove"},
		{"move leader", plan.MoveLeader{Change: plan.Change{Marker: m}}, "read, move leader"},
	}
}

// sound is the world in which nothing has changed since the example was planned.
func (e example) sound() *stub {
	s := sound()
	if _, terminates := e.step.(plan.TerminateHost); terminates {
		s.node = halted
	}
	return s
}

// leaving are the steps that need the marker to be gone.
func leaving() []example {
	return []example{
		{"remove name server", plan.RemoveNameServer{Marker: marker().Key}, "stop server, read, remove server"},
		{"forget", plan.Forget{Marker: marker().Key}, "read, forget"},
	}
}

// R5: what is changed because a member serves is not, if it has been stopped meanwhile.
func TestNoChangeOnceAMemberIsStopped(t *testing.T) {
	s := sound()
	s.view = func() (cluster.View, error) { return cluster.View{}, nil }
	var told []string
	err := run(t.Context(), s, plan.ChangeRecords{Rests: time.Millisecond, While: &cluster.Host{Name: "etcd-a"}}, &told)
	if !errors.Is(err, dns.ErrConflict) || slices.Contains(s.calls, "change") {
		t.Errorf("%v after %q, want a conflict and no change", err, s.calls)
	}
	if len(told) != 1 || !strings.Contains(told[0], "etcd-a") {
		t.Errorf("told: %q, want for whom it waits", told)
	}
}

// R12: a step makes its calls in their order, and none after one that failed,
// whose error it returns.
func TestNothingAfterAFailure(t *testing.T) {
	test := func(e example, s func() *stub) {
		calls := strings.Split(e.calls, ", ")
		for fails := range len(calls) + 1 {
			w, told := s(), []string{}
			w.fails = fails
			err := run(t.Context(), w, e.step, &told)
			want := calls
			if fails > 0 {
				want = calls[:fails]
			}
			if !slices.Equal(w.calls, want) {
				t.Errorf("%s, call %d failing: calls %q, want %q", e.name, fails, w.calls, want)
			}
			if errors.Is(err, errCall) != (fails > 0) || fails == 0 && err != nil {
				t.Errorf("%s, call %d failing: error %v", e.name, fails, err)
			}
		}
	}
	for _, e := range examples() {
		test(e, e.sound)
	}
	for _, e := range leaving() {
		test(e, func() *stub { s := sound(); s.records = with(); return s })
	}
}

// R11: what was planned with a marker is not done under another one.
func TestAMarkerThatMovedOnIsAConflict(t *testing.T) {
	edit := func(from, to string) cluster.Records { return with(marker(strings.Replace(planned, from, to, 1))) }
	for name, c := range map[string]struct {
		now      cluster.Records
		conflict bool
	}{
		"a newer generation": {edit("gen=4", "gen=5"), false},
		"none":               {with(), true},
		"another owner":      {edit("owner=me", "owner=them"), true},
		"another life":       {edit("token=t", "token=u"), true},
		"another phase":      {edit("state=sealed", "state=destroying"), true},
		"another list":       {edit("id=7", "id=8"), true},
		"another operation":  {edit("op=restart:etcd-a", "op=restart:etcd-b"), true},
		"two values":         {with(marker(strings.Replace(planned, "gen=4", "gen=5", 1), "x=y")), true},
		"no value":           {with(cluster.RecordSet{Key: marker().Key}), true},
		"not to be read":     {edit("state=sealed", "state"), true},
	} {
		for _, e := range examples() {
			if !strings.HasPrefix(e.calls, "read, ") {
				continue
			}
			s, told := e.sound(), []string{}
			s.records = c.now
			if err := run(t.Context(), s, e.step, &told); errors.Is(err, dns.ErrConflict) != c.conflict {
				t.Errorf("%s under %s: %v", e.name, name, err)
			} else if c.conflict && !slices.Equal(s.calls, []string{"read"}) {
				t.Errorf("%s under %s: calls %q", e.name, name, s.calls)
			}
		}
	}
	// An ID that cannot be read is not the one before the list was published.
	unpublished := strings.Replace(planned, "id=7 ", "", 1)
	s, told := sound(), []string{}
	s.records = with(marker(unpublished + " id=unreadable"))
	if err := run(t.Context(), s, plan.LaunchHost{Marker: marker(unpublished)}, &told); !errors.Is(err, dns.ErrConflict) {
		t.Errorf("launch under a marker that cannot be read: %v", err)
	}
	for _, e := range leaving() {
		s := sound()
		if err := run(t.Context(), s, e.step, &told); !errors.Is(err, dns.ErrConflict) || s.calls[len(s.calls)-1] != "read" {
			t.Errorf("%s beside a marker: %v, calls %q", e.name, err, s.calls)
		}
	}
}

// R4: etcd refuses a change for a while, and is asked again as long as the marker names
// the change; a leader that cannot be moved may have moved already.
func TestAChangeIsAskedForAgain(t *testing.T) {
	change := plan.Change{Marker: marker(planned)}
	for name, c := range map[string]struct {
		step    plan.Step
		refused []bool
		moves   bool // the marker, when etcd has refused once
		calls   string
		want    error
		took    time.Duration
	}{
		"refused twice":         {plan.AddLearner{Change: change}, []bool{true, true, false}, false, "read, add, read, add, read, add", nil, 2 * pauseDNS},
		"given up meanwhile":    {plan.AddLearner{Change: change}, []bool{true, false}, true, "read, add, read", dns.ErrConflict, pauseDNS},
		"a leader that is none": {plan.MoveLeader{Change: change}, []bool{true}, false, "read, move leader", etcd.ErrRefused, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, told := sound(), []string(nil)
			s.refused = c.refused
			if c.moves {
				s.meanwhile = strings.Replace(planned, "op=restart", "op=remove", 1)
			}
			begun := time.Now()
			err := run(t.Context(), s, c.step, &told)
			if took := time.Since(begun); !errors.Is(err, c.want) || took != c.took || !slices.Equal(s.calls, strings.Split(c.calls, ", ")) {
				t.Errorf("%s: %v after %s, calls %q", name, err, took, s.calls)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) { // as long as it is worth waiting for
		s, told := sound(), []string(nil)
		s.refused = []bool{true}
		begun := time.Now()
		err := run(t.Context(), s, plan.RemoveMember{Change: change}, &told)
		if took := time.Since(begun); !errors.Is(err, etcd.ErrRefused) || took != refusing || len(told) != 1 {
			t.Errorf("for ever: %v after %s, told %q", err, took, told)
		}
	})
}

// R5, R6: a certificate or a member that changed since is left alone, and so is
// data that did.
func TestAHostThatChangedIsAConflict(t *testing.T) {
	h := cluster.Host{Name: "etcd-a", Node: cluster.Known(found())}
	issue, start := plan.InstallNode{Host: h, Issue: true}, plan.StartMember{Host: h}
	first := issue
	first.Host.Node.Edit(func(n *cluster.Node) { n.Certificate = nil })
	for name, c := range map[string]struct {
		step     plan.Step
		change   func(*cluster.Node)
		conflict bool
	}{
		"the process has ended":       {issue, func(n *cluster.Node) { n.Process.Running = false }, true},
		"the certificate is gone":     {issue, func(n *cluster.Node) { n.Certificate = nil }, true},
		"there is one already":        {first, func(*cluster.Node) {}, true},
		"there is still none":         {first, func(n *cluster.Node) { n.Certificate = nil }, false},
		"it is another":               {issue, func(n *cluster.Node) { n.Certificate.RenewAt = time.Unix(2, 0) }, true},
		"other data is none of it":    {issue, func(n *cluster.Node) { n.Data.Member = 2 }, false},
		"the data is another":         {start, func(n *cluster.Node) { n.Data.Member = 2 }, true},
		"the data is gone":            {start, func(n *cluster.Node) { n.Data = cluster.Data{} }, true},
		"a certificate is none of it": {start, func(n *cluster.Node) { n.Certificate = nil }, false},
	} {
		s, told := sound(), []string{}
		s.node = func() cluster.Node { n := found(); c.change(&n); return n }
		if err := run(t.Context(), s, c.step, &told); errors.Is(err, dns.ErrConflict) != c.conflict || !c.conflict && err != nil {
			t.Errorf("%s: %v", name, err)
		} else if c.conflict && !slices.Equal(s.calls, []string{"inspect"}) {
			t.Errorf("%s: calls %q", name, s.calls)
		}
	}
}

// A host whose member runs again is not terminated, whatever its provider can see.
func TestTerminateUnderARunningMember(t *testing.T) {
	s, told := sound(), []string{}
	s.node = func() cluster.Node { return cluster.Node{Process: cluster.Process{Running: true}} }
	if err := run(t.Context(), s, plan.TerminateHost{Marker: marker(planned)}, &told); !errors.Is(err, hosts.ErrBusy) || !slices.Equal(s.calls, []string{"read", "inspect"}) {
		t.Errorf("%v, calls %q, want ErrBusy", err, s.calls)
	}
}

// R14: data is kept aside if the step says so, and a node gets keys only then.
func TestWhatAStepSaysIsHandedOn(t *testing.T) {
	for _, keep := range []bool{false, true} {
		s, told := sound(), []string{}
		s.node = halted
		if err := run(t.Context(), s, plan.TerminateHost{Marker: marker(planned), KeepData: keep}, &told); err != nil || s.fate != hosts.DataFate(keep) {
			t.Errorf("keep %t: %v, %v", keep, s.fate, err)
		}
		if err := run(t.Context(), s, plan.InstallNode{Host: cluster.Host{Node: cluster.Known(halted())}, Issue: keep}, &told); err != nil || (s.creds != nil) != keep {
			t.Errorf("issue %t: %v, %v", keep, s.creds, err)
		}
	}
}

// A member is awaited until it serves; what it waits for is told when that
// changes.
func TestAwaitMembers(t *testing.T) {
	gate := func(g string) cluster.Node { return cluster.Node{Process: cluster.Process{Running: true, Gate: g}} }
	for name, c := range map[string]struct {
		nodes []cluster.Node // the last one stays
		views []cluster.View
		told  []string
		took  time.Duration
	}{
		"one that serves":     {[]cluster.Node{gate("")}, []cluster.View{{Leader: 1}}, nil, 0},
		"one that ended":      {[]cluster.Node{{}}, []cluster.View{{}}, nil, 0},
		"one at its gate":     {[]cluster.Node{gate("x"), gate("x"), gate("y"), gate("")}, []cluster.View{{Leader: 1}}, []string{"etcd-a waits at its gate: x", "etcd-a waits at its gate: y"}, 3 * pause},
		"one that starts":     {[]cluster.Node{gate("")}, []cluster.View{{}, {Leader: 1}}, []string{"etcd-a is not serving yet"}, pause},
		"one that never does": {[]cluster.Node{gate("")}, []cluster.View{{}}, []string{"etcd-a is not serving yet"}, await},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, told := sound(), []string(nil)
			s.node = func() cluster.Node { return next(&c.nodes) }
			s.view = func() (cluster.View, error) { return next(&c.views), nil }
			begun := time.Now()
			err := run(t.Context(), s, plan.AwaitMembers{Hosts: []cluster.Host{{Name: "etcd-a"}}}, &told)
			if took := time.Since(begun); err != nil || took != c.took || !slices.Equal(told, c.told) {
				t.Errorf("%s: %v after %s, told %q", name, err, took, told)
			}
		})
	}
}

// What cannot be asked is waited for, and named.
func TestAwaitMembersThatCannotBeAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, told := sound(), []string(nil)
		asked := 0
		s.view = func() (cluster.View, error) {
			if asked++; asked == 1 {
				return cluster.View{Leader: 1}, errCall
			}
			return cluster.View{Leader: 1}, nil
		}
		s.fails = 1
		err := run(t.Context(), s, plan.AwaitMembers{Hosts: []cluster.Host{{Name: "etcd-a"}}}, &told)
		if want := []string{"etcd-a: the call failed", "etcd-a is not serving yet"}; err != nil || !slices.Equal(told, want) {
			t.Errorf("%v, told %q, want %q", err, told, want)
		}
	})
}

// Name servers are awaited until none is behind.
func TestAwaitRecords(t *testing.T) {
	behind := func(what string) cluster.Visibility {
		return cluster.Visibility{Servers: []cluster.AuthoritativeServer{{Name: "ns2.", Address: netip.MustParseAddr("192.0.2.53"), Behind: []string{what}}}}
	}
	for name, c := range map[string]struct {
		seen []cluster.Visibility
		told []string
		took time.Duration
	}{
		"none is behind": {[]cluster.Visibility{{}}, nil, 0},
		"one catches up": {[]cluster.Visibility{behind("x"), behind("x"), behind("y"), {}}, []string{"ns2. (192.0.2.53): x", "ns2. (192.0.2.53): y"}, 3 * pauseDNS},
		"one never does": {[]cluster.Visibility{behind("x")}, []string{"ns2. (192.0.2.53): x"}, await},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, told := sound(), []string(nil)
			s.servers = func() cluster.Visibility { return next(&c.seen) }
			begun := time.Now()
			err := run(t.Context(), s, plan.AwaitRecords{}, &told)
			if took := time.Since(begun); err != nil || took != c.took || !slices.Equal(told, c.told) {
				t.Errorf("%s: %v after %s, told %q", name, err, took, told)
			}
		})
	}
}

// Whoever waits stops when nobody waits for it any more.
func TestAwaitEndsWithItsContext(t *testing.T) {
	for _, step := range []plan.Step{plan.AwaitMembers{Hosts: []cluster.Host{{Name: "etcd-a"}}}, plan.AwaitRecords{}} {
		synctest.Test(t, func(t *testing.T) {
			s, told := sound(), []string(nil)
			s.view = func() (cluster.View, error) { return cluster.View{}, nil }
			s.servers = func() cluster.Visibility {
				return cluster.Visibility{Servers: []cluster.AuthoritativeServer{{Name: "ns2.", Behind: []string{"x"}}}}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := run(ctx, s, step, &told); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", plan.String(step), err)
			}
		})
	}
}

// next takes the first of a list, whose last one stays.
func next[T any](list *[]T) T {
	first := (*list)[0]
	if len(*list) > 1 {
		*list = (*list)[1:]
	}
	return first
}
