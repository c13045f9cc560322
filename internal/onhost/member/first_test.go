package member

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// Of members that found a cluster, all but the first wait for that one, which waits for
// nobody.
func TestAwaitFirst(t *testing.T) {
	t.Parallel()
	s := spec(3)
	s.TLS = true
	k := newKeys(t, s.Cluster)
	hosts := []cluster.Host{newHost(t, "etcd-a"), newHost(t, "etcd-b"), newHost(t, "etcd-c")}
	founder := func(i int) node.Node {
		n := node.Render(s, marker(cluster.Bootstrapping), hosts, hosts[i], nobody)
		k.issue(t, n)
		return n
	}
	second, last := founder(1), founder(2)

	began := time.Now()
	const limit = 50 * time.Millisecond
	awaitFirst(t.Context(), second, limit) // its port is closed
	if took := time.Since(began); took < limit {
		t.Errorf("the second one waited for %s for one that is not there, want %s", took, limit)
	}
	var asked, others atomic.Int32
	first := newFakePeer(t, k, s, hosts[0])
	list := serve(listOf(second))
	first.says(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) <= 3 {
			http.Error(w, "not yet", http.StatusServiceUnavailable)
			return
		}
		list(w, r)
	})
	newFakePeer(t, k, s, hosts[1]).says(func(w http.ResponseWriter, r *http.Request) { others.Add(1); list(w, r) })
	awaitFirst(t.Context(), last, patience)
	if asked.Load() != 4 || others.Load() != 0 {
		t.Errorf("the last one asked the first %d times and the second %d times, want 4 and 0", asked.Load(), others.Load())
	}
	awaitFirst(t.Context(), founder(0), patience)
	if asked.Load() != 4 || others.Load() != 0 {
		t.Errorf("the first one asked: %d, %d", asked.Load(), others.Load())
	}
}
