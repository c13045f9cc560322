package sim

import (
	"testing"
	"testing/synctest"
)

// A zone that is put back to what it was before a destroy began says that the
// cluster is sealed. Nobody remembers the destroy, and nothing is lost by that:
// what still has its data serves again, what is gone is not made anew (rule R6),
// and destroy takes down the rest.
func TestDestroyRolledBack(t *testing.T) {
	for _, at := range []string{"stop member", "withdraw records", "terminate host", "delete marker"} {
		for _, verb := range []string{"up", "destroy"} {
			t.Run(at+"/"+verb, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := newStage(t, nil)
					s.reach("up")
					before := s.w.zone.snapshot()
					if _, err := s.until("destroy", s.spec, s.mine, at); err == nil {
						t.Fatalf("destroy was not stopped at %q", at)
					}
					hosts := len(s.w.rules.ours())
					for _, k := range s.w.zone.keys() {
						s.w.zone.put(k, nil)
						s.w.zone.spoiled[k] = true
					}
					for _, set := range before.Sets {
						s.w.zone.put(set.Key, &set)
						s.w.zone.spoiled[set.Key] = true
					}
					if verb == "up" {
						s.run("up", s.spec, s.mine)
						if now := len(s.w.rules.ours()); now != hosts {
							t.Errorf("there were %d hosts, and up made it %d", hosts, now)
						}
						if hosts == s.spec.Members && len(s.w.Silent()) > 0 {
							t.Errorf("all have their data, and %v do not serve", s.w.Silent())
						}
					}
					s.reach("destroy")
					s.destroyed()
					for _, v := range s.w.Violations() {
						t.Error(v)
					}
				})
			})
		}
	}
}

// A zone that is put back to the claim hides that the list was published. A member
// that waits at its gate says so: hosts that are gone may have had data, and are not
// made again beside it.
func TestClaimPutBackBesideAMemberAtItsGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		if _, err := s.until("up", s.spec, s.mine, "publish records"); err == nil {
			t.Fatal("up was not stopped before it published")
		}
		claim := s.w.zone.snapshot()
		if _, err := s.until("up", s.spec, s.mine, "start member"); err == nil {
			t.Fatal("up was not stopped before it started a member")
		}
		hosts := s.w.rules.ours()
		for _, k := range s.w.zone.keys() {
			s.w.zone.put(k, nil)
			s.w.zone.spoiled[k] = true
		}
		for _, set := range claim.Sets {
			s.w.zone.put(set.Key, &set)
		}
		s.w.start(hosts[0], hosts[0].program)
		for _, h := range []*host{hosts[2], hosts[1]} { // their addresses are given the other way round
			s.w.vanish(h, "vanishes")
		}
		if out := s.run("up", s.spec, s.mine); len(out.Refusals) != 1 || out.Refusals[0].Rule != "R2" {
			t.Errorf("refused is %v, want R2", out.Refusals)
		}
		s.reach("destroy")
		s.destroyed()
		s.reach("up")
		if violations := s.w.Violations(); violations != nil {
			t.Error(violations)
		}
	})
}
