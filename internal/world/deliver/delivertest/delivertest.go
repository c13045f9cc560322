// Package delivertest is the conformance suite of deliver.Deliverer: a case for
// each sentence of the contract. Every way of delivery and the simulator pass
// it, or else the simulator lies.
//
// [Run] it with a function that makes a [World]. The suite knows nothing of
// files, processes or units; what it must do to a world beyond the contract
// stands in World, and what members do when they are started it sets with
// Behave.
package delivertest

import (
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver"
)

// World has hosts on which nothing is installed; each case gets a new one.
type World struct {
	// Deliverer returns a deliverer. Each call gives one of its own, as if a
	// second command ran beside the first.
	Deliverer func() deliver.Deliverer
	// Host makes a host.
	Host func(cluster.MemberName) cluster.Host
	// Behave says what a host's member does from its next start on.
	Behave func(cluster.Host, Behaviour)
	// Answers says whether the member's peer port answers.
	Answers func(cluster.Host) bool
	// Kill ends a running member as a crash would, and returns when it is gone.
	Kill func(cluster.Host)
	// Occupy makes something else listen on a port of the host until release
	// is called.
	Occupy func(h cluster.Host, port uint16) (release func())
}

// Behaviour is what a member does once it is started. The zero value serves:
// its data appears, its peer port answers, and it never becomes ready, as the
// first member of a bootstrap does not.
type Behaviour struct {
	// Gate is what the start gate waits for, without end.
	Gate string
	// Refuse is why it ends, as it reports itself.
	Refuse string
	// Stubborn members do not end when asked to.
	Stubborn bool
}

// Run runs the suite.
func Run(t *testing.T, world func(*testing.T) World) {
	for _, c := range []struct {
		clause string
		test   func(*testing.T, World)
	}{
		{"Inspect finds nothing on a fresh host", testFresh},
		{"Install makes the host hold exactly this node", testInstall},
		{"Install writes keys and certificates only if given", testCredentials},
		{"Install neither starts nor stops nor touches data", testInstallBeside},
		{"Install refuses another host's node", testInstallOther},
		{"Install refuses what the host's node contradicts", testContradicted},
		{"Install refuses what the host's data contradicts", testContradictedByData},
		{"Start returns when the peer port answers, without a quorum", testStart},
		{"Start returns when the gate waits", testGate},
		{"Start says why the process ended", testRefused},
		{"Start refuses a host to which nothing was delivered", testNotInstalled},
		{"Start of a running member does nothing", testStartAgain},
		{"Starts at once start one process", testStartsAtOnce},
		{"Revert goes back to the flags of before", testRevert},
		{"Inspect shows the last start that came to nothing", testFailed},
		{"Start after a crash finds the data", testAfterCrash},
		{"Start says that something else listens", testOccupied},
		{"Stop ends the process and keeps the data", testStop},
		{"Stop forces a member that does not end", testStubborn},
		{"Stop of a member that does not run is no error", testStopAbsent},
		{"hosts do not depend on each other", testManyHosts},
		{"methods return when their context has ended", testCancelled},
	} {
		t.Run(c.clause, func(t *testing.T) {
			t.Parallel()
			c.test(t, world(t))
		})
	}
}
