package plan

import (
	"slices"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// Change is what the steps share that change etcd's member list. The marker names
// the change, and must still be the one planned with (rule R4).
type Change struct {
	Reason
	Member cluster.MemberName
	// Via are the hosts of members that may be asked for it, best first.
	Via    []cluster.Host
	Marker cluster.RecordSet
}

// Object implements Step.
func (c Change) Object() string { return string(c.Member) }

// Members implements Step.
func (c Change) Members() []cluster.MemberName { return []cluster.MemberName{c.Member} }

// AddLearner makes a member known to the others, as one that does not vote.
type AddLearner struct {
	Change
	PeerURL string
}

func (AddLearner) Verb() string { return "add learner" }

// Effect implements Step. The ID is made up: etcd makes it of the time, too.
func (a AddLearner) Effect(_ cluster.Spec, s cluster.State) cluster.State {
	added := cluster.Member{ID: cluster.BootstrapMemberID(a.PeerURL, "joined"), PeerURLs: []string{a.PeerURL}, Learner: true}
	return withList(s, func(list []cluster.Member) []cluster.Member { return append(list, added) })
}

// PromoteLearner makes a learner that has caught up a voter.
type PromoteLearner struct {
	Change
	ID cluster.MemberID
}

func (PromoteLearner) Verb() string { return "promote learner" }

// Effect implements Step.
func (p PromoteLearner) Effect(_ cluster.Spec, s cluster.State) cluster.State {
	s = withList(s, func(list []cluster.Member) []cluster.Member {
		for i := range list {
			list[i].Learner = list[i].Learner && list[i].ID != p.ID
		}
		return list
	})
	return edit(s, p.Member, func(h *cluster.Host) {
		h.View.Edit(func(v *cluster.View) {
			v.Learner, v.Members = false, cluster.Membership(views(s.Hosts.Or(nil)), v.Cluster).Or(nil)
		})
	})
}

// RemoveMember takes a member off etcd's list, for good.
type RemoveMember struct {
	Change
	ID cluster.MemberID
}

func (RemoveMember) Verb() string { return "remove member" }

// Effect implements Step. A member that was removed ends by itself, in a second or two:
// it still runs when the next step is planned.
func (r RemoveMember) Effect(_ cluster.Spec, s cluster.State) cluster.State {
	s = withList(s, func(list []cluster.Member) []cluster.Member {
		return slices.DeleteFunc(list, func(m cluster.Member) bool { return m.ID == r.ID })
	})
	return edit(s, r.Member, func(h *cluster.Host) {
		h.View = cluster.Unknown[cluster.View]("it was removed from the cluster")
	})
}

// MoveLeader makes another member the leader: it costs milliseconds, where a
// leader that leaves costs an election.
type MoveLeader struct {
	Change
	To cluster.MemberID
}

func (MoveLeader) Verb() string { return "move leader" }

// Effect implements Step.
func (m MoveLeader) Effect(_ cluster.Spec, s cluster.State) cluster.State {
	return review(s, func(v *cluster.View) { v.Leader = m.To })
}

// review changes what all members say that answer.
func review(s cluster.State, change func(*cluster.View)) cluster.State {
	hosts := slices.Clone(s.Hosts.Or(nil))
	for i := range hosts {
		hosts[i].View.Edit(change)
	}
	if s.Hosts.Known() {
		s.Hosts = cluster.Known(hosts)
	}
	return s
}

// withList changes the member list of all members that answer. A leader that is no
// longer on it is followed by the first voter.
func withList(s cluster.State, change func([]cluster.Member) []cluster.Member) cluster.State {
	return review(s, func(v *cluster.View) {
		if v.Learner {
			return // it serves no list
		}
		v.Members = change(slices.Clone(v.Members))
		leads := func(m cluster.Member) bool { return m.ID == v.Leader }
		votes := func(m cluster.Member) bool { return !m.Learner }
		if i := slices.IndexFunc(v.Members, votes); i >= 0 && !slices.ContainsFunc(v.Members, leads) {
			v.Leader = v.Members[i].ID
		}
	})
}
