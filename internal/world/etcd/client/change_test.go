package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/world/etcd"
	"github.com/pleiad-etcd/pleiad/internal/world/etcd/client"
)

// fake is a member that answers as a test wants.
type fake struct {
	pb.UnimplementedMaintenanceServer
	pb.UnimplementedClusterServer
	status *pb.StatusResponse
	closed error // the answer to whoever asks for the status; nil for status
	list   func(linearizable bool) (*pb.MemberListResponse, error)
	remove func(context.Context) error
	add    func() (*pb.MemberAddResponse, error)
}

func (f *fake) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	return f.status, f.closed
}

func (f *fake) MemberList(_ context.Context, r *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	return f.list(r.Linearizable)
}

func (f *fake) MemberAdd(context.Context, *pb.MemberAddRequest) (*pb.MemberAddResponse, error) {
	return f.add()
}

func (f *fake) MemberRemove(ctx context.Context, _ *pb.MemberRemoveRequest) (*pb.MemberRemoveResponse, error) {
	return &pb.MemberRemoveResponse{}, f.remove(ctx)
}

// serve lets a fake member serve without TLS until the test ends, or end is called.
func (f *fake) serve(t *testing.T) (h cluster.Host, end func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	pb.RegisterMaintenanceServer(s, f)
	pb.RegisterClusterServer(s, f)
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.Serve(l) }) // ends with Stop
	t.Cleanup(func() {
		s.Stop()
		serving.Wait()
	})
	at := l.Addr().(*net.TCPAddr).AddrPort()
	return cluster.Host{Name: "etcd-k3v9qd2", Address: at.Addr(), Ports: cluster.Ports{Client: at.Port()}}, s.Stop
}

var plain = cluster.Spec{Cluster: "test", Domain: "dev.test"}

// leads is the status of a member that leads its cluster.
func leads() *pb.StatusResponse {
	return &pb.StatusResponse{Header: &pb.ResponseHeader{MemberId: 1, ClusterId: 7}, Leader: 1}
}

// A list that stands beside a successful linearizable read was read with it: one
// that the member had applied before may be an old one.
func TestListIsNotOlderThanTheRead(t *testing.T) {
	t.Parallel()
	old := &pb.MemberListResponse{Members: []*pb.Member{{ID: 1}}}
	agreed := &pb.MemberListResponse{Members: []*pb.Member{{ID: 1}, {ID: 2}}}
	for name, c := range map[string]struct {
		read    error
		learner bool
		want    int
		stalled string
	}{
		"a read":        {nil, false, 2, ""},
		"a failed read": {rpctypes.ErrGRPCTimeout, false, 1, "etcdserver: request timed out"},
		"a learner":     {rpctypes.ErrGRPCNotSupportedForLearner, true, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{status: leads()}
			f.status.IsLearner = c.learner
			f.list = func(linearizable bool) (*pb.MemberListResponse, error) {
				switch {
				case linearizable:
					return agreed, c.read
				case c.learner:
					return nil, c.read
				}
				return old, nil
			}
			h, _ := f.serve(t)
			v, err := client.New(plain, nil).View(t.Context(), h)
			if err != nil || len(v.Members) != c.want || v.Stalled != c.stalled || v.Learner != c.learner {
				t.Errorf("%+v, %v; want %d members, stalled %q", v, err, c.want, c.stalled)
			}
		})
	}
}

// A member that answers users only serves, if it says so after a linearizable read.
func TestNoUser(t *testing.T) {
	t.Parallel()
	f := &fake{status: leads(), closed: rpctypes.ErrGRPCUserEmpty}
	h, _ := f.serve(t)
	for read, serves := range map[error]bool{rpctypes.ErrGRPCUserEmpty: true, rpctypes.ErrGRPCTimeout: false} {
		f.list = func(linearizable bool) (*pb.MemberListResponse, error) {
			if linearizable {
				return nil, read
			}
			return nil, f.closed
		}
		if _, err := client.New(plain, nil).View(t.Context(), h); err == nil || errors.Is(err, etcd.ErrNoUser) != serves {
			t.Errorf("with a read that ends with %v: %v, want an error, and ErrNoUser: %t", read, err, serves)
		}
	}
}

