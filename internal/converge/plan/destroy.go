package plan

import (
	"fmt"
	"slices"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// Destroy plans towards nothing: everything of ours goes, the marker last, and
// nothing else is touched (rules R2, R10).
func Destroy(spec cluster.Spec, state cluster.State) Plan {
	if state.Server.Managed && !state.Server.Running && (state.Server.Address != "" || len(state.Hosts.Value) > 0) {
		return Plan{Steps: []Step{StartNameServer{Reason{Why: "records can only be withdrawn where they are served"}}}}
	}
	s, refusals := look(spec, state, "destroy "+string(spec.Cluster))
	switch {
	case len(refusals) > 0:
		return Plan{Refusals: refusals}
	case s.marker == nil && len(s.hosts) == 0:
		return s.leave()
	case s.marker == nil:
		return s.stampAgain()
	case s.marker.Phase != cluster.Destroying:
		return s.stamp()
	}
	if r := s.formerLife(); r != nil {
		r.What = "destroy " + string(spec.Cluster)
		r.Remedy = []string{"look at what these hosts hold, and remove them by hand if nobody needs them"}
		return refuse(*r)
	}
	if p := s.tearDown(); p.Steps != nil || p.Refusals != nil {
		return p
	}
	return s.withdraw()
}

// stamp says on the marker that this cluster goes, before anything of it does,
// and sends clients away from members that are about to stop (rule R8).
func (s situation) stamp() Plan {
	var changes []cluster.Change
	if set, ok := s.records.Get(cluster.Key{Name: s.spec.ClientService(), Type: cluster.SRV}); ok && s.ours(set) {
		changes = append(changes, cluster.Change{Key: set.Key, Old: &set})
	}
	changes = append(changes, s.advance(func(m *cluster.Marker) { m.Phase = cluster.Destroying }))
	return Plan{Steps: []Step{ChangeRecords{Purpose: "stamp", Changes: changes,
		Reason: Reason{Why: "from here on this cluster is only ever destroyed, and clients find it no more", Rules: []Rule{"R2", "R8"}}}}}
}

// stampAgain writes the marker of a cluster that lost it, for the sake of its
// hosts: they carry our claim.
func (s situation) stampAgain() Plan {
	var members []cluster.MemberName
	for _, h := range s.hosts {
		if h.Token != s.hosts[0].Token {
			return refuse(Refusal{Rule: "R10", What: "destroy " + string(s.spec.Cluster),
				Evidence: []string{fmt.Sprintf("hosts %s and %s are of different lives of this cluster, and there is no marker that says which is this one", s.hosts[0].Name, h.Name)},
				Remedy:   []string{"remove the host that is not wanted by hand"}})
		}
		members = append(members, h.Name)
	}
	return Plan{Steps: []Step{ChangeRecords{Purpose: "stamp", Changes: claim(s.spec, s.state.Control, s.hosts[0].Token, members, cluster.Destroying),
		Reason: Reason{Why: "the marker is gone, but the hosts are this cluster's", Rules: []Rule{"R2", "R10"}}}}}
}

// tearDown stops all members, then removes all hosts.
func (s situation) tearDown() Plan {
	if r := blind(s.hosts, "terminate host"); r != nil {
		return refuse(r...)
	}
	p := Plan{Together: true}
	for _, h := range runningOf(s.hosts) {
		p.Steps = append(p.Steps, StopMember{Host: h, Reason: Reason{Why: "the cluster is being destroyed", Rules: []Rule{"R2"}}})
	}
	if p.Steps != nil {
		return p
	}
	for _, h := range s.hosts {
		p.Steps = append(p.Steps, TerminateHost{Host: h, Marker: *s.stored, Reason: Reason{Why: "the cluster is being destroyed: its data goes too", Rules: []Rule{"R2", "R14"}}})
	}
	return p
}

// withdraw deletes what is ours on our names, the marker last. Values that are
// not ours stay where they are.
func (s situation) withdraw() Plan {
	var changes []cluster.Change
	for _, set := range s.records.Sets {
		if set.Key == s.stored.Key || !s.ours(set) {
			continue
		}
		changes = append(changes, cluster.Change{Key: set.Key, Old: &set})
	}
	changes = append(changes, cluster.Change{Key: s.stored.Key, Old: s.stored})
	return Plan{Steps: []Step{ChangeRecords{Purpose: "withdraw", Changes: changes,
		Reason: Reason{Why: "no host is left; the marker goes last", Rules: []Rule{"R2", "R10"}}}}}
}

// ours says whether every value of a record set is one of this incarnation.
func (s situation) ours(set cluster.RecordSet) bool {
	switch set.Type {
	case cluster.SRV:
		return !slices.ContainsFunc(set.Values, func(v string) bool { return !s.ourService(v) })
	case cluster.A, cluster.AAAA:
		m, ok := s.spec.MemberOf(set.Name)
		return ok && s.marker.Has(m)
	}
	return false
}

// leave removes what pleiad itself needed for the cluster.
func (s situation) leave() Plan {
	switch {
	case s.state.Server.Managed && s.state.Server.Address != "":
		return Plan{Steps: []Step{RemoveNameServer{Reason{Why: "no records are left to serve"}}}}
	case s.state.Control.Owner != "" || s.state.Control.CA != "":
		return Plan{Steps: []Step{Forget{Reason{Why: "nothing is left that the CA or the owner could be for"}}}}
	}
	return Plan{}
}
