package plan

import (
	"slices"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// revive starts members that need nothing but their own host: sealed, with
// their own data in place, and not running; and machines that were stopped. It is what goes on where everything
// else is refused: records that cannot be read, a marker that was deleted or
// damaged, a state directory without its key, a spec that asks for what cannot
// be had. Starting what was there is the first answer to an outage (rule R13),
// and needs no DNS (rule R9).
//
// Only a marker that can be read forbids it; see [situation.givenUp].
func (s situation) revive() []Step {
	var steps []Step
	for _, h := range s.hosts {
		// A state directory that cannot be read may be a copy, which only looks.
		if s.state.Control.Known() && !h.Blank && !s.givenUp(h) {
			steps = append(steps, awaitHosts([]cluster.Host{h})...)
		}
		found, known := h.Node.Get()
		if !known || found.Process.Running || found.Installed == "" || !found.Sealed || !found.Data.Born || s.givenUp(h) || s.hasLeft(found.Made) {
			continue
		}
		// Who its member is, its node says: it may have joined, and the spec's scheme
		// may be what is refused.
		marker := cluster.Marker{Token: h.Token, ID: found.Data.Cluster, Phase: cluster.Sealed,
			IDs: map[cluster.MemberName]cluster.MemberID{h.Name: found.Made.Member}}
		if n := s.render(marker, s.hosts, h); unfit(h, n, LetOthersServe) == nil {
			steps = append(steps, s.startOrRevert(StartMember{Host: h, Node: n,
				Reason: Reason{Why: "it is not running" + died(h) + "; a sealed member needs nothing but its host", Rules: []Rule{"R9", "R13"}}})...)
		}
	}
	return steps
}

// hasLeft says whether etcd's list is known, and without the member of a node.
func (s situation) hasLeft(made cluster.Made) bool {
	list, known := cluster.Membership(views(s.hosts), made.ID).Get()
	return known && !slices.ContainsFunc(list, func(m cluster.Member) bool { return m.ID == made.Member })
}

// givenUp says whether the marker can be read and leaves a host to somebody
// else, to another life, or to a destroy.
func (s situation) givenUp(h cluster.Host) bool {
	if s.stored == nil {
		return false
	}
	m, err := cluster.ReadMarker(*s.stored)
	if err != nil || m.Cluster != s.spec.Cluster {
		return false
	}
	return m.Token != h.Token || m.Phase == cluster.Destroying || s.state.Control.Known() && m.Owner != s.control.Owner
}
