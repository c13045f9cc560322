// Package etcd is the contract of what the loop asks etcd itself: how one member
// sees itself and its cluster. Package etcdtest holds the suite that the real
// client and the simulator pass.
package etcd

import (
	"context"
	"errors"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// ErrUnasked is the error of a question that could not be asked, because this side
// lacks what it takes, such as the operator's key. It says nothing of the member.
var ErrUnasked = errors.New("the member was not asked")

// Inspector asks members. Methods are safe for concurrent use and return as
// soon as ctx ends.
type Inspector interface {
	// View asks the member on one host, over its own address (no DNS), for its
	// view. Everything but View.Stalled is read without quorum, so that one
	// member is never judged by the others. View.Members is sorted by ID. An
	// error means unknown. A member that is not ready accepts connections and
	// answers nothing: View then waits for it, but for a few seconds at most.
	View(ctx context.Context, h cluster.Host) (cluster.View, error)

	// Shown is how long the certificates are valid that the member on one host
	// presents to whoever connects now: on its client port, where it must be one
	// that we accept, and on its peer port. An error means unknown.
	Shown(ctx context.Context, h cluster.Host) (cluster.Certificate, error)
}
