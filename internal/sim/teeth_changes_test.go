package sim_test

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/world"
	"github.com/pleiad-etcd/pleiad/internal/world/etcd"
)

// Defects in how members are changed; see TestTeeth.

// marked is the marker of a sealed cluster, as it was read.
func marked(spec cluster.Spec, s cluster.State) (m cluster.Marker, stored cluster.RecordSet, sealed bool) {
	stored, found := s.Records.Or(cluster.Records{}).Get(spec.MarkerKey())
	m, err := cluster.ReadMarker(stored)
	return m, stored, found && err == nil && m.Phase == cluster.Sealed
}

// instead is a planner that plans something else where it can.
func instead(other func(cluster.Spec, cluster.State, plan.Plan) (plan.Plan, bool)) func(plan.Planner) plan.Planner {
	return func(next plan.Planner) plan.Planner {
		return func(spec cluster.Spec, s cluster.State) plan.Plan {
			p := next(spec, s)
			if q, can := other(spec, s, p); can {
				return q
			}
			return p
		}
	}
}

// planned is the first step of a kind in a plan.
func planned[S plan.Step](p plan.Plan) (s S, found bool) {
	for _, step := range p.Steps {
		if s, found = step.(S); found {
			return s, true
		}
	}
	return s, false
}

// anotherChange begins to remove a member while another one joins.
func anotherChange(spec cluster.Spec, s cluster.State, _ plan.Plan) (plan.Plan, bool) {
	m, stored, sealed := marked(spec, s)
	if !sealed || m.Op.Kind != cluster.Add {
		return plan.Plan{}, false
	}
	i := slices.IndexFunc(m.Members, func(name cluster.MemberName) bool { return name != m.Op.Member })
	return markerOnly(plan.Reserve, stored, m.Next(func(n *cluster.Marker) {
		n.Op = cluster.Operation{Kind: cluster.Remove, Member: m.Members[i]}
	})), true
}

// joinedAtOnce ends an addition before its member votes.
func joinedAtOnce(spec cluster.Spec, s cluster.State, p plan.Plan) (plan.Plan, bool) {
	m, stored, _ := marked(spec, s)
	if _, found := planned[plan.PromoteLearner](p); !found {
		return p, false
	}
	return markerOnly(plan.Release, stored, m.Next(func(n *cluster.Marker) { n.Op = cluster.Operation{} })), true
}

// goneAtOnce ends a removal before etcd has made it, and has forgotten nobody.
func goneAtOnce(spec cluster.Spec, s cluster.State, p plan.Plan) (plan.Plan, bool) {
	m, stored, _ := marked(spec, s)
	if _, found := planned[plan.RemoveMember](p); !found {
		return p, false
	}
	return markerOnly(plan.Release, stored, m.Next(func(n *cluster.Marker) {
		n.Members = slices.DeleteFunc(n.Members, func(name cluster.MemberName) bool { return name == m.Op.Member })
		delete(n.IDs, m.Op.Member)
		n.Op = cluster.Operation{}
	})), true
}

// servedToTheEnd begins a removal without a word to clients.
func servedToTheEnd(spec cluster.Spec, s cluster.State, p plan.Plan) (plan.Plan, bool) {
	m, stored, sealed := marked(spec, s)
	if c, found := planned[plan.ChangeRecords](p); found && c.Purpose == plan.Reserve && c.Op == cluster.Remove {
		return markerOnly(plan.Reserve, stored, m.Next(func(n *cluster.Marker) {
			n.Op = cluster.Operation{Kind: cluster.Remove, Member: c.Of}
		})), true
	}
	if !sealed || m.Op.Kind != cluster.Remove {
		return p, false
	}
	for _, h := range s.Hosts.Or(nil) {
		if v, serves := h.View.Get(); serves && h.Name == m.Op.Member {
			change := plan.Change{Member: h.Name, Marker: stored, Via: others(s, h.Name)}
			return plan.Plan{Steps: []plan.Step{plan.RemoveMember{Change: change, ID: v.ID}}}, true
		}
	}
	return p, false
}

// others are the hosts of members that answer, but for one.
func others(s cluster.State, name cluster.MemberName) []cluster.Host {
	return slices.DeleteFunc(slices.Clone(s.Hosts.Or(nil)), func(h cluster.Host) bool { return h.Name == name || !h.View.Known() })
}

// addressLater adds a member to etcd's list before its address is in DNS.
func addressLater(spec cluster.Spec, s cluster.State, p plan.Plan) (plan.Plan, bool) {
	m, stored, sealed := marked(spec, s)
	c, found := planned[plan.ChangeRecords](p)
	if !sealed || !found || c.Purpose != plan.Repair || m.Op.Kind != cluster.Add {
		return p, false
	}
	for _, h := range s.Hosts.Or(nil) {
		if h.Name == m.Op.Member && h.Address.IsValid() {
			change := plan.Change{Member: h.Name, Marker: stored, Via: others(s, h.Name)}
			return plan.Plan{Steps: []plan.Step{plan.AddLearner{Change: change, PeerURL: spec.PeerURL(h.Name, h.Ports.Peer)}}}, true
		}
	}
	return p, false
}

// tooMany makes more members than the spec wants.
func tooMany(next plan.Planner) plan.Planner {
	return func(spec cluster.Spec, s cluster.State) plan.Plan {
		if _, _, sealed := marked(spec, s); sealed {
			spec.Members++
		}
		return next(spec, s)
	}
}

// tooFew removes members that serve and that the spec wants.
func tooFew(next plan.Planner) plan.Planner {
	return func(spec cluster.Spec, s cluster.State) plan.Plan {
		if _, _, sealed := marked(spec, s); sealed && spec.Members > 1 {
			spec.Members--
		}
		return next(spec, s)
	}
}

// unheard takes a member that it does not find for dead, even if others hear from it.
func unheard(next plan.Planner) plan.Planner {
	return func(spec cluster.Spec, s cluster.State) plan.Plan {
		missing := slices.Clone(s.Missing)
		for i := range missing {
			missing[i].View = cluster.Unknown[cluster.View]("no answer")
		}
		s.Missing = missing
		return next(spec, withHosts(s, func(h *cluster.Host) { h.Heard = cluster.Seen[[]cluster.MemberID]{} }))
	}
}

// insistent asks etcd again for a change without a look at the marker.
func insistent(w world.World) world.World {
	w.Members = pressing{w.Members}
	return w
}

type pressing struct{ etcd.Changer }

func (p pressing) AddLearner(ctx context.Context, via []cluster.Host, peerURL string) (id cluster.MemberID, err error) {
	for range 40 {
		if id, err = p.Changer.AddLearner(ctx, via, peerURL); !errors.Is(err, etcd.ErrRefused) || !strings.Contains(err.Error(), "unhealthy") {
			break
		}
	}
	return id, err
}
