// Package client asks real etcd members over the network: it is the
// etcd.Inspector and the etcd.Changer of production, and the check behind
// `pleiad health`.
//
// [New] gives the client. Each request opens one connection to one member
// and closes it: no member answers for another, and nothing is kept
// between two observations.
//
// What is read without quorum (etcd v3.7.3): Status from the member's own
// state (server/etcdserver/api/v3rpc/maintenance.go), the serializable member
// list from what it has applied (server/etcdserver/server.go, MemberList).
// Alarms are taken from Status too and not from the Alarm call, which even for
// a list goes through raft (server/etcdserver/v3_server.go, Alarm): it needs
// quorum, and each one writes an entry to the log of every member. The
// linearizable read is the member list as well, so that the list of a member
// that lags never looks like a new one. A learner answers Status alone
// (server/etcdserver/api/v3rpc/util.go, isRPCSupportedForLearner).
package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/protobuf/encoding/prototext"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/etcd"
)

// Limits of one question, beside those of the caller's context. A member that
// has not yet joined a quorum accepts connections and answers none until it
// has, so that a question asked while it starts is answered the moment it is
// ready.
const (
	askLimit  = 2 * time.Second
	readLimit = time.Second
)

// TLS gives what a client presents and whom it trusts. It is asked anew for
// each connection, so that a renewed certificate is used at once.
type TLS func() (*tls.Config, error)

// Client is an etcd.Inspector and an etcd.Changer.
type Client struct {
	spec cluster.Spec
	tls  TLS
}

var (
	_ etcd.Inspector = (*Client)(nil)
	_ etcd.Changer   = (*Client)(nil)
)

// New makes a client of the members of one cluster. config is not used if the
// spec turns TLS off.
func New(spec cluster.Spec, config TLS) *Client { return &Client{spec: spec, tls: config} }

// View implements etcd.Inspector. The address is the host's, the name that its
// certificate must be valid for is the member's, and no DNS is asked.
func (c *Client) View(ctx context.Context, h cluster.Host) (cluster.View, error) {
	to, err := c.open(h)
	if err == nil {
		defer to.close()
		var v cluster.View
		if v, err = to.view(ctx); err == nil {
			return v, nil
		}
	}
	return cluster.View{}, fmt.Errorf("ask member %s at %s: %w", h.Name, at(h), err)
}

// at is where a member takes the connections of clients.
func at(h cluster.Host) string { return netip.AddrPortFrom(h.Address, h.Ports.Client).String() }

func (c *Client) open(h cluster.Host) (*conn, error) {
	var config *tls.Config
	if c.spec.TLS {
		var err error
		if config, err = c.tls(); err != nil {
			return nil, fmt.Errorf("%w: %w", etcd.ErrUnasked, err)
		}
	}
	return open(c.spec.ClientURL(h.Name, h.Ports.Client), config, func(ctx context.Context, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", at(h))
	})
}

// view asks all questions at once: the member list twice, as the member has
// applied it and with a linearizable read. The limit of the latter begins when the
// member has answered the others: one that was just not ready yet is not stalled.
func (c *conn) view(ctx context.Context) (cluster.View, error) {
	local, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	quorum, stop := context.WithCancel(ctx)
	defer stop()

	var status *pb.StatusResponse
	var applied, agreed *pb.MemberListResponse
	var statusErr, listErr, readErr error
	var locally, reading sync.WaitGroup
	reading.Go(func() { agreed, readErr = c.members(quorum, true) })
	locally.Go(func() { status, statusErr = c.status(local) })
	locally.Go(func() { applied, listErr = c.members(local, false) })
	locally.Wait()
	learner := statusErr == nil && status.IsLearner
	if learner {
		applied, listErr = nil, nil
	}
	err := cmp.Or(statusErr, listErr)
	if err != nil && !wantsUser(err) || learner {
		stop()
	}
	limit := time.AfterFunc(readLimit, stop)
	reading.Wait()
	limit.Stop()

	if errors.Is(ctx.Err(), context.Canceled) { // a read that was cut short says nothing of the member
		return cluster.View{}, ctx.Err()
	}
	switch {
	case err != nil && wantsUser(err) && wantsUser(readErr):
		return cluster.View{}, fmt.Errorf("%w: %w", etcd.ErrNoUser, c.explain(err))
	case err != nil:
		return cluster.View{}, c.explain(err)
	}
	if readErr == nil && !learner {
		return view(status, agreed), nil
	}
	v := view(status, applied)
	if !learner {
		v.Stalled = c.explain(readErr).Error()
	}
	return v, nil
}

// wantsUser says whether a member wants to know who asks. It finds that out only
// after the linearizable read that was asked for (server/etcdserver/server.go,
// MemberList).
func wantsUser(err error) bool { return errors.Is(rpctypes.Error(err), rpctypes.ErrUserEmpty) }

// view translates what etcd says.
func view(status *pb.StatusResponse, list *pb.MemberListResponse) cluster.View {
	v := cluster.View{
		ID:       cluster.MemberID(status.Header.MemberId),
		Cluster:  cluster.ID(status.Header.ClusterId),
		Leader:   cluster.MemberID(status.Leader),
		Term:     status.RaftTerm,
		Applied:  status.RaftAppliedIndex,
		Revision: status.Header.Revision,
		Version:  status.Version,
		DBSize:   status.DbSize,
		Learner:  status.IsLearner,
	}
	for _, m := range list.GetMembers() {
		v.Members = append(v.Members, cluster.Member{
			ID:         cluster.MemberID(m.ID),
			Name:       cluster.MemberName(m.Name),
			PeerURLs:   slices.Sorted(slices.Values(m.PeerURLs)),
			ClientURLs: slices.Sorted(slices.Values(m.ClientURLs)),
			Learner:    m.IsLearner,
		})
	}
	slices.SortFunc(v.Members, func(a, b cluster.Member) int { return cmp.Compare(a.ID, b.ID) })
	for _, e := range status.Errors {
		if alarm, ok := parseAlarm(e); ok {
			v.Alarms = append(v.Alarms, about(alarm, v.Members))
		} else {
			v.Errors = append(v.Errors, e)
		}
	}
	slices.SortFunc(v.Alarms, func(a, b cluster.Alarm) int { return strings.Compare(a.String(), b.String()) })
	return v
}

// parseAlarm reads an alarm among the errors of a status, where etcd prints it
// in the text format of protocol buffers, "memberID:1234 alarm:NOSPACE", whose
// spaces are not to be relied on.
func parseAlarm(text string) (*pb.AlarmMember, bool) {
	var a pb.AlarmMember
	if err := prototext.Unmarshal([]byte(text), &a); err != nil || a.Alarm == pb.AlarmType_NONE {
		return nil, false
	}
	return &a, true
}

// about is an alarm with the member that it is about. A corruption that no majority
// can pin on a member is raised for member 0 (etcd server/etcdserver/corrupt.go).
func about(a *pb.AlarmMember, members []cluster.Member) cluster.Alarm {
	out := cluster.Alarm{Kind: a.Alarm.String(), Member: cluster.MemberID(a.MemberID)}
	for _, m := range members {
		if m.ID == out.Member {
			out.Name = m.Name
		}
	}
	return out
}
