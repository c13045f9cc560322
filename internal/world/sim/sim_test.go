package sim_test

import (
	"flag"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
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

// TestSeeds plays seeds. A failing one prints how to replay it.
func TestSeeds(t *testing.T) {
	if *oneSeed != 0 {
		r := one(t, *oneSeed, broken{})
		t.Logf("seed %d\n%s", *oneSeed, strings.Join(r.trace, "\n"))
		for _, f := range r.failures {
			t.Error(f)
		}
		return
	}
	var mu sync.Mutex
	counts := map[string]int{}
	failed := 0
	begun := time.Now()
	t.Run("shards", func(t *testing.T) {
		shards := uint64(runtime.GOMAXPROCS(0))
		for shard := range shards {
			t.Run(fmt.Sprint(shard), func(t *testing.T) {
				t.Parallel()
				for i := shard; i < *seeds; i += shards {
					r := one(t, *start+i, broken{})
					mu.Lock()
					for k, n := range r.counts {
						counts[k] += n
					}
					counts["calls"] += len(r.trace)
					if len(r.failures) > 0 {
						failed++
						if failed <= 5 {
							report(t, *start+i, r)
						} else {
							t.Errorf("seed %d: %s", *start+i, r.failures[0])
						}
					}
					mu.Unlock()
				}
			})
		}
	})
	t.Logf("%d seeds in %s, %d failed", *seeds, time.Since(begun).Round(time.Millisecond), failed)
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%9d  %s", counts[k], k)
	}
}

// report prints what failed, how to see it again, and the end of the trace.
func report(t *testing.T, seed uint64, r result) {
	tail := r.trace[max(0, len(r.trace)-60):]
	t.Errorf("seed %d:\n%s\n\nreplay: go test ./internal/world/sim -run TestSeeds -seed %d -v\n\n%s\n",
		seed, strings.Join(r.failures, "\n"), seed, strings.Join(tail, "\n"))
}
