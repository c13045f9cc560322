package observe

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world"
)

// Hear adds to a state which members are heard by those that answer, if one that may
// be given up does not, or knows no leader: whether it is dead is not for this controller alone to
// say. It takes more than two election timeouts; see [etcd.Inspector].
func Hear(ctx context.Context, spec cluster.Spec, w world.World, s *cluster.State, members []cluster.MemberName) {
	found, known := s.Hosts.Get()
	m, marked := markerOf(spec, *s)
	if !known || !marked || m.Op.Kind == cluster.Add || m.Op.Kind == cluster.Remove {
		return
	}
	hosts := slices.Clone(found)
	answers := func(name cluster.MemberName) bool {
		return slices.ContainsFunc(hosts, func(h cluster.Host) bool { return h.Name == name && h.View.Or(cluster.View{}).Leader != 0 })
	}
	if !slices.ContainsFunc(members, func(name cluster.MemberName) bool { return m.Has(name) && !answers(name) }) {
		return
	}
	lost := slices.Clone(s.Missing) // of which some may serve all the same
	var asking sync.WaitGroup
	for _, all := range [][]cluster.Host{hosts, lost} {
		for i := range all {
			h := &all[i]
			if h.View.Known() {
				asking.Go(func() { h.Heard = heard(ctx, w, *h, 3*spec.ElectionTimeout()+2*askEtcd) })
			}
		}
	}
	asking.Wait()
	s.Hosts, s.Missing = cluster.Known(hosts), lost
}

func heard(ctx context.Context, w world.World, h cluster.Host, limit time.Duration) cluster.Seen[[]cluster.MemberID] {
	asking, cancel := bound(ctx, limit)
	defer cancel()
	peers, err := w.Etcd.Heard(asking, h)
	if err != nil {
		return cluster.Unknown[[]cluster.MemberID](reason(asking, err))
	}
	return cluster.Known(peers)
}
