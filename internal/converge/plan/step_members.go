package plan

import (
	"cmp"
	"slices"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// StartMember starts the member of a host. A first start happens only if the
// marker is still the one planned with; Marker nil means a restart, which must
// not depend on DNS (rule R9).
type StartMember struct {
	Reason
	Host   cluster.Host
	Node   node.Node
	Marker *cluster.RecordSet
}

func (StartMember) Verb() string     { return "start member" }
func (s StartMember) Object() string { return string(s.Host.Name) }

// Members implements Step.
func (s StartMember) Members() []cluster.MemberName { return []cluster.MemberName{s.Host.Name} }

// Effect implements Step.
func (m StartMember) Effect(_ cluster.Spec, s cluster.State) cluster.State {
	return edit(s, m.Host.Name, func(h *cluster.Host) {
		h.Node.Edit(func(n *cluster.Node) {
			n.Process = cluster.Process{Running: true, Since: s.At, Flags: n.Next.Flags, Args: m.Node.Lasting(), Program: n.Next.Program}
			n.Data = cluster.Data{Present: true, Born: true, Member: m.Node.Member, Cluster: m.Node.ID}
		})
		h.View = cluster.Unknown[cluster.View]("starting")
	})
}

// Waits says of a step that it changes nothing.
func Waits(s Step) bool {
	switch s.(type) {
	case AwaitMembers, AwaitRecords:
		return true
	}
	return false
}

// AwaitMembers waits, for a limited time, until the members serve.
type AwaitMembers struct {
	Reason
	Hosts []cluster.Host
}

func (AwaitMembers) Verb() string     { return "await members" }
func (s AwaitMembers) Object() string { return cluster.JoinMembers(names(s.Hosts)) }

// Members implements Step.
func (s AwaitMembers) Members() []cluster.MemberName { return names(s.Hosts) }

// Effect implements Step. Members know who they are from their nodes, even where
// the data of one that runs is gone.
func (a AwaitMembers) Effect(spec cluster.Spec, s cluster.State) cluster.State {
	m, _, _ := spec.Marker(s.Records.Or(cluster.Records{}))
	id := func(h cluster.Host) cluster.MemberID {
		m.Token = h.Token
		return spec.MemberID(m, h)
	}
	told := cluster.Membership(views(s.Hosts.Or(nil)), m.ID)
	list := slices.Clone(told.Or(nil))
	for _, h := range s.Hosts.Or(nil) {
		if i := slices.IndexFunc(list, func(l cluster.Member) bool { return l.ID == id(h) }); i >= 0 {
			list[i].Name, list[i].ClientURLs = h.Name, []string{spec.ClientURL(h.Name, h.Ports.Client)}
			continue
		}
		changing := m.Op.Kind == cluster.Add || m.Op.Kind == cluster.Remove
		switch {
		case told.Known() && (m.Changes > 0 || changing): // the list says who is a member
			continue
		case !m.Has(h.Name) || changing && m.Op.Member == h.Name: // the marker does, as far as it can
			continue
		}
		list = append(list, cluster.Member{ID: id(h), Name: h.Name,
			PeerURLs: []string{spec.PeerURL(h.Name, h.Ports.Peer)}, ClientURLs: []string{spec.ClientURL(h.Name, h.Ports.Client)}})
	}
	slices.SortFunc(list, func(a, b cluster.Member) int { return cmp.Compare(a.ID, b.ID) })
	applied, leader := uint64(1), cluster.MemberID(0)
	for _, v := range views(s.Hosts.Or(nil)) {
		applied = max(applied, v.Applied)
		if slices.ContainsFunc(list, func(l cluster.Member) bool { return l.ID == v.Leader }) {
			leader = v.Leader
		}
	}
	if leader == 0 && len(list) > 0 {
		leader = list[0].ID
	}
	for _, target := range a.Hosts {
		s = edit(s, target.Name, func(h *cluster.Host) {
			n := h.Node.Or(cluster.Node{})
			v := cluster.View{ID: id(*h), Cluster: cmp.Or(n.Data.Cluster, n.Made.ID), Members: list, Applied: applied, Leader: leader}
			if i := slices.IndexFunc(list, func(l cluster.Member) bool { return l.ID == v.ID }); i >= 0 && list[i].Learner {
				v.Learner, v.Members = true, nil // it serves no list
			}
			h.View = cluster.Known(v)
		})
	}
	return withList(s, func([]cluster.Member) []cluster.Member { return list })
}

// StopMember stops the member of a host, if the process is still the one that
// was seen and the marker is still the one planned with; nil means that it does
// not matter.
type StopMember struct {
	Reason
	Host   cluster.Host
	Marker *cluster.RecordSet
	// Grace is how long it may take before it is forced.
	Grace time.Duration
	// Back says that an older program is to take its place: a person must agree.
	Back bool
}

func (StopMember) Verb() string     { return "stop member" }
func (s StopMember) Object() string { return string(s.Host.Name) }

// Members implements Step.
func (s StopMember) Members() []cluster.MemberName { return []cluster.MemberName{s.Host.Name} }

// Effect implements Step.
func (m StopMember) Effect(_ cluster.Spec, s cluster.State) cluster.State {
	s.Missing = slices.Clone(s.Missing)
	for i, h := range s.Missing {
		if h.Name == m.Host.Name {
			s.Missing[i].Node = cluster.Unknown[cluster.Node]("its host was not found")
			s.Missing[i].View = cluster.Unknown[cluster.View]("not running")
		}
	}
	return edit(s, m.Host.Name, func(h *cluster.Host) {
		h.Node.Edit(func(n *cluster.Node) { n.Process = cluster.Process{} })
		h.View = cluster.Unknown[cluster.View]("not running")
	})
}
