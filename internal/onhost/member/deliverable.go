package member

import (
	"errors"
	"fmt"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// ErrContradicted is the kind of error of a delivery that the host knows better
// than: see [Contradiction].
var ErrContradicted = errors.New("refused by the host")

// Deliverable says whether a node may be delivered to where it belongs, with
// what is there; see [Contradiction].
func Deliverable(n node.Node) error {
	found, err := delivered(n.Paths)
	if err != nil {
		return err
	}
	return Contradiction(found, n)
}

// Contradiction is why a node must not be delivered to a host on which this was
// found (rules R2 and R6); nil if it may. A controller decides the same before it plans a
// delivery; the host checks again, since the controller may have looked at
// another moment, or at an old marker.
//
// A node of an unsealed cluster may be delivered over data: a bootstrap that
// was interrupted after the first start is completed so. What must not happen
// is that a host that knows of the seal forgets it.
func Contradiction(found cluster.Node, n node.Node) error {
	made, data := found.Made, found.Data
	switch {
	case found.Installed != "" && made.Token != n.Token:
		return fmt.Errorf("%w: it holds a node of incarnation %s, not %s", ErrContradicted, made.Token, n.Token)
	case found.Sealed && !n.Sealed:
		return fmt.Errorf("%w: it holds a node of the sealed cluster, and a cluster is never unsealed", ErrContradicted)
	case made.Generation > n.Generation:
		return fmt.Errorf("%w: it holds a node made from generation %d of the marker, which is newer than %d", ErrContradicted, made.Generation, n.Generation)
	case data.Foreign(n.Made()):
		return fmt.Errorf("%w: it holds data of member %s of cluster %s, not of member %s of cluster %s", ErrContradicted, data.Member, data.Cluster, n.Member, n.ID)
	}
	return nil
}
