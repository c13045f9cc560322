package etcd

import (
	"context"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
)

// The errors of a [Changer]. After all but ErrUnknownOutcome nothing was changed.
var (
	// ErrRefused is the error of a change that etcd refuses; its own reason is in
	// the text: a voter is down, the learner has not caught up, there is a learner
	// already. It may be accepted later.
	ErrRefused = fault.New(fault.Conflict, "refused by etcd")
	// ErrExists is the error of a change that is there already: the peer URL is on
	// the list, or the member is a voter.
	ErrExists = fault.New(fault.Conflict, "already so in etcd's member list")
	// ErrNotFound is the error of a change to a member that is not on the list.
	ErrNotFound = fault.New(fault.Conflict, "not in etcd's member list")
	// ErrDenied is the error of a change that etcd's auth does not allow: the user of
	// the operator's certificate, pleiad, lacks the role root or does not exist.
	ErrDenied = fault.New(fault.Denied, "not allowed by etcd's auth")
	// ErrUnreachable is the error of a change that no member could be asked for:
	// none answers, or none that does can change the list.
	ErrUnreachable = fault.New(fault.Unreachable, "no member takes the change")
	// ErrUnknownOutcome is the error of a change that was sent and of which nobody
	// knows what came of it (rule R12).
	ErrUnknownOutcome = fault.New(fault.UnknownOutcome, "no answer to a sent change")
)

// Changer changes the member list of one cluster. Methods are safe for concurrent
// use and return as soon as ctx ends, with its error unless the change was sent
// already. via are the hosts whose members may be asked, best first, over their own
// addresses (no DNS): the first that answers decides. One that is a learner, or
// knows no leader, cannot change the list and is passed over like one that does not
// answer. Each is waited for a few seconds, and etcd's answer ten.
//
// No change is idempotent: what one with [ErrUnknownOutcome] has done, the list
// says.
type Changer interface {
	// AddLearner adds a member that does not vote, by the URL at which its peers
	// will find it, and returns the ID that etcd chose. Its entry has no name until
	// it has started. A URL that was removed within the same second is refused.
	AddLearner(ctx context.Context, via []cluster.Host, peerURL string) (cluster.MemberID, error)
	// Promote makes a learner a voter. etcd refuses that until the learner has
	// nearly all that the leader has.
	Promote(ctx context.Context, via []cluster.Host, id cluster.MemberID) error
	// Remove takes a member off the list, for good: its ID never comes back. If it
	// runs it ends by itself, soon after it has learned of that.
	Remove(ctx context.Context, via []cluster.Host, id cluster.MemberID) error
	// MoveLeader makes another voter the leader. Only the leader can do that: any
	// other member refuses.
	MoveLeader(ctx context.Context, via []cluster.Host, to cluster.MemberID) error
}
