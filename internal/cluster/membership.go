package cluster

import "slices"

// Membership is etcd's own list of the members of a cluster, by ID, as far as it can
// be trusted. Each member tells the list that it has applied, which may be an old
// one. A view with a linearizable read has a list that was current when the question
// was asked; of several, the one of the member that has applied most counts. Without
// such a view the list is unknown, whatever others say.
func Membership(views []View, id ID) Seen[[]Member] {
	var newest *View
	for i, v := range views {
		if v.Cluster != id || v.Stalled != "" || len(v.Members) == 0 { // as that of a learner
			continue
		}
		if newest == nil || v.Applied > newest.Applied {
			newest = &views[i]
		}
	}
	if newest == nil {
		return Unknown[[]Member]("no member of cluster " + id.String() + " serves a linearizable read")
	}
	return Known(slices.Clone(newest.Members))
}
