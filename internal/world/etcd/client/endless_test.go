package client_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/etcd/client"
)

// verbose is a member that says too much.
type verbose struct {
	pb.UnimplementedMaintenanceServer
	pb.UnimplementedClusterServer
	errors  []string
	members []*pb.Member
	header  string
}

func (v *verbose) Status(ctx context.Context, _ *pb.StatusRequest) (*pb.StatusResponse, error) {
	if v.header != "" {
		if err := grpc.SetHeader(ctx, metadata.Pairs("much", v.header)); err != nil {
			return nil, err
		}
	}
	return &pb.StatusResponse{Header: &pb.ResponseHeader{}, Errors: v.errors}, nil
}

func (v *verbose) MemberList(context.Context, *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	return &pb.MemberListResponse{Header: &pb.ResponseHeader{}, Members: v.members}, nil
}

// An answer that is too long is no answer, and the member unknown.
func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 2<<20)
	for name, c := range map[string]struct {
		member verbose
		want   string // of the error; "" for none
	}{
		"as it should be": {verbose{errors: []string{"small"}}, ""},
		"errors":          {verbose{errors: []string{big}}, "larger than max"},
		"members":         {verbose{members: []*pb.Member{{Name: big}}}, "larger than max"},
		"a header":        {verbose{header: big[:1<<20]}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			s := grpc.NewServer()
			pb.RegisterMaintenanceServer(s, &c.member)
			pb.RegisterClusterServer(s, &c.member)
			var serving sync.WaitGroup
			serving.Go(func() { _ = s.Serve(l) }) // ends with Stop
			defer serving.Wait()
			defer s.Stop()
			at := l.Addr().(*net.TCPAddr).AddrPort()
			h := cluster.Host{Name: "etcd-k3v9qd2", Address: netip.MustParseAddr("127.0.0.1"), Ports: cluster.Ports{Client: at.Port()}}
			_, err = client.New(cluster.Spec{Cluster: "test", Domain: "dev.test"}, nil).View(t.Context(), h)
			if wrong := c.want != "" || c.member.header != ""; wrong != (err != nil) || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
