package node

import (
	"fmt"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// Flags that decide which cluster etcd founds.
const (
	initialCluster = "--initial-cluster="
	initialToken   = "--initial-cluster-token="
)

// Founds is the cluster that etcd would found with the node's flags, and which
// member of it this one would be: the IDs follow from the peer URLs and the
// token alone. It is an error if etcd would look for the list elsewhere.
func (n Node) Founds() (cluster.ID, cluster.MemberID, error) {
	var list string
	var token cluster.Token
	for _, a := range n.Args {
		if strings.HasPrefix(a, "--discovery") {
			return 0, 0, fmt.Errorf("%s lets etcd look for its peers by itself: %s", FileName, a)
		}
		if v, ok := strings.CutPrefix(a, initialCluster); ok {
			list = v
		}
		if v, ok := strings.CutPrefix(a, initialToken); ok {
			token = cluster.Token(v)
		}
	}
	if list == "" || token == "" {
		return 0, 0, fmt.Errorf("%s gives etcd no list of members or no token", FileName)
	}
	var ids []cluster.MemberID
	var self cluster.MemberID
	for entry := range strings.SplitSeq(list, ",") {
		name, url, _ := strings.Cut(entry, "=")
		id := cluster.BootstrapMemberID(url, token)
		if name == string(n.Name) {
			self = id
		}
		ids = append(ids, id)
	}
	return cluster.BootstrapID(ids), self, nil
}

// Founds is the cluster that the gate's peers are, under a scheme and a token.
func (g Gate) Founds(scheme string, token cluster.Token) cluster.ID {
	ids := make([]cluster.MemberID, len(g.Peers))
	for i, p := range g.Peers {
		ids[i] = cluster.BootstrapMemberID(p.URL(scheme), token)
	}
	return cluster.BootstrapID(ids)
}
