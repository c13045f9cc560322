// Package sim is the whole world in memory, from a seed, with faults: hosts,
// delivery to them, authoritative DNS with its server, a resolver on each
// host, etcd's bootstrap and membership, and the store of keys. The real loop
// (package converge) runs against it in virtual time, thousands of lives of a
// cluster a minute, and after every effect the rules of docs/planning.md are
// checked as invariants.
//
// Make a [World] with [New], a [Controller] for each command that is to run in
// it, hand [Controller.World] to the loop inside [Controller.Go], and let
// [World.Run] drive until they have ended. In a testing/synctest bubble, with
// synctest.Wait as Options.Idle, the same seed gives the same trace, byte for
// byte, however goroutines are scheduled:
//
//   - Whatever a controller asks of the world waits in the scheduler until
//     nothing else in the bubble can run. Then the waiting calls are sorted by
//     controller, verb and object, and the seed picks the next one and its
//     fate (scheduler.go).
//   - The world's own life, the starting members, elections, timeouts and
//     expiring caches, is a queue of events on the same virtual clock, run by
//     the same goroutine (events.go).
//   - Calls that are equal and made at one moment by one controller are reads,
//     and share one fate: their callers cannot be told apart.
//   - A call whose context ends, or whose controller crashes, takes effect at
//     that moment or never. Nothing acts from beyond the grave.
//
// What the model holds of etcd, and where each fact was seen, stands in
// member.go, etcd.go and changer.go. It leaves out: what is written (only how
// much, and who has it), voters that still count by a list from before a change,
// the milliseconds between a passed gate and etcd's own lookups, record sets
// that reach some authoritative servers late, and real cryptography.
//
// The lives themselves are in the tests: scenario_test.go plays a seed,
// mix_test.go draws its faults, judge_test.go says how it must end.
//
//	go test ./internal/sim                                    2,000 seeds
//	go test ./internal/sim -v -seeds 200000 -timeout 0        as many as asked, with a summary
//	go test ./internal/sim -v -seed 42                        one, with its trace
//
// To add a fault of single calls, add a fate to faults.go; to add something
// that befalls the world, a case to [World.Afflict]. Either way it is counted,
// and the test of coverage fails until it occurs. A new rule is a method in
// invariants.go or membership.go, called where the effect takes place; give it
// a tooth in teeth_test.go.
package sim

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// Options of a world.
type Options struct {
	// Seed decides everything that chance decides.
	Seed uint64
	// Spec is the cluster that the invariants watch over. Its zone is served
	// from the start unless the name server is to be ours.
	Spec cluster.Spec
	// Idle returns when no other goroutine can run: synctest.Wait. Nil where
	// the world runs in real time, as under the conformance suites; then
	// nothing is reproducible.
	Idle func()
	// Negative is how long resolvers remember that a name does not exist.
	Negative time.Duration
	// NoGate and NoIdentity take a member's own safety away (rules R3 and R6),
	// to show that the invariants see what it prevents.
	NoGate, NoIdentity bool
	// AskTwice lets etcd look for its peers in DNS by itself, after the gate.
	AskTwice bool
	// NoMark takes away the knowledge of how far data had got (rule R6).
	NoMark bool
	// NoToken makes another host at each request for one, as a cloud does where a
	// request has no token that says whether it is the same one again (rule R11).
	NoToken bool
}

// World is one simulated world. Only the goroutine in [World.Run] touches it;
// between two runs, its maker may.
type World struct {
	scheduler
	opts  Options
	rates Rates
	zone  zone
	hosts []*host             // sorted by cluster and name
	kept  []kept              // in the order in which it was
	dark  map[netip.Addr]bool // machines that controllers cannot reach
	etcds map[cluster.ID]*etcd
	rules rules
	// programs are those of pleiad.
	programs programs
	// ahead is how far the clock of the machine on which controllers run is
	// ahead; it is that of local hosts too.
	ahead offset
	// births counts processes, certificates and the like, so that each has a
	// number of its own.
	births int
	// moments counts what the rules must tell the order of; see moment.
	moments int
}

// New makes an empty world.
func New(o Options) *World {
	if o.Idle == nil {
		o.Idle = func() {}
	}
	w := &World{opts: o, etcds: map[cluster.ID]*etcd{}, dark: map[netip.Addr]bool{}}
	w.scheduler = newScheduler(rand.New(rand.NewPCG(o.Seed, 1)), o.Idle)
	w.zone = newZone(!o.Spec.ServesZone())
	w.rules = newRules(w)
	w.programs.broken = map[string]bool{}
	w.programs.take(false)
	return w
}

// between draws a duration, in whole microseconds.
func (w *World) between(low, high time.Duration) time.Duration {
	return low + time.Duration(w.chance.Int64N(int64((high-low)/time.Microsecond)+1))*time.Microsecond
}

// moment numbers this moment: of two effects at one time, one came first.
func (w *World) moment() int {
	w.moments++
	return w.moments
}

// number is a new number; see births.
func (w *World) number() int {
	w.births++
	return w.births
}
