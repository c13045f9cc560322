package client

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// What etcd says comes out in one order, and its errors without the alarms,
// whose text has one space or two, as the build of etcd decides.
func TestView(t *testing.T) {
	status := &pb.StatusResponse{
		Header: &pb.ResponseHeader{MemberId: 2, ClusterId: 7, Revision: 5}, Version: "3.7.3", DbSize: 4096,
		Leader: 0, RaftTerm: 3, RaftAppliedIndex: 9, IsLearner: true,
		Errors: []string{"etcdserver: no leader", "memberID:2  alarm:NOSPACE", "memberID:1 alarm:CORRUPT ", "memberID:3 alarm:NOSPACE", "alarm:CORRUPT"},
	}
	list := &pb.MemberListResponse{Members: []*pb.Member{
		{ID: 3, PeerURLs: []string{"https://c:2380"}},
		{ID: 1, Name: "a", PeerURLs: []string{"https://b:2380", "https://a:2380"}, ClientURLs: []string{"https://b:2379", "https://a:2379"}},
		{ID: 2, Name: "b", PeerURLs: []string{"https://b:2380"}, IsLearner: true},
	}}
	want := cluster.View{
		ID: 2, Cluster: 7, Term: 3, Applied: 9, Revision: 5, Version: "3.7.3", DBSize: 4096, Learner: true,
		Errors: []string{"etcdserver: no leader"},
		Alarms: []cluster.Alarm{{Kind: "CORRUPT"}, {Kind: "CORRUPT", Member: 1, Name: "a"}, {Kind: "NOSPACE", Member: 2, Name: "b"}, {Kind: "NOSPACE", Member: 3}},
		Members: []cluster.Member{
			{ID: 1, Name: "a", PeerURLs: []string{"https://a:2380", "https://b:2380"}, ClientURLs: []string{"https://a:2379", "https://b:2379"}},
			{ID: 2, Name: "b", PeerURLs: []string{"https://b:2380"}, Learner: true},
			{ID: 3, PeerURLs: []string{"https://c:2380"}},
		},
	}
	if d := cmp.Diff(want, view(status, list)); d != "" {
		t.Errorf("view (-want +have):\n%s", d)
	}
}
