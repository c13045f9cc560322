package observe_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/observe"
	"github.com/pleiad-etcd/pleiad/internal/world"
	"github.com/pleiad-etcd/pleiad/internal/world/authority"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/etcd"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
)

// fleet is nine machines of one sealed cluster. What each takes to answer is in
// listing, inspecting and serving.
type fleet struct {
	dns.Zone
	authority.Authority
	spec                         cluster.Spec
	listing, inspecting, serving map[cluster.MemberName]time.Duration
	// published are the moments at which somebody else changes the marker, and
	// mute the one from which the name server does not answer.
	published []time.Time
	mute      time.Time
	keyless   bool // nobody can ask members
	// marked is when the marker was first read, listed when hosts were first asked for.
	marked, listed time.Time
}

func names() (out []cluster.MemberName) {
	for i := range 9 {
		out = append(out, cluster.MemberName(fmt.Sprintf("etcd-%d", i)))
	}
	return out
}

func address(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 5, 1, byte(i)}) }

// after waits, or fails when ctx ends.
func after(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (f *fleet) world() world.World {
	return world.World{DNS: f, Authority: f, Hosts: fleetHosts{f: f}, Deliver: fleetDeliver{f: f}, Etcd: fleetEtcd{f},
		Fresh: func(int) cluster.Fresh { return cluster.Fresh{} }}
}

func (f *fleet) Inspect(context.Context) (cluster.Control, error) { return cluster.Control{}, nil }

func (f *fleet) Read(ctx context.Context, keys []cluster.Key) (cluster.Records, error) {
	marker := cluster.Marker{Cluster: f.spec.Cluster, Owner: "us", Generation: f.generation(), Token: "t", Phase: cluster.Sealed, Members: names()}
	all := []cluster.RecordSet{cluster.NewRecordSet(f.spec.MarkerName(), cluster.TXT, marker.String())}
	for i, name := range names() {
		all = append(all, f.spec.HostRecord(name, address(i)))
	}
	var found cluster.Records
	for _, set := range all {
		if slices.Contains(keys, set.Key) {
			found.Sets = append(found.Sets, set)
		}
	}
	if !f.mute.IsZero() && time.Now().After(f.mute) {
		return found, after(ctx, time.Hour)
	}
	err := after(ctx, 20*time.Millisecond)
	if f.marked.IsZero() {
		f.marked = time.Now()
	}
	return found, err
}

// generation is that of the marker now.
func (f *fleet) generation() uint64 {
	g := uint64(3)
	for _, at := range f.published {
		if !time.Now().Before(at) {
			g++
		}
	}
	return g
}

type fleetHosts struct {
	hosts.Provider
	f *fleet
}

// List is that of machines in the spec: it asks all of them at once.
func (h fleetHosts) List(ctx context.Context) (hosts.Listing, error) {
	h.f.listed = time.Now()
	var l hosts.Listing
	var slowest time.Duration
	for i, name := range names() {
		slowest = max(slowest, h.f.listing[name])
		end, _ := ctx.Deadline()
		if h.f.listing[name] >= time.Until(end) {
			l.Places = append(l.Places, cluster.Place{Address: address(i), Unknown: "slow to list"})
			continue
		}
		l.Hosts = append(l.Hosts, cluster.Host{Name: name, Address: address(i), Token: "t"})
	}
	_ = after(ctx, slowest)
	return l, nil
}

type fleetDeliver struct {
	deliver.Deliverer
	f *fleet
}

func (d fleetDeliver) Inspect(ctx context.Context, h cluster.Host) (cluster.Node, error) {
	if err := after(ctx, d.f.inspecting[h.Name]); err != nil {
		return cluster.Node{}, fmt.Errorf("inspect %s: %w", h.Name, err)
	}
	return cluster.Node{Process: cluster.Process{Running: true}}, nil
}

type fleetEtcd struct{ f *fleet }

var _ etcd.Inspector = fleetEtcd{}

func (fleetEtcd) Shown(context.Context, cluster.Host) (cluster.Certificate, error) {
	return cluster.Certificate{}, errors.New("nobody asks")
}

func (fleetEtcd) Heard(context.Context, cluster.Host) ([]cluster.MemberID, error) {
	return nil, errors.New("nobody asks")
}

func (e fleetEtcd) View(ctx context.Context, h cluster.Host) (cluster.View, error) {
	if e.f.keyless {
		return cluster.View{}, fmt.Errorf("ask member %s: %w", h.Name, etcd.ErrUnasked)
	}
	return cluster.View{ID: 1, Leader: 1}, after(ctx, e.f.serving[h.Name])
}

// A look at nine machines of which one is slow to log in, one is dead and one
// takes ten seconds for sudo has the other six whole and a reason for each of
// the three, within five seconds.
func TestSlowHostsHideNobody(t *testing.T) {
	for _, at := range []string{"listing", "inspecting", "both"} {
		t.Run(at, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				slow := map[cluster.MemberName]time.Duration{"etcd-1": 6 * time.Second, "etcd-4": time.Hour, "etcd-7": 10 * time.Second}
				f := &fleet{spec: cluster.Spec{Cluster: "c1", Domain: "dev.test", Members: 9}, serving: map[cluster.MemberName]time.Duration{"etcd-4": time.Hour}}
				switch at {
				case "listing":
					f.listing = slow
				case "inspecting":
					f.inspecting = slow
				case "both": // each takes all the time that it is given, one after the other
					f.listing = map[cluster.MemberName]time.Duration{"etcd-4": time.Hour}
					f.inspecting = map[cluster.MemberName]time.Duration{"etcd-1": 6 * time.Second, "etcd-7": 10 * time.Second}
				}
				began := time.Now()
				s := observe.Observe(t.Context(), f.spec, f.world(), observe.Glance)
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("it took %s, want at most 5s", took)
				}
				if !s.Hosts.Known() || len(s.Hosts.Or(nil)) != 9 || len(s.Places) != 0 {
					t.Fatalf("hosts are %+v, places %+v; want all nine", s.Hosts, s.Places)
				}
				for i, h := range s.Hosts.Or(nil) {
					_, isSlow := slow[h.Name]
					if h.Name != names()[i] || h.Node.Known() == isSlow || isSlow && h.Node.Why().Text == "" {
						t.Errorf("%s: node %+v, want it known %t", h.Name, h.Node, !isSlow)
					}
					if dead := h.Name == "etcd-4"; h.View.Known() == dead {
						t.Errorf("%s: view %+v, want it known %t", h.Name, h.View, !dead)
					}
				}
			})
		})
	}
}

