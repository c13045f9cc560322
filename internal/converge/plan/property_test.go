package plan

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/verify"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
)

// events are what may befall a cluster, as in the stories; %s is a member.
var events = []string{
	"%s died killed", "%s wiped", "%s rolled-back", "%s drifted its unit is gone", "%s holds-foreign-data", "%s unreachable no answer", "%s gone",
	"%s waits R3", "%s unclaimed host.json is missing", "%s clock 2h", "%s unproven no answer", "a year goes back", "%s silent", "%s in-cluster 77", "%s lists-also etcd-zzz", "%s stalled no leader",
	"no record _pleiad.dev.test. TXT", "no record _etcd-server-ssl._tcp.dev.test. SRV", "no record _etcd-client-ssl._tcp.dev.test. SRV",
	"record _etcd-server._tcp.dev.test. SRV 0 0 2380 evil.dev.test.", "record etcd-aaaaaaa.dev.test. A 203.0.113.9",
	"record _pleiad.dev.test. TXT hello", "records unknown timeout", "hosts unknown timeout", "owner them", "CA none",
	"%s half-installed", "%s came-to-nothing bad flag", "members run v1.0.0 3.7.3", "this is v1.1.0 3.7.3", "this is v0.9.0 3.6.0", "%s alarms NOSPACE", "%s alarms CORRUPT",
	"%s asks-for-a-user who is it", "%s leaderless", "%s copied the folder",
	"name server down", "a year passes", "stray host z 0ther", "state directory unreadable denied",
}

// draw makes a spec and a state that a cluster can be in: some way along the
// road, then some events.
func draw(t *rapid.T) (cluster.Spec, cluster.State) {
	w := story{spec: defaultSpec(), state: nothing()}
	w.spec.Members = rapid.SampledFrom([]int{1, 3, 5}).Draw(t, "members")
	w.spec.TLS = rapid.Bool().Draw(t, "tls")
	next := Up
	if rapid.Bool().Draw(t, "destroying") {
		if err := w.walk(Up, "end"); err != nil {
			t.Fatal(err)
		}
		next = Destroy
	}
	if err := w.walk(next, fmt.Sprint(rapid.IntRange(0, 12).Draw(t, "batches"))); err != nil {
		t.Fatal(err)
	}
	befall(t, &w)
	w.spec.Members = rapid.SampledFrom([]int{w.spec.Members, w.spec.Members, 1, 3, 5}).Draw(t, "members then")
	return w.spec, w.state
}

// befall lets some events come over a cluster, and its spec change.
func befall(t *rapid.T, w *story) {
	for _, e := range rapid.SliceOfN(rapid.SampledFrom(events), 0, 4).Draw(t, "events") {
		if e[0] == '%' {
			e = fmt.Sprintf(e, rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "member"))
		}
		if err := w.see([]string{e}); err != nil {
			t.Fatal(err)
		}
	}
	if rapid.Bool().Draw(t, "options") {
		w.spec.Etcd.Options = map[string]string{"heartbeat-interval": "200"}
	}
}

// What befalls a cluster whose members change has no road that goes in a circle.
func TestChangesGoInNoCircle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := story{spec: defaultSpec(), state: nothing()}
		size := rapid.SampledFrom([]int{1, 3, 5})
		for _, batches := range []int{30, 40} {
			w.spec.Members = size.Draw(t, "members")
			if err := w.walk(Up, fmt.Sprint(rapid.IntRange(0, batches).Draw(t, "batches"))); err != nil {
				t.Fatal(err)
			}
		}
		befall(t, &w)
		w.spec.Members = size.Draw(t, "members then")
		for name, next := range planners() {
			if _, err := Road(next, w.spec, w.state); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	})
}

func planners() map[string]Planner { return map[string]Planner{"up": Up, "destroy": Destroy} }

// Same input, same bytes.
func TestSamePlanTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec, state := draw(t)
		for name, next := range planners() {
			if a, b := print(next(spec, state)), print(next(spec, state)); a != b {
				t.Fatalf("%s: two plans from one state:\n%s\n%s", name, a, b)
			}
		}
	})
}

// Every road ends, and where nothing is refused on the way up, spec and state
// then agree and a second plan is empty.
func TestRoadsEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec, state := draw(t)
		for name, next := range planners() {
			batches, err := Road(next, spec, state)
			if err != nil {
				t.Fatalf("%s: %v:\n%s", name, err, road(batches[max(0, len(batches)-20):]))
			}
			refused, state := false, state
			for _, p := range batches {
				for _, s := range p.Steps {
					state = s.Effect(spec, state)
				}
				refused = refused || len(p.Refusals) > 0
			}
			if refused {
				continue
			}
			if again := next(spec, state); len(again.Steps)+len(again.Refusals) > 0 {
				t.Fatalf("%s: at the end of the road:\n%s", name, print(again))
			}
			if all := verify.Check(spec, state); name == "up" && len(all) > 0 {
				t.Fatalf("at the end of the road up:\n%s", differences(all))
			}
		}
	})
}

// What up would do something about is a difference that status shows.
func TestStepsAreDifferences(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec, state := draw(t)
		if p := Up(spec, state); len(p.Steps)+len(p.Refusals) > 0 && len(verify.Check(spec, state)) == 0 {
			t.Fatalf("no difference, and this is planned:\n%s", print(p))
		}
	})
}

// A step that changes nothing of what it is for is found out.
func TestCircle(t *testing.T) {
	same := Plan{Steps: []Step{RestartForNothing{Reason{Why: "it is not as it should be"}}}}
	batches, err := Road(func(cluster.Spec, cluster.State) Plan { return same }, defaultSpec(), nothing())
	if err == nil || len(batches) != 1 || !strings.Contains(err.Error(), "restart etcd-aaaaaaa, because it is not as it should be") {
		t.Errorf("%d batches, %v", len(batches), err)
	}
}