// What etcd itself says of a change is told apart from what may have been done.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	var answer error
	f := &fake{status: leads(), remove: func(context.Context) error { return answer }}
	h, _ := f.serve(t)
	remove := func() error { return client.New(plain, nil).Remove(t.Context(), []cluster.Host{h}, 0xa1) }
	for _, c := range []struct{ answer, want error }{
		{nil, nil},
		{rpctypes.ErrGRPCMemberNotFound, etcd.ErrNotFound},
		{rpctypes.ErrGRPCPeerURLExist, etcd.ErrExists},
		{rpctypes.ErrGRPCMemberExist, etcd.ErrExists},
		{rpctypes.ErrGRPCMemberNotLearner, etcd.ErrExists},
		{rpctypes.ErrGRPCUnhealthy, etcd.ErrRefused},
		{rpctypes.ErrGRPCMemberNotEnoughStarted, etcd.ErrRefused},
		{rpctypes.ErrGRPCLearnerNotReady, etcd.ErrRefused},
		{rpctypes.ErrGRPCTooManyLearners, etcd.ErrRefused},
		{rpctypes.ErrGRPCNotLeader, etcd.ErrRefused},
		{rpctypes.ErrGRPCBadLeaderTransferee, etcd.ErrRefused},
		{rpctypes.ErrGRPCPermissionDenied, etcd.ErrDenied},
		{rpctypes.ErrGRPCUserNotFound, etcd.ErrDenied},
		{rpctypes.ErrGRPCUserEmpty, etcd.ErrDenied},
		{rpctypes.ErrGRPCInvalidAuthToken, etcd.ErrDenied},
		{rpctypes.ErrGRPCTimeout, etcd.ErrUnknownOutcome},
		{rpctypes.ErrGRPCNoLeader, etcd.ErrUnknownOutcome},
		{rpctypes.ErrGRPCLeaderChanged, etcd.ErrUnknownOutcome},
		{rpctypes.ErrGRPCStopped, etcd.ErrUnknownOutcome},
		{errors.New("raft: stopped"), etcd.ErrUnknownOutcome},
	} {
		answer = c.answer
		err := remove()
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%v: %v, want %v", c.answer, err, c.want)
		}
		if err != nil && (!strings.HasPrefix(err.Error(), "remove member a1 through etcd-k3v9qd2: "+c.want.Error()+": ") || strings.Contains(err.Error(), "desc =")) {
			t.Errorf("%v: text %q", c.answer, err)
		}
	}
	f.add = func() (*pb.MemberAddResponse, error) { return nil, rpctypes.ErrGRPCMemberNotFound }
	if _, err := client.New(plain, nil).AddLearner(t.Context(), []cluster.Host{h}, "http://a.test:1"); !errors.Is(err, etcd.ErrRefused) || errors.Is(err, etcd.ErrNotFound) {
		t.Errorf("add a member whose ID was removed: %v, want %v", err, etcd.ErrRefused)
	}
	f.add = func() (*pb.MemberAddResponse, error) {
		return &pb.MemberAddResponse{Members: []*pb.Member{{Name: strings.Repeat("x", 2<<20)}}}, nil
	}
	if _, err := client.New(plain, nil).AddLearner(t.Context(), []cluster.Host{h}, "http://a.test:1"); !errors.Is(err, etcd.ErrUnknownOutcome) {
		t.Errorf("an answer without bounds: %v, want %v", err, etcd.ErrUnknownOutcome)
	}
}

// A change that was sent and is not answered may have been done, however it ends. It
// is sent to nobody else.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(cancel, end func()){
		"the context is cancelled": func(cancel, _ func()) { cancel() },
		"the connection is cut":    func(_, end func()) { end() },
		"the deadline is over":     nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var ctx context.Context
			var cancel context.CancelFunc
			if lose == nil {
				ctx, cancel = context.WithTimeout(t.Context(), 500*time.Millisecond)
			} else {
				ctx, cancel = context.WithCancel(t.Context())
			}
			defer cancel()
			sent := make(chan struct{})
			f := &fake{status: leads(), remove: func(ctx context.Context) error {
				close(sent)
				<-ctx.Done()
				return ctx.Err()
			}}
			h, end := f.serve(t)
			second := &fake{status: leads(), remove: func(context.Context) error {
				t.Error("the change is sent twice")
				return nil
			}}
			other, _ := second.serve(t)
			var losing sync.WaitGroup
			defer losing.Wait()
			losing.Go(func() {
				<-sent
				if lose != nil {
					lose(cancel, end)
				}
			})
			err := client.New(plain, nil).Remove(ctx, []cluster.Host{h, other}, 0xa1)
			if !errors.Is(err, etcd.ErrUnknownOutcome) || !errors.Is(err, fault.UnknownOutcome) || ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
				t.Errorf("%v, want %v and the error of the context, %v", err, etcd.ErrUnknownOutcome, ctx.Err())
			}
		})
	}
}

// Members that cannot change the list are passed over, and told if nobody is left.
func TestWhoTakesAChange(t *testing.T) {
	t.Parallel()
	never := func(context.Context) error {
		t.Error("a change is sent to a member that cannot make one")
		return nil
	}
	learner, leaderless, leader := &fake{status: leads(), remove: never}, &fake{status: leads(), remove: never}, &fake{status: leads(), remove: func(context.Context) error { return nil }}
	learner.status.IsLearner, leaderless.status.Leader = true, 0
	first, _ := learner.serve(t)
	second, _ := leaderless.serve(t)
	third, _ := leader.serve(t)
	nobody := cluster.Host{Name: "etcd-nobody", Address: netip.MustParseAddr("127.0.0.1"), Ports: cluster.Ports{Client: 1}}
	unable := []cluster.Host{nobody, first, second}
	err := client.New(plain, nil).Remove(t.Context(), unable, 1)
	for _, want := range []string{"etcd-nobody at 127.0.0.1:1: connect: connection refused", "it is a learner", "it knows no leader"} {
		if !errors.Is(err, etcd.ErrUnreachable) || !errors.Is(err, fault.Unreachable) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %v and %q", err, etcd.ErrUnreachable, want)
		}
	}
	if err := client.New(plain, nil).Remove(t.Context(), append(unable, third), 1); err != nil {
		t.Error(err)
	}

	lost := errors.New("no key")
	secret := plain
	secret.TLS = true
	err = client.New(secret, func() (*tls.Config, error) { return nil, lost }).Remove(t.Context(), unable, 1)
	if !errors.Is(err, etcd.ErrUnasked) || !errors.Is(err, lost) || errors.Is(err, etcd.ErrUnreachable) {
		t.Errorf("without a key: %v", err)
	}
}