// A host that is inspected at the last moment does not give its member more time
// than is left.
func TestGlanceEndsWithASilentMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{spec: cluster.Spec{Cluster: "c1", Domain: "dev.test", Members: 9},
			listing:    map[cluster.MemberName]time.Duration{"etcd-4": time.Hour},
			inspecting: map[cluster.MemberName]time.Duration{"etcd-1": 1200 * time.Millisecond},
			serving:    map[cluster.MemberName]time.Duration{"etcd-1": time.Hour}}
		began := time.Now()
		s := observe.Observe(t.Context(), f.spec, f.world(), observe.Glance)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %s, want at most 5s", took)
		}
		i := slices.IndexFunc(s.Hosts.Or(nil), func(h cluster.Host) bool { return h.Name == "etcd-1" })
		if i < 0 || !s.Hosts.Or(nil)[i].Node.Known() || s.Hosts.Or(nil)[i].View.Known() {
			t.Errorf("hosts are %+v, want etcd-1 inspected and silent", s.Hosts)
		}
	})
}

// What is planned from is not older than the marker: a member list from before an
// operation began says that it has nothing left to do. A person who waits for a table
// does not wait for the name server first.
func TestSteadyReadsTheMarkerFirst(t *testing.T) {
	for _, patience := range []observe.Patience{observe.Glance, observe.Steady} {
		synctest.Test(t, func(t *testing.T) {
			f := &fleet{spec: cluster.Spec{Cluster: "c1", Domain: "dev.test", Members: 9}}
			observe.Observe(t.Context(), f.spec, f.world(), patience)
			if first := !f.listed.Before(f.marked); first != (patience == observe.Steady) {
				t.Errorf("patience %d: the marker was read at %s, hosts asked for at %s", patience, f.marked, f.listed)
			}
		})
	}
}

// Whoever acts waits for what is only slow: sudo while a host is found, and where
// that takes no longer than one answer of a name server, another while it is
// inspected.
func TestSteadyWaitsForSudo(t *testing.T) {
	for _, c := range []struct{ listing, inspecting time.Duration }{{20 * time.Second, time.Second}, {10 * time.Second, 10 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			f := &fleet{spec: cluster.Spec{Cluster: "c1", Domain: "dev.test", Members: 9},
				listing: map[cluster.MemberName]time.Duration{"etcd-7": c.listing}, inspecting: map[cluster.MemberName]time.Duration{"etcd-7": c.inspecting}}
			s := observe.Observe(t.Context(), f.spec, f.world(), observe.Steady)
			for _, h := range s.Hosts.Or(nil) {
				if !h.Node.Known() || !h.View.Known() {
					t.Errorf("%+v: %s is unknown: %+v", c, h.Name, h)
				}
			}
		})
	}
}

