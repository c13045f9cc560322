//go:build !race

package sim_test

const (
	defaultSeeds = 2000
	same         = 60 // seeds whose traces are compared
)
