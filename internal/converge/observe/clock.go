package observe

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world"
)

// skew is how far a clock is ahead that was read at some moment between two of
// ours: none, if it may have said the same as ours.
func skew(clock, before, after time.Time) time.Duration {
	switch {
	case clock.IsZero():
		return 0
	case clock.Before(before):
		return clock.Sub(before)
	case clock.After(after):
		return clock.Sub(after)
	}
	return 0
}

// proof looks at the certificates that members present, while one of a member
// that runs is due for renewal: it is not changed before the others are seen to
// serve with theirs (rule R5).
func proof(ctx context.Context, spec cluster.Spec, w world.World, hosts []cluster.Host, now time.Time) {
	due := func(h cluster.Host) bool { return h.Runs() && h.Node.Or(cluster.Node{}).Certificate.Due(now) }
	if !spec.TLS || !slices.ContainsFunc(hosts, due) {
		return
	}
	var all sync.WaitGroup
	for i := range hosts {
		if h := &hosts[i]; h.Runs() {
			all.Go(func() { h.Shown = shown(ctx, w, *h) })
		}
	}
	all.Wait()
}

func shown(ctx context.Context, w world.World, h cluster.Host) cluster.Seen[cluster.Certificate] {
	asking, cancel := context.WithTimeoutCause(ctx, askEtcd, fmt.Errorf("no answer within %s", askEtcd))
	defer cancel()
	c, err := w.Etcd.Shown(asking, h)
	if err != nil {
		return cluster.Unknown[cluster.Certificate](reason(asking, err))
	}
	return cluster.Known(c)
}