// Who says how long to wait is not bound to what is usual, and never waits less.
func TestLongerThanUsual(t *testing.T) {
	for _, c := range []struct {
		patience observe.Patience
		known    bool
	}{
		{observe.Glance, false}, {observe.Glance.AtLeast(time.Second), false}, {observe.Glance.AtLeast(time.Minute), true},
		{observe.Steady, false}, {observe.Steady.AtLeast(time.Second), false}, {observe.Steady.AtLeast(time.Minute), true},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &fleet{spec: cluster.Spec{Cluster: "c1", Domain: "dev.test", Members: 9}, listing: map[cluster.MemberName]time.Duration{"etcd-7": 40 * time.Second}}
			hosts := observe.Observe(t.Context(), f.spec, f.world(), c.patience).Hosts.Or(nil)
			i := slices.IndexFunc(hosts, func(h cluster.Host) bool { return h.Name == "etcd-7" })
			if i < 0 || hosts[i].Node.Known() != c.known {
				t.Errorf("%s: %+v, want it known %t", time.Duration(c.patience), hosts, c.known)
			}
		})
	}
}

// A list that fails does not keep the records from being seen, nor the time.
func TestUnlisted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{spec: cluster.Spec{Cluster: "c1", Domain: "dev.test", Members: 9}}
		w := f.world()
		w.Hosts = failing{}
		s := observe.Observe(t.Context(), f.spec, w, observe.Glance)
		if s.Hosts.Known() || !strings.Contains(s.Hosts.Why().Text, "denied") || !s.Records.Known() {
			t.Errorf("hosts %+v, records %+v", s.Hosts, s.Records)
		}
	})
}

// A member that nobody could ask is unknown for that reason.
func TestUnasked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{spec: cluster.Spec{Cluster: "c1", Domain: "dev.test", Members: 9}, keyless: true}
		for _, h := range observe.Observe(t.Context(), f.spec, f.world(), observe.Glance).Hosts.Or(nil) {
			if !h.Node.Known() || !h.View.Why().Unasked {
				t.Errorf("%s: node %+v, view %+v; want it unasked", h.Name, h.Node, h.View)
			}
		}
	})
}

type failing struct{ hosts.Provider }

func (failing) List(context.Context) (hosts.Listing, error) {
	return hosts.Listing{}, errors.New("denied")
}

// A marker that changes while a host is inspected is not compared with what that
// host knows: a steady observation is repeated once, then the records are unknown.
func TestTheMarkerChangesMeanwhile(t *testing.T) {
	for _, c := range []struct {
		name     string
		patience observe.Patience
		changes  []time.Duration
		want     uint64 // generation; 0 where the records are unknown
	}{
		{"never", observe.Steady, nil, 3},
		{"for a person who waits", observe.Glance, []time.Duration{500 * time.Millisecond}, 0},
		{"once", observe.Steady, []time.Duration{500 * time.Millisecond}, 4},
		{"in both looks", observe.Steady, []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond}, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &fleet{spec: cluster.Spec{Cluster: "c1", Domain: "dev.test", Members: 9},
				inspecting: map[cluster.MemberName]time.Duration{"etcd-4": time.Second}}
			for _, d := range c.changes {
				f.published = append(f.published, time.Now().Add(d))
			}
			s := observe.Observe(t.Context(), f.spec, f.world(), c.patience)
			m, found, err := f.spec.Marker(s.Records.Or(cluster.Records{}))
			if s.Records.Known() != (c.want != 0) || found != s.Records.Known() || m.Generation != c.want || err != nil {
				t.Errorf("%s: records %+v, generation %d, %v; want generation %d", c.name, s.Records, m.Generation, err, c.want)
			}
		})
	}
}

// A name server that falls silent while a host is inspected does not hold up a
// person who waits.
func TestGlanceEndsWithASilentNameServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{spec: cluster.Spec{Cluster: "c1", Domain: "dev.test", Members: 9}, mute: time.Now().Add(time.Second),
			inspecting: map[cluster.MemberName]time.Duration{"etcd-4": time.Hour}}
		began := time.Now()
		s := observe.Observe(t.Context(), f.spec, f.world(), observe.Glance)
		if took := time.Since(began); took > 5*time.Second || s.Records.Known() {
			t.Errorf("it took %s, records %+v; want at most 5s, and unknown", took, s.Records)
		}
	})
}
