package dns

import (
	"context"
	"fmt"
	"regexp"
	"slices"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// memberLabel is the form of every member name pleiad makes; see Owns.
var memberLabel = regexp.MustCompile(`^etcd-[a-z0-9]{7,12}$`)

// Owns says whether a record set is on one of our names: the marker, the four
// SRV sets, and the addresses of hosts with reserved names. It is a matter of
// syntax alone, so that it can neither lag nor lie.
func Owns(spec cluster.Spec, k cluster.Key) bool {
	switch k.Type {
	case cluster.TXT:
		return k.Name == spec.MarkerName()
	case cluster.SRV:
		return k.Name == spec.ServerService() || k.Name == spec.ClientService() ||
			slices.Contains(spec.RivalServices(), k.Name)
	case cluster.A, cluster.AAAA:
		m, ok := spec.MemberOf(k.Name)
		return ok && memberLabel.MatchString(string(m))
	}
	return false
}

// Guard returns a zone that refuses to send a change set which touches a name
// that is not ours, or which does not move the marker: every change of records
// is a compare-and-swap on the marker's generation (rules R10, R11).
func Guard(spec cluster.Spec, z Zone) Zone { return &guard{Zone: z, spec: spec} }

type guard struct {
	Zone
	spec cluster.Spec
}

func (g *guard) Apply(ctx context.Context, changes []cluster.Change) (Receipt, error) {
	if err := g.check(changes); err != nil {
		return "", fmt.Errorf("change records of %s: %w", g.spec.Domain, err)
	}
	return g.Zone.Apply(ctx, changes)
}

func (g *guard) check(changes []cluster.Change) error {
	if err := Check(changes); err != nil {
		return err
	}
	marker := g.spec.MarkerKey()
	moved := false
	for _, c := range changes {
		if !Owns(g.spec, c.Key) {
			return fmt.Errorf("rule R10: %s %s is not a name of this cluster", c.Name, c.Type)
		}
		moved = moved || c.Key == marker && !Same(c.Old, c.New)
	}
	if !moved {
		return fmt.Errorf("rule R11: the change does not move the marker %s", marker.Name)
	}
	return nil
}

// Same says whether two sides of a change are the same record set, absence
// included: such a change only guards.
func Same(a, b *cluster.RecordSet) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(*b)
}
