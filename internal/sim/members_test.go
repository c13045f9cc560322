package sim

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	contract "github.com/pleiad-etcd/pleiad/internal/world/etcd"
	"github.com/pleiad-etcd/pleiad/internal/world/etcd/etcdtest"
)

// steadily is a cluster of members that serve, and steady for long enough that etcd
// takes changes.
func steadily(t *testing.T, members int) (*World, etcdtest.World) {
	t.Helper()
	w, e := openEtcd(t, members)
	for i := range members {
		e.Start(t, i)
	}
	time.Sleep(time.Minute)
	do(e, func() { w.rules.damaged = w.moment() }) // there is no marker
	return w, e
}

// do lets f act on a world that is driven.
func do(e etcdtest.World, f func()) { e.Changer.(Changer).c.Do(f) }

// view is the view of a member, and known says whether it answers.
func view(t *testing.T, e etcdtest.World, i int) (v cluster.View, known bool) {
	t.Helper()
	v, err := e.Inspector.View(t.Context(), e.Hosts[i])
	return v, err == nil
}

// violations are the rules that were broken.
func violations(w *World, e etcdtest.World) (out []string) {
	do(e, func() { out = w.Violations() })
	return out
}

// exitOf is why the last process of a member ended.
func exitOf(w *World, e etcdtest.World, i int) (why string) {
	do(e, func() {
		if h := w.host("dev", e.Hosts[i].Name); h.process == nil {
			why = h.exit
		}
	})
	return why
}

// A member that was removed while it was down ends when it is started again and
// meets another, and not before.
func TestRemovedWhileDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e := steadily(t, 3)
		first, _ := view(t, e, 0)
		gone := 0
		for e.Hosts[gone].Name != first.Members[0].Name {
			gone++
		}
		e.Stop(t, gone)
		rest := slices.Delete(slices.Clone(e.Hosts[:3]), gone, gone+1)
		if err := e.Changer.Remove(t.Context(), rest, first.Members[0].ID); err != nil {
			t.Fatal(err)
		}
		do(e, func() { w.host("dev", e.Hosts[gone].Name).isolated = true })
		e.Start(t, gone)
		time.Sleep(time.Minute)
		if why := exitOf(w, e, gone); why != "" {
			t.Errorf("isolated, it has ended: %s", why)
		}
		do(e, w.Heal)
		time.Sleep(time.Minute)
		if why := exitOf(w, e, gone); !strings.Contains(why, "permanently removed") {
			t.Errorf("it ended with %q", why)
		}
	})
}

// A member that is cut off tells the list that it knew, and no list is that of the
// cluster but the others'.
func TestIsolatedMemberTellsAnOldList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e := steadily(t, 3)
		do(e, func() {
			h := w.host("dev", e.Hosts[0].Name)
			before := h.log.end
			h.isolated = true
			if w.settle(h.process.of); h.log.end == before {
				t.Error("it has nothing that was written before it was cut off")
			}
		})
		time.Sleep(10 * time.Second) // the others elect a leader if it led
		dead, _ := view(t, e, 0)
		if err := e.Changer.Remove(t.Context(), e.Hosts[1:3], dead.ID); err != nil {
			t.Fatal(err)
		}
		old, known := view(t, e, 0)
		now, _ := view(t, e, 1)
		if !known || old.Stalled == "" || len(old.Members) != 3 || len(now.Members) != 2 {
			t.Errorf("cut off it says %+v, another %+v", old, now)
		}
		if list, known := cluster.Membership([]cluster.View{old, now}, old.Cluster).Get(); !known || len(list) != 2 {
			t.Errorf("the list is %v, known: %t", list, known)
		}
	})
}

// A learner gets what the others have, after a while, and counts for no quorum.
func TestLearnerDoesNotVote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e := steadily(t, 3)
		id, err := e.Changer.AddLearner(t.Context(), e.Hosts[:3], e.PeerURL)
		if err != nil {
			t.Fatal(err)
		}
		v, _ := view(t, e, 0)
		e.Join(t, v.Members)
		if err := e.Changer.Promote(t.Context(), e.Hosts[:3], id); !errors.Is(err, contract.ErrRefused) {
			t.Errorf("promoted the moment it runs: %v, want %v", err, contract.ErrRefused)
		}
		time.Sleep(time.Minute)
		do(e, func() {
			learner, all := w.host("dev", e.Hosts[3].Name), w.etcds[v.Cluster]
			w.flow(all)
			if learner.log.end < all.written-1 {
				t.Errorf("the learner has %d writes of %d", learner.log.end, all.written)
			}
		})
		e.Stop(t, 3)
		e.Stop(t, 2)
		time.Sleep(time.Minute)
		if v, _ := view(t, e, 0); !v.Healthy() {
			t.Errorf("with two of three voters, and without the learner: %+v", v)
		}
		e.Start(t, 3)
		e.Stop(t, 1)
		time.Sleep(time.Minute)
		if v, known := view(t, e, 0); !known || v.Leader != 0 {
			t.Errorf("with one voter of three, and the learner: %+v", v)
		}
	})
}

