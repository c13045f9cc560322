//go:build race

package sim_test

// The race detector slows the simulator down tenfold, and what it looks for
// is in every seed.
const (
	defaultSeeds = 150
	same         = 10
)
