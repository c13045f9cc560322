package sim_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/world"
	"github.com/pleiad-etcd/pleiad/internal/world/sim"
)

// broken is what a test breaks, to see that it is noticed; nil fields are sound.
type broken struct {
	planner            func(plan.Planner) plan.Planner
	world              func(world.World) world.World
	noGate, noIdentity bool
}

// scenario is the life of a world, from a seed: a sequence of runs under
// faults, then a last one without, and what must be true at the end.
type scenario struct {
	broken broken
	chance *rand.Rand
	w      *sim.World
	spec   cluster.Spec
	// mine is our state directory; stores are all there are: those of other
	// owners, and copies of ours, since one directory is locked by one command
	// at a time.
	mine      *sim.Store
	stores    []*sim.Store
	mix       mix
	runs      int
	destroyed bool // a destroy was begun
	mistaken  bool // a run had another spec
	failures  []string
}

// run is one command.
type run struct {
	*sim.Controller
	out converge.Outcome
	err error
}

// result is what is left of a scenario.
type result struct {
	trace    func() []string // made when it is wanted
	failures []string
	counts   map[string]int
}

// play plays a seed. It must be called in a bubble.
func play(seed uint64, b broken) result {
	s := &scenario{broken: b, chance: rand.New(rand.NewPCG(seed, 0)), mine: &sim.Store{}}
	s.stores = []*sim.Store{s.mine, {}}
	s.spec = s.drawSpec()
	s.w = sim.New(sim.Options{Seed: seed, Spec: s.spec, Idle: synctest.Wait, NoGate: b.noGate, NoIdentity: b.noIdentity,
		Negative: time.Duration(5+s.chance.IntN(35)) * time.Second})
	s.mix = s.drawMix()
	s.w.SetRates(s.mix.rates)
	for range 1 + s.chance.IntN(4) {
		s.act()
		if s.stop() {
			break
		}
	}
	if !s.stop() {
		s.end()
	}
	return result{trace: s.w.Trace, failures: append(s.failures, s.w.Violations()...), counts: s.w.Counts()}
}

// stop says that something is wrong already: what follows from it is not
// worth reading.
func (s *scenario) stop() bool { return len(s.failures) > 0 || len(s.w.Violations()) > 0 }

func (s *scenario) fail(format string, args ...any) {
	s.failures = append(s.failures, fmt.Sprintf(format, args...))
}

func (s *scenario) drawSpec() cluster.Spec {
	spec := cluster.Spec{Cluster: "c1", Domain: "c1.test", Members: []int{1, 3, 3, 3, 3, 5}[s.chance.IntN(6)], TLS: s.chance.IntN(2) == 0}
	if s.chance.IntN(2) == 0 {
		spec.DNS.Embedded = &cluster.EmbeddedDNS{}
	}
	if s.chance.IntN(3) == 0 {
		spec.Hosts.Local = &cluster.LocalHosts{}
	}
	if s.chance.IntN(4) == 0 {
		spec.DiscoveryName = "b2"
	}
	return spec
}

// begin starts a command.
func (s *scenario) begin(verb string, spec cluster.Spec, store *sim.Store) *run {
	s.runs++
	r := &run{Controller: s.w.Controller(fmt.Sprintf("%s-%d", verb, s.runs), store)}
	w := r.World(spec)
	if s.broken.world != nil {
		w = s.broken.world(w)
	}
	loop := converge.Up(spec, w)
	if verb == "destroy" {
		loop = converge.Destroy(spec, w)
		s.destroyed = true
	}
	if s.broken.planner != nil {
		loop.Next = s.broken.planner(loop.Next)
	}
	loop.Report = r.Controller
	r.Go(func(ctx context.Context) { r.out, r.err = loop.Run(ctx) })
	return r
}

// do runs a command alone to its end.
func (s *scenario) do(verb string, spec cluster.Spec, store *sim.Store) *run {
	r := s.begin(verb, spec, store)
	if err := s.w.Run(time.Hour, r.Ended); err != nil {
		s.fail("%s: %v", r.Name, err)
	}
	return r
}

// end lets faults stop and checks that the world can be brought to agreement,
// if need be by what a refusal tells a person to do.
func (s *scenario) end() {
	s.w.Before = func(int) {}
	s.w.Heal()
	for attempt := 0; ; attempt++ {
		r := s.do("up", s.spec, s.mine)
		switch {
		case s.stop():
			return
		case r.err != nil:
			s.fail("%s ends with an error although nothing fails any more: %v", r.Name, r.err)
			return
		case r.out.Reached():
			s.agree()
			if !s.stop() && s.spec.DNS.Embedded == nil && s.chance.IntN(4) == 0 {
				s.withoutDNS()
			}
			if !s.stop() && s.chance.IntN(2) == 0 {
				s.nothingLeft()
			}
			return
		case len(r.out.Refusals) == 0:
			s.fail("%s ends without a step to take, but: %v", r.Name, r.out.Differences)
			return
		case attempt == 6:
			s.fail("after %d runs and all that was advised: %v", attempt, r.out.Refusals)
			return
		}
		for _, refusal := range r.out.Refusals {
			if why := s.excuse(refusal); why == "" {
				s.fail("%s refuses without need: %s", r.Name, refusal)
				return
			}
		}
		s.heed(r.out.Refusals)
	}
}