// Who begins without data in a cluster that runs is a learner (rule R7), and begins
// once (R6); with its data it comes back.
func TestJoinsOnce(t *testing.T) {
	for name, c := range map[string]struct {
		voter, wiped bool
		want         string
	}{
		"a learner":                     {},
		"a voter without data":          {voter: true, want: "R7 violated: "},
		"a learner that loses its data": {wiped: true, want: "R6 violated: member "},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, e := steadily(t, 1)
				id, err := e.Changer.AddLearner(t.Context(), e.Hosts[:1], e.PeerURL)
				if err != nil {
					t.Fatal(err)
				}
				v, _ := view(t, e, 0)
				do(e, func() { w.etcds[v.Cluster].entry(id).learner = !c.voter })
				e.Join(t, v.Members)
				time.Sleep(time.Minute)
				e.Stop(t, 1)
				do(e, func() {
					h := w.host("dev", e.Hosts[1].Name)
					if c.wiped {
						w.opts.NoGate = true // and what lies beside it
						h.log, h.begun, h.born = nil, false, false
					}
					w.start(h, h.program)
				})
				time.Sleep(time.Minute)
				if back, known := view(t, e, 1); c.want == "" && (!known || back.ID != id || !back.Learner) {
					t.Errorf("it comes back as %+v, known: %t", back, known)
				}
				broken := strings.Join(violations(w, e), "\n")
				if !strings.HasPrefix(broken, c.want) || (broken == "") != (c.want == "") {
					t.Errorf("%q, want %q", broken, c.want)
				}
			})
		})
	}
}

// What was acknowledged is on the disks of a quorum at every moment; other members
// may lag, and a crash keeps it.
func TestAcknowledgedIsOnAQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e := steadily(t, 5)
		v, _ := view(t, e, 0)
		time.Sleep(time.Second)
		if later, _ := view(t, e, 0); later.Applied <= v.Applied {
			t.Errorf("applied is %d, a second ago it was %d", later.Applied, v.Applied)
		}
		lagged := false
		for i := range 60 {
			time.Sleep(time.Second)
			if i%10 == 9 {
				do(e, func() { w.end(w.host("dev", e.Hosts[i/10%5].Name), "signal: killed") })
				e.Start(t, i/10%5)
				continue
			}
			do(e, func() {
				all := w.etcds[v.Cluster]
				before := all.written
				w.flow(all)
				have := 0
				for _, h := range w.hosts {
					if h.log != nil && h.log.end == all.written {
						have++
					}
				}
				lagged = lagged || have < 5
				if have < 3 || all.leader != 0 && all.written == before {
					t.Errorf("%d of 5 have all %d writes, before there were %d", have, all.written, before)
				}
			})
		}
		if !lagged {
			t.Error("no member ever lags")
		}
		if v := violations(w, e); v != nil {
			t.Error(v)
		}
	})
}

// An acknowledged write that a majority lacks is lost, and that is told once.
func TestLostWrites(t *testing.T) {
	for name, c := range map[string]struct {
		rolledBack int
		lost       bool
	}{"a minority lacks it": {1, false}, "a majority lacks it": {2, true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, e := steadily(t, 3)
				do(e, func() {
					for i := range 3 {
						h := w.host("dev", e.Hosts[i].Name)
						w.end(h, "signal: killed")
						if i < c.rolledBack {
							h.log.end, h.mark.end = 1, 1
						}
					}
				})
				for i := range 3 {
					e.Start(t, i)
				}
				time.Sleep(time.Minute)
				v := violations(w, e)
				if lost := len(v) == 1 && strings.HasPrefix(v[0], "R6 violated: 2 of 3 voters"); lost != c.lost || len(v) > 1 {
					t.Errorf("%q, want a loss: %t", v, c.lost)
				}
			})
		})
	}
}
