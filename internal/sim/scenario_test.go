package sim_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"testing/synctest"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/sim"
	"github.com/pleiad-etcd/pleiad/internal/world"
)

// broken is what a test breaks, to see that it is noticed; nil fields are sound.
type broken struct {
	planner            func(plan.Planner) plan.Planner
	world              func(world.World) world.World
	noGate, noIdentity bool
	askTwice           bool
	noMark             bool
	noToken            bool
	befalls            string            // an affliction that every seed has in its mix
	options            map[string]string // of etcd
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
	tidied    int  // how often a person has removed what was foreign
	moved     int  // how many addresses left the spec
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
	s.spec.Etcd.Options = maps.Clone(b.options)
	s.w = sim.New(sim.Options{Seed: seed, Spec: s.spec, Idle: synctest.Wait, NoGate: b.noGate, NoIdentity: b.noIdentity, AskTwice: b.askTwice, NoMark: b.noMark, NoToken: b.noToken,
		Negative: time.Duration(5+s.chance.IntN(35)) * time.Second})
	s.mix = s.drawMix()
	if b.befalls != "" {
		s.mix.afflictions = append(s.mix.afflictions, b.befalls)
	}
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
	switch s.chance.IntN(3) {
	case 0:
		spec.Hosts.Local = &cluster.LocalHosts{}
	case 1: // with spares now and then; the embedded server is on no such machine
		spec.DNS.Embedded, spec.Hosts.SSH = nil, &cluster.SSHHosts{}
		for i := range spec.Members + s.chance.IntN(3) {
			spec.Hosts.SSH.Addresses = append(spec.Hosts.SSH.Addresses, netip.AddrFrom4([4]byte{10, 5, 1, byte(i + 1)}))
		}
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
	switch verb {
	case "replace":
		if names := s.w.Members(); names != nil {
			loop.Wish(plan.Wishes{Replaced: []cluster.MemberName{names[s.chance.IntN(len(names))]}})
		}
	case "destroy":
		loop, r.Consent = converge.Destroy(spec, w), sim.LoseData
		if s.runs%3 == 0 {
			loop.Next, r.Consent = plan.DestroyButData, sim.LoseHosts
		}
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
	s.told(r)
	return r
}

// told checks what a destroy that has ended says of what is left.
func (s *scenario) told(r *run) {
	if r.err == nil && r.out.Reached() {
		s.w.Told(r.Controller, r.out.Missing)
	}
}
