package option

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.etcd.io/etcd/server/v3/features"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// featureGates takes settings of gates that the bundled etcd has.
func featureGates(v string) error {
	gates, err := cluster.ParseGates(v)
	if err != nil {
		return err
	}
	known := knownGates()
	for _, name := range slices.Sorted(maps.Keys(gates)) {
		if !slices.Contains(known, name) {
			return fmt.Errorf("etcd has no feature gate %q; it has %s", name, strings.Join(known, ", "))
		}
	}
	return nil
}

func checkGates(value string) (name string, err error) {
	gates, err := cluster.ParseGates(value)
	if err != nil {
		return "feature-gates", err
	}
	on := func(gate string) bool {
		if v, ok := gates[gate]; ok {
			return v
		}
		return gates["AllAlpha"]
	}
	if on("LeaseCheckpointPersist") && !on("LeaseCheckpoint") {
		return "feature-gates", errors.New("LeaseCheckpointPersist needs LeaseCheckpoint as well")
	}
	return "", nil
}

func knownGates() []string {
	known := []string{"AllAlpha", "AllBeta"}
	for gate := range features.DefaultEtcdServerFeatureGates {
		known = append(known, string(gate))
	}
	slices.Sort(known)
	return known
}
