package member

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/node"
)

// Members that found a cluster are started together. But a fresh etcd asks its peers
// for their list of members before it does anything else, in the order of their URLs
// (server/etcdserver/cluster_util.go, getClusterFromRemotePeers), and one whose port is
// open and that does not serve yet holds it up for as long as seven seconds. So all
// but the first in that order let etcd begin when the first one answers that very
// question.

const (
	// firstWaits is how long they wait for it. One that is later than that may be down.
	firstWaits = 2 * time.Second
	// firstPause is between two questions while its port is closed.
	firstPause = 5 * time.Millisecond
)

// awaitFirst waits until the first of the founders answers its peers, for no longer
// than a limit. It decides nothing: what etcd founds is in its flags.
func awaitFirst(ctx context.Context, n node.Node, limit time.Duration) {
	first := slices.MinFunc(n.Gate.Peers, func(a, b node.Peer) int { return strings.Compare(a.URL(scheme(n)), b.URL(scheme(n))) })
	if first.Name() == n.Name {
		return
	}
	client, err := peerClient(n)
	if err != nil {
		return // etcd says what is wrong with its credentials
	}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		if _, err := askPeer(ctx, client, first.URL(scheme(n))); err == nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(firstPause):
		}
	}
}
