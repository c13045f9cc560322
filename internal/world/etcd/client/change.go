package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/etcd"
)

// changeLimit is how long a change may take once it is sent. etcd itself gives up
// after 7 s with its default election timeout (server/config/config.go, ReqTimeout).
const changeLimit = 10 * time.Second

// AddLearner implements etcd.Changer.
func (c *Client) AddLearner(ctx context.Context, via []cluster.Host, peerURL string) (id cluster.MemberID, err error) {
	err = c.change(ctx, via, "add learner "+peerURL, func(ctx context.Context, to *conn) error {
		answer, err := pb.NewClusterClient(to.grpc).MemberAdd(ctx, &pb.MemberAddRequest{PeerURLs: []string{peerURL}, IsLearner: true})
		id = cluster.MemberID(answer.GetMember().GetID())
		if errors.Is(rpctypes.Error(err), rpctypes.ErrMemberNotFound) {
			return errTooSoon
		}
		return err
	})
	return id, err
}

// errTooSoon is what is wrong if etcd does not find a member that is to be added. It
// makes the ID of the URL and of the time in seconds, and an ID that was removed does
// not come back (server/etcdserver/api/membership: computeMemberID, ErrIDRemoved).
var errTooSoon = errors.New("a member with this peer URL was removed within the same second")

// Promote implements etcd.Changer. A member that does not lead forwards it.
func (c *Client) Promote(ctx context.Context, via []cluster.Host, id cluster.MemberID) error {
	return c.change(ctx, via, "promote member "+id.String(), func(ctx context.Context, to *conn) error {
		_, err := pb.NewClusterClient(to.grpc).MemberPromote(ctx, &pb.MemberPromoteRequest{ID: uint64(id)})
		return err
	})
}

// Remove implements etcd.Changer.
func (c *Client) Remove(ctx context.Context, via []cluster.Host, id cluster.MemberID) error {
	return c.change(ctx, via, "remove member "+id.String(), func(ctx context.Context, to *conn) error {
		_, err := pb.NewClusterClient(to.grpc).MemberRemove(ctx, &pb.MemberRemoveRequest{ID: uint64(id)})
		return err
	})
}

// MoveLeader implements etcd.Changer.
func (c *Client) MoveLeader(ctx context.Context, via []cluster.Host, to cluster.MemberID) error {
	return c.change(ctx, via, "move the leader to member "+to.String(), func(ctx context.Context, leader *conn) error {
		_, err := pb.NewMaintenanceClient(leader.grpc).MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: uint64(to)})
		return err
	})
}

// change sends a change to the first member that takes one. To no second: what was
// sent once may have been done.
func (c *Client) change(ctx context.Context, via []cluster.Host, what string, send func(context.Context, *conn) error) error {
	var unable []string
	for _, h := range via {
		to, err := c.reach(ctx, h)
		switch {
		case err == nil:
		case errors.Is(err, etcd.ErrUnasked):
			return fmt.Errorf("%s: %w", what, err)
		case ctx.Err() != nil:
			return fmt.Errorf("%s: %w", what, ctx.Err())
		default:
			unable = append(unable, fmt.Sprintf("%s at %s: %v", h.Name, at(h), err))
			continue
		}
		defer to.close()
		limited, cancel := context.WithTimeout(ctx, changeLimit)
		defer cancel()
		if err := to.outcome(limited, send(limited, to)); err != nil {
			return fmt.Errorf("%s through %s: %w", what, h.Name, err)
		}
		return nil
	}
	if unable == nil {
		unable = []string{"there is nobody to ask"}
	}
	return fmt.Errorf("%s: %w: %s", what, etcd.ErrUnreachable, strings.Join(unable, "; "))
}

// reach connects with a member that takes changes. Whatever fails here, nothing was
// sent yet.
func (c *Client) reach(ctx context.Context, h cluster.Host) (*conn, error) {
	to, err := c.open(h)
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	status, err := to.status(limited)
	switch {
	case err != nil:
		err = to.explain(err)
	case status.IsLearner:
		err = errors.New("it is a learner")
	case status.Leader == 0:
		err = errors.New("it knows no leader")
	}
	if err != nil {
		to.close()
		return nil, err
	}
	return to, nil
}

// refusals are the errors with which etcd says that it has changed nothing, but for
// those below (server/etcdserver/server.go, AddMember and what follows it). Any other
// error may come from a change that was already on its way: etcd gives up waiting
// for it with "request timed out", and forwards a promotion more than once.
var refusals = []error{
	rpctypes.ErrMemberNotEnoughStarted, rpctypes.ErrUnhealthy, rpctypes.ErrMemberLearnerNotReady, rpctypes.ErrTooManyLearners,
	rpctypes.ErrMemberBadURLs, rpctypes.ErrNotLeader, rpctypes.ErrBadLeaderTransferee, errTooSoon,
}

// denials are refusals for want of a right, which waiting does not mend. etcd asks for it
// before anything else (server/etcdserver/server.go, checkMembershipOperationPermission;
// server/auth/store.go, IsAdminPermitted).
var denials = []error{rpctypes.ErrPermissionDenied, rpctypes.ErrUserNotFound, rpctypes.ErrUserEmpty, rpctypes.ErrInvalidAuthToken}

// outcome is how a change ended that was sent.
func (c *conn) outcome(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	told := rpctypes.Error(err)
	is := func(target error) bool { return errors.Is(told, target) }
	switch {
	case is(rpctypes.ErrMemberNotFound):
		return fmt.Errorf("%w: %w", etcd.ErrNotFound, c.explain(err))
	case is(rpctypes.ErrPeerURLExist), is(rpctypes.ErrMemberExist), is(rpctypes.ErrMemberNotLearner):
		return fmt.Errorf("%w: %w", etcd.ErrExists, c.explain(err))
	}
	for _, refusal := range refusals {
		if is(refusal) {
			return fmt.Errorf("%w: %w", etcd.ErrRefused, c.explain(err))
		}
	}
	for _, denial := range denials {
		if is(denial) {
			return fmt.Errorf("%w: %w", etcd.ErrDenied, c.explain(err))
		}
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("%w: %w", etcd.ErrUnknownOutcome, ctx.Err())
	}
	return fmt.Errorf("%w: %w", etcd.ErrUnknownOutcome, c.explain(err))
}
