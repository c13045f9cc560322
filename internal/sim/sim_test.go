package sim_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/sim"
)

var (
	seeds   = flag.Uint64("seeds", defaultSeeds, "how many seeds to play")
	start   = flag.Uint64("start", 1, "the first seed")
	oneSeed = flag.Uint64("seed", 0, "play this seed alone; with -v its trace is printed")
)

// one plays a seed in a bubble of its own.
func one(t *testing.T, seed uint64, b broken) (r result) {
	synctest.Test(t, func(*testing.T) { r = play(seed, b) })
	return r
}

func TestMain(m *testing.M) {
	flag.Parse()
	if *oneSeed != 0 {
		flag.Set("test.run", "^TestSeeds$")
	}
	debug.SetGCPercent(1600) // many small worlds, each soon forgotten
	os.Exit(m.Run())
}

// TestSeeds plays seeds. A failing one prints how to replay it.
func TestSeeds(t *testing.T) {
	if *oneSeed != 0 {
		r := one(t, *oneSeed, broken{})
		t.Logf("seed %d\n%s", *oneSeed, strings.Join(r.trace(), "\n"))
		for _, f := range r.failures {
			t.Error(f)
		}
		return
	}
	c := campaign{counts: map[string]int{}}
	begun, cpu := time.Now(), cpuTime()
	t.Run("shards", func(t *testing.T) {
		shards := uint64(runtime.GOMAXPROCS(0))
		for shard := range shards {
			t.Run(fmt.Sprint(shard), func(t *testing.T) {
				t.Parallel()
				for i := shard; i < *seeds; i += shards {
					c.add(t, *start+i, one(t, *start+i, broken{}))
				}
			})
		}
	})
	t.Logf("%d seeds, %d failed, in %s, CPU %s", *seeds, c.failed, time.Since(begun).Round(time.Millisecond), (cpuTime() - cpu).Round(time.Millisecond))
	for _, k := range slices.Sorted(maps.Keys(c.counts)) {
		t.Logf("%9d  %s", c.counts[k], k)
	}
	if *seeds >= enough {
		c.covers(t)
	}
}

// campaign sums up many seeds.
type campaign struct {
	mu     sync.Mutex
	counts map[string]int
	failed int
}

func (c *campaign) add(t *testing.T, seed uint64, r result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, n := range r.counts {
		c.counts[k] += n
	}
	switch {
	case len(r.failures) == 0:
		return
	case c.failed < 5:
		report(t, seed, r)
	default:
		t.Errorf("seed %d: %s", seed, r.failures[0])
	}
	c.failed++
}

// covers checks that every step, every fault and every rule that is checked
// has occurred: what never happens is not tested.
func (c *campaign) covers(t *testing.T) {
	var want []string
	for _, s := range []plan.Step{plan.StartNameServer{}, plan.CreateAuthority{}, plan.RenewOperator{}, plan.LaunchHost{}, plan.InstallNode{},
		plan.StartMember{}, plan.AwaitMembers{}, plan.StopMember{}, plan.TerminateHost{}, plan.AddLearner{}, plan.PromoteLearner{}, plan.RemoveMember{}, plan.RemoveNameServer{}, plan.Forget{}} {
		want = append(want, "step: "+s.Verb())
	}
	for _, op := range []cluster.OperationKind{cluster.Restart, cluster.Add, cluster.Remove} {
		want = append(want, "step: "+plan.ChangeRecords{Purpose: plan.Reserve, Op: op}.Verb(), "step: "+plan.ChangeRecords{Purpose: plan.Release, Op: op}.Verb())
	}
	for _, purpose := range []plan.Purpose{plan.Claim, plan.Publish, plan.Seal, plan.Repair, plan.Expire, plan.MarkDestroying, plan.Withdraw, plan.DeleteMarker} {
		want = append(want, "step: "+plan.ChangeRecords{Purpose: purpose}.Verb())
	}
	for _, f := range slices.Concat(sim.Afflictions(), []string{"failed", "swallowed", "answer lost", "slow", "answered late",
		"read failed", "read slow", "read answered late", "half-done install", "half-done create", "host dies while starting",
		"crash", "companion", "another owner", "blackout", "beset"}) {
		want = append(want, "fault: "+f)
	}
	for _, rule := range []int{1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15} {
		want = append(want, fmt.Sprintf("check: R%d", rule))
	}
	for _, w := range want {
		if c.counts[w] == 0 {
			t.Errorf("%q has not occurred in %d seeds", w, *seeds)
		}
	}
}

// report prints what failed, how to see it again, and the end of the trace.
func report(t *testing.T, seed uint64, r result) {
	lines := r.trace()
	tail := lines[max(0, len(lines)-60):]
	t.Errorf("seed %d:\n%s\n\nreplay: go test ./internal/sim -run TestSeeds -seed %d -v\n\n%s\n",
		seed, strings.Join(r.failures, "\n"), seed, strings.Join(tail, "\n"))
}
