package sim

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
)

// What the rules forgive, because the world brought it about, and that they forgive
// no more than that.

// A member that serves waits until another one's certificate is proven, also while
// that one's host cannot be looked into. One that serves nobody with its own does
// not wait, and what is left of a lost quorum is renewed all the same.
func TestForgivenCertificates(t *testing.T) {
	const year = 365 * 24 * time.Hour
	expire := func(hosts []*host) {
		hosts[0].certificate = &cluster.Certificate{NotBefore: time.Now().Add(-2 * year), NotAfter: time.Now().Add(-year)}
	}
	alone := func(w *World, hosts []*host) {
		for _, h := range hosts[1:] {
			w.vanish(h, "vanishes")
		}
	}
	for _, tt := range []struct {
		name   string
		befall func(w *World, hosts []*host)
		broken bool
	}{
		{"proven", func(w *World, hosts []*host) { w.rules.proves(hosts[1]) }, false},
		{"unproven", func(*World, []*host) {}, true},
		{"unproven, with a claim that cannot be read", func(_ *World, hosts []*host) { hosts[1].unclaimed = true }, true},
		{"unproven, in the dark", func(w *World, hosts []*host) { w.dark[hosts[1].Address] = true }, true},
		{"expired", func(_ *World, hosts []*host) { expire(hosts) }, false},
		{"expired, and accepted by a clock that is behind", func(_ *World, hosts []*host) {
			expire(hosts)
			hosts[2].ahead = -3 * year / 2
		}, true},
		{"the last host", alone, false},
		{"the last host, by a wrong clock", func(w *World, hosts []*host) {
			alone(w, hosts)
			hosts[0].ahead = -year
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, onMachines(3))
				s.reach("up")
				c := s.w.Controller("a controller", s.mine)
				hosts := s.w.rules.ours()
				s.w.rules.unproven[hosts[1].Name] = change{c.Name, s.w.moment()}
				tt.befall(s.w, hosts)
				c.listed = s.w.moment()
				s.w.rules.certifies(c, hosts[0], Authority{c}.lease())
				if broken := s.w.Violations(); (len(broken) > 0) != tt.broken {
					t.Errorf("violations: %q", broken)
				}
			})
		})
	}
}

// A destroy that cannot find a host deletes the marker without it, once a person has
// removed the stranger's address that stood beside the host's. The host that is
// found again is destroyed as well, under a marker of its own; that the first
// destroy took its address away is not held against the second.
func TestForgivenRefound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, onMachines(3))
		s.reach("up")
		h, other := s.first(), s.mine.Copy()
		s.put(s.spec.HostName(h.Name)+".", cluster.A, "198.51.100.7")
		s.stop(h)
		h.astray, h.strayed = true, s.w.moment()
		if out := s.run("destroy", s.spec, s.mine); out.Reached() || s.w.zone.get(s.spec.MarkerKey()) == nil {
			t.Error("the marker is deleted while nothing says which address is the host's")
		}
		s.w.Tidy()
		s.reach("destroy")
		s.w.refind(h)
		if out := s.run("destroy", s.spec, other); !out.Reached() {
			t.Errorf("destroy does not reach its goal: %v", out.Refusals)
		}
		for _, v := range append(s.w.Remains(s.spec), s.w.Violations()...) {
			t.Error(v)
		}
	})
}

// A marker is stamped again for a host only if that was out of sight when the one
// before was deleted.
func TestForgivenStamp(t *testing.T) {
	for _, tt := range []struct {
		name                            string
		strayed, passed, unmarked, back int
		broken                          bool
	}{
		{"out of sight", 1, 2, 3, 4, false},
		{"back since the hosts were listed", 1, 2, 4, 3, false},
		{"found before", 1, 3, 4, 2, true},
		{"lost after", 3, 1, 2, 4, true},
		{"never lost", 0, 1, 2, 0, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, onMachines(3))
			s.reach("up")
			c, h := s.w.Controller("a controller", s.mine), s.first()
			h.strayed, s.w.rules.passed, s.w.rules.unmarked, h.back = tt.strayed, tt.passed, tt.unmarked, tt.back
			c.listed = s.w.moment()
			s.w.rules.claims(c, cluster.Marker{Phase: cluster.Destroying})
			if broken := s.w.Violations(); (len(broken) > 0) != tt.broken {
				t.Errorf("%s: violations: %q", tt.name, broken)
			}
		})
	}
}

// A zone that was restored to what it was before a cluster was published, while no
// listing has a host of it, looks as if the cluster had never served: a lost host is
// made again. When the others are found again they know better, and clients are sent
// to them.
func TestForgivenLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, onMachines(4))
		s.reach("up")
		hosts := s.w.rules.ours()
		s.w.vanish(hosts[0], "vanishes")
		for _, h := range hosts[1:] {
			h.astray, h.strayed = true, s.w.moment()
		}
		for _, k := range s.w.zone.keys() {
			s.w.zone.put(k, nil)
			s.w.zone.spoiled[k] = true
		}
		set := s.w.zone.past[0].Sets[0]
		s.w.zone.put(set.Key, &set)
		if _, err := s.until("up", s.spec, s.mine, ""); err == nil {
			t.Error("up makes hosts again that exist")
		}
		for _, h := range hosts[1:] {
			s.w.refind(h)
		}
		var lines []string
		for _, r := range s.run("up", s.spec, s.mine).Refusals {
			for _, m := range r.Remedy {
				if m.Way() == plan.PutMarkerBack {
					lines = append(lines, m.String())
				}
			}
		}
		s.restore(lines)
		s.run("up", s.spec, s.mine)
		if _, sent := s.w.zone.snapshot().Get(cluster.Key{Name: s.spec.ClientService(), Type: cluster.SRV}); !sent {
			t.Error("clients are sent nowhere")
		}
		for _, v := range s.w.Violations() {
			t.Error(v)
		}
		if t.Failed() {
			t.Log(strings.Join(s.w.Trace(), "\n"))
		}
	})
}