// agree checks that all lists are equal: what the loop verified by asking is
// compared with the truth.
func (s *scenario) agree() {
	for _, d := range s.w.Disagreements(s.spec) {
		s.fail("up has converged, but %s", d)
	}
}

// withoutDNS kills all members of a sound cluster and takes DNS away for good:
// up brings them back all the same (rule R9).
func (s *scenario) withoutDNS() {
	s.w.Blackout()
	r := s.do("up", s.spec, s.mine)
	if err := s.w.Run(10*time.Second, func() bool { return len(s.w.Silent()) == 0 }); err != nil {
		s.fail("R9 violated: without DNS %s has not brought back %s: %v", r.Name, cluster.JoinMembers(s.w.Silent()), r.err)
		return
	}
	s.w.Heal()
	if r = s.do("up", s.spec, s.mine); r.err != nil || !r.out.Reached() {
		s.fail("%s does not converge when DNS is back: %v %v", r.Name, r.err, r.out.Refusals)
		return
	}
	s.agree()
}

// nothingLeft destroys a sound cluster and checks that nothing of it is left.
func (s *scenario) nothingLeft() {
	r := s.do("destroy", s.spec, s.mine)
	if r.err != nil || !r.out.Reached() {
		s.fail("%s does not succeed: %v %v", r.Name, r.err, r.out.Refusals)
		return
	}
	for _, rest := range s.w.Remains(s.spec) {
		s.fail("after destroy there is still %s", rest)
	}
	if !s.mine.Empty() {
		s.fail("after destroy the state directory is not empty")
	}
}

// excuse says which fault a refusal is due to; without one it is unfounded.
func (s *scenario) excuse(r plan.Refusal) string {
	had := func(faults ...string) string {
		for _, f := range faults {
			if s.w.Counts()["fault: "+f] > 0 {
				return f
			}
		}
		return ""
	}
	text := r.String()
	switch {
	case r.Unknown:
		return ""
	case r.Rule == "R6" && (strings.HasPrefix(r.What, "start member") || strings.HasPrefix(r.What, "trust member")):
		return had("wipe")
	case r.Rule == "R6":
		return had("vanish", "host dies while starting")
	case strings.Contains(text, "belongs to owner"):
		return had("another owner", "companion")
	case r.Rule == "R10":
		return had("foreign value", "foreign marker", "delete marker")
	case r.Rule == "R1" && r.What == "bootstrap":
		return had("delete marker", "crossing")
	case r.Rule == "R2" && strings.Contains(text, "being destroyed") && s.destroyed:
		return "destroy"
	case s.mistaken && (r.What == "change TLS" || strings.HasPrefix(r.What, "change the cluster")):
		return "mistake"
	case r.Rule == "R5" && s.spec.Members == 1:
		return "a single member"
	case r.Rule == "R5" && s.mistaken:
		return "mistake"
	case r.Rule == "R5": // what must be mended first is refused beside it
		return had("vanish", "host dies while starting", "wipe", "foreign value")
	}
	return ""
}

// heed does what refusals advise.
func (s *scenario) heed(refusals []plan.Refusal) {
	s.w.Tidy()
	for _, r := range refusals {
		text := r.String()
		switch {
		case r.Rule == "R1" && r.What == "bootstrap" && s.restore(r):
			return
		case strings.Contains(text, "belongs to owner"):
			for _, store := range s.stores {
				if store.Owner() != "" && strings.Contains(text, "belongs to owner "+string(store.Owner())) {
					s.takeDown(store)
					return
				}
			}
			s.fail("nobody owns the cluster: %s", text)
			return
		case r.Rule == "R1" && r.What == "bootstrap":
			s.takeDown(s.maker())
			return
		case r.Rule == "R10" && strings.Contains(text, "there is no marker"):
			s.w.Clear(s.spec)
			return
		case r.Rule == "R10":
			return // tidied
		}
	}
	s.takeDown(s.mine)
}

// maker is a state directory that may have made the cluster: ours if it is of
// any owner.
func (s *scenario) maker() *sim.Store {
	for _, store := range s.stores {
		if store.Owner() != "" {
			return store
		}
	}
	return s.mine
}

// restore puts back the marker that a refusal prints, if the seed wills.
func (s *scenario) restore(r plan.Refusal) bool {
	i := slices.IndexFunc(r.Remedy, func(line string) bool { return strings.Contains(line, " TXT ") })
	if i < 0 || s.chance.IntN(2) == 0 {
		return false
	}
	if err := s.w.Restore(r.Remedy[i]); err != nil {
		s.fail("%v", err)
	}
	return true
}

// takeDown destroys until nothing of an owner's cluster is left.
func (s *scenario) takeDown(store *sim.Store) {
	for range 3 {
		r := s.do("destroy", s.spec, store)
		if r.err == nil && r.out.Reached() {
			if s.w.Counts()["fault: delete marker"] > 0 {
				s.w.Clear(s.spec) // without the marker nobody knew that they were ours
			}
			return
		}
		if r.err != nil {
			s.fail("%s ends with an error although nothing fails any more: %v", r.Name, r.err)
			return
		}
		s.w.Tidy()
		if s.excuse(r.out.Refusals[0]) == "" {
			s.fail("%s refuses without need: %s", r.Name, r.out.Refusals[0])
		}
	}
}
