package sim_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSameSeedSameTrace plays seeds twice on one processor and twice on two:
// the traces are the same, byte for byte.
func TestSameSeedSameTrace(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	differ := false
	last := ""
	for seed := *start; seed < *start+same; seed++ {
		var first string
		for i, procs := range []int{1, 2, 2, 1} {
			runtime.GOMAXPROCS(procs)
			trace := strings.Join(one(t, seed, broken{}).trace(), "\n")
			if i == 0 {
				first = trace
			} else if trace != first {
				t.Fatalf("seed %d with %d processors (-first +now):\n%s", seed, procs, cmp.Diff(strings.Split(first, "\n"), strings.Split(trace, "\n")))
			}
		}
		differ = differ || last != "" && first != last
		last = first
	}
	if !differ {
		t.Error("all seeds have one trace")
	}
}
