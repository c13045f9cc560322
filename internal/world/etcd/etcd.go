// Package etcd is the contract of what the loop asks etcd itself: how one member
// sees itself and its cluster ([Inspector]), and changes of the member list
// ([Changer]). Observing uses the first, applying a step the second. Package
// etcdtest holds the suite that the real client and the simulator pass.
//
// The words are etcd's. The member list has an entry for each member, by ID; a
// member that has not started yet has no name in it. A voter counts for the
// quorum, a learner does not; both get every write. The leader is the voter that
// takes the writes.
package etcd

import (
	"context"
	"errors"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// ErrUnasked is the error of a question that could not be asked, because this side
// lacks what it takes, such as the operator's key. It says nothing of the member.
var ErrUnasked = errors.New("the member was not asked")

// ErrNoUser is the error of a question that a member answers users only: etcd's auth
// is on, and without TLS we are nobody to it. The member serves linearizable reads.
var ErrNoUser = errors.New("the member serves, and asks for a user: etcd's auth is on, and without TLS pleiad has none")

// Inspector asks members. Methods are safe for concurrent use and return as
// soon as ctx ends.
type Inspector interface {
	// View asks the member on one host, over its own address (no DNS), for its
	// view. No error depends on a quorum, so that one member is never judged by
	// the others. View.Members is sorted by ID. If View.Stalled is empty, the list
	// was read together with the linearizable read: it has every change that was
	// acknowledged before the question. A learner answers for itself alone: it
	// serves no linearizable read and tells no members. An error means unknown. A
	// member that is not ready accepts connections and answers nothing: View then
	// waits for it, but for a few seconds at most.
	View(ctx context.Context, h cluster.Host) (cluster.View, error)

	// Shown is how long the certificates are valid that the member on one host
	// presents to whoever connects now: on its client port, where it must be one
	// that we accept, and on its peer port. An error means unknown.
	Shown(ctx context.Context, h cluster.Host) (cluster.Certificate, error)

	// Heard are the members from which the member on one host gets anything as
	// their peer while it is asked, in no order. It listens for more than two
	// election timeouts, in which each member that runs and reaches it sends
	// something. An error means unknown.
	Heard(ctx context.Context, h cluster.Host) ([]cluster.MemberID, error)
}