// RestartForNothing is a step whose effect is not what it is for.
type RestartForNothing struct{ Reason }

func (RestartForNothing) Verb() string                                         { return "restart" }
func (RestartForNothing) Object() string                                       { return "etcd-aaaaaaa" }
func (RestartForNothing) Effect(_ cluster.Spec, s cluster.State) cluster.State { return s }

// R2: a destroy that is refused leaves all as it was. What stands in its way is
// said before the marker is stamped, and before clients are sent away.
func TestRefusedDestroyChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec, state := draw(t)
		stamped := false
		batches, _ := Road(Destroy, spec, state) // see TestRoadsEnd
		for _, p := range batches {
			if stamped && len(p.Refusals) > 0 {
				t.Fatalf("refused after the marker was stamped:\n%s", print(p))
			}
			for _, s := range p.Steps {
				c, ok := s.(ChangeRecords)
				stamped = stamped || ok && c.Purpose == MarkDestroying
			}
		}
	})
}

// sink is a zone that takes everything, behind the guard.
type sink struct{ dns.Zone }

func (sink) Apply(_ context.Context, changes []cluster.Change) (dns.Receipt, error) {
	return "", dns.Check(changes)
}

// R10, R11: no plan changes a name that is not ours, and every change of
// records moves the marker.
func TestChangesAreGuarded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec, state := draw(t)
		for name, next := range planners() {
			batches, _ := Road(next, spec, state) // see TestRoadsEnd
			for _, p := range batches {
				for _, s := range p.Steps {
					if c, ok := s.(ChangeRecords); ok {
						if _, err := dns.Guard(spec, sink{}).Apply(t.Context(), c.Changes); err != nil {
							t.Fatalf("%s: %s: %v\n%s", name, String(s), err, print(p))
						}
					}
				}
			}
		}
	})
}

// R5: on the way up, no member is stopped unless the others that serve are a quorum, or
// it is a member no longer. R4: never two at a time.
func TestStopsKeepQuorum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec, state := draw(t)
		for range limit {
			p := Up(spec, state)
			for _, s := range p.Steps {
				stop, ok := s.(StopMember)
				if !ok {
					continue
				}
				serving := 0
				for _, h := range state.Hosts.Or(nil) {
					if h.Name != stop.Host.Name && h.View.Or(cluster.View{}).Serves() {
						serving++
					}
				}
				m, _, _ := spec.Marker(state.Records.Or(cluster.Records{}))
				list, known := cluster.Membership(views(state.Hosts.Or(nil)), m.ID).Get()
				listed := func(l cluster.Member) bool { return l.Name == stop.Host.Name }
				if known && len(p.Steps) == 1 && !slices.ContainsFunc(list, listed) {
					continue
				}
				alone := len(p.Steps) == 2 && !p.Together // and started again
				if serving < cluster.Quorum(len(list)) || !known || !alone {
					t.Fatalf("with %d others serving:\n%s", serving, print(p))
				}
			}
			if len(p.Steps) == 0 {
				return
			}
			for _, s := range p.Steps {
				state = s.Effect(spec, state)
			}
		}
	})
}

// R9, R13: a sealed member that is not running and needs nothing but its host
// is started by the very next batch, whatever else that holds or is refused.
func TestNobodyIsLeftDown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec, state := draw(t)
		p := Up(spec, state)
		marker, ok := state.Records.Or(cluster.Records{}).Get(spec.MarkerKey())
		m, err := cluster.ParseMarker(strings.Join(marker.Values, ""))
		known := state.Records.Known() && ok && err == nil
		for _, h := range state.Hosts.Or(nil) {
			n := h.Node.Or(cluster.Node{})
			own := spec
			own.TLS = n.Certificate != nil
			id := own.MemberID(cluster.Marker{Token: h.Token}, h)
			switch {
			case !state.Hosts.Known() || !h.Node.Known() || h.Copy != "" || n.Process.Running || !n.Sealed || !n.Data.Present || n.Data.Older || n.Data.Member != id:
				continue
			case known && (m.Phase == cluster.Destroying || m.Token != h.Token || state.Control.Known() && m.Owner != state.Control.Or(cluster.Control{}).Owner):
				continue
			}
			if !slices.ContainsFunc(p.Steps, func(s Step) bool { start, ok := s.(StartMember); return ok && start.Host.Name == h.Name }) {
				t.Fatalf("%s is left down:\n%s", h.Name, print(p))
			}
		}
	})
}

// R1, R6: no plan makes a life, a host or a first start while anything of a
// former life can be seen or could not be looked for.
func TestNothingIsBornTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec, state := draw(t)
		p := Up(spec, state)
		for _, s := range p.Steps {
			switch s := s.(type) {
			case ChangeRecords:
				if s.Purpose == Claim && (!state.Records.Known() || !state.Hosts.Known() || len(state.Hosts.Or(nil)) > 0 || len(state.Records.Or(cluster.Records{}).Sets) > 0) {
					t.Fatalf("a claim over a former life:\n%s", print(p))
				}
			case LaunchHost:
				for _, h := range state.Hosts.Or(nil) {
					if h.Node.Or(cluster.Node{}).Data.Present {
						t.Fatalf("a host beside data:\n%s", print(p))
					}
				}
			case StartMember:
				found := s.Host.Node.Or(cluster.Node{})
				if !s.Host.Node.Known() || found.Data.Born && !found.Data.Present || found.Data.Older {
					t.Fatalf("a start without its data:\n%s", print(p))
				}
			}
		}
	})
}
