package sim

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
)

// Where nobody can look for what runs of removed hosts, a destroy forgets no
// cluster that may have such a member (rule R1); and the rule bites.
func TestUntraced(t *testing.T) {
	for _, careless := range []bool{false, true} {
		t.Run(fmt.Sprintf("careless=%t", careless), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, nil)
				s.reach("up")
				lost := s.first()
				s.w.lose(lost)
				lost.proven = true
				s.untraced, s.careless = true, careless
				out := s.run("destroy", s.spec, s.mine)
				if careless {
					if v := s.w.Violations(); len(v) == 0 || !strings.HasPrefix(v[0], "R1 violated") {
						t.Errorf("not caught: %v", v)
					}
					return
				}
				if len(out.Refusals) != 1 || out.Refusals[0].Remedy[0].Way() != plan.ReadHosts || s.w.rules.now() == nil {
					t.Fatalf("destroy: %v, the marker is %v", out.Refusals, s.w.rules.now())
				}
				s.untraced = false
				s.reach("destroy")
				s.destroyed()
				if lost.process != nil {
					t.Errorf("%s still runs", lost.Name)
				}
				for _, v := range s.w.Violations() {
					t.Error(v)
				}
			})
		})
	}
}
