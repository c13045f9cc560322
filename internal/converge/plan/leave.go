package plan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// beginRemove puts a removal on the marker, if the rest can bear it.
func (s situation) beginRemove(name cluster.MemberName, why Reason) ([]Step, []Refusal) {
	quorum, r := s.bearsRemoval(name)
	if r == nil {
		r = s.sighted(name)
	}
	if r != nil {
		r.Evidence = append([]string{why.Why}, r.Evidence...)
		return nil, []Refusal{*r}
	}
	why.Quorum = quorum
	return s.rewrite(Reserve, name, why, func(m *cluster.Marker) { m.Op = cluster.Operation{Kind: cluster.Remove, Member: name} })
}

// bearsRemoval proves that there is a quorum to agree on a removal, and one after
// it, with all that do not serve counted as dead (rule R5).
func (s situation) bearsRemoval(name cluster.MemberName) (quorum string, r *Refusal) {
	what := "remove member " + string(name)
	c, known := s.census().Get()
	if !known {
		return "", s.quorumLost(what, c)
	}
	entry := s.listed(name)
	switch others := len(c.others(name)); {
	case entry == nil:
		return "", nil
	case len(c.alive) < cluster.Quorum(c.voters):
		return "", s.quorumLost(what, c)
	case entry.Learner:
		return cluster.Arithmetic(len(c.alive), c.voters), nil
	case others < cluster.Quorum(c.voters-1):
		voters, back := s.mayReturn(c)
		serves := len(c.alive) - others
		return "", &Refusal{Rule: "R5", What: what, Unknown: back-serves >= cluster.Quorum(voters-1), Remedy: remedies(MendRest),
			Evidence: []string{"without it there would be no quorum: " + cluster.Arithmetic(others, c.voters-1)}}
	default:
		return cluster.Arithmetic(others, c.voters-1), nil
	}
}

// quorumLost refuses a change that nobody can agree on.
func (s situation) quorumLost(what string, c census) *Refusal {
	voters, back := s.mayReturn(c)
	r := &Refusal{Rule: "R14", What: what, Unknown: back >= cluster.Quorum(voters), Remedy: remedies(RegainQuorum)}
	if !r.Unknown {
		r.Remedy = append(r.Remedy, StartOver.Say())
	}
	if why := s.list.Why().Text; !s.list.Known() {
		r.Evidence = append(r.Evidence, "etcd's list of members is unknown: "+why)
	} else {
		r.Evidence = append(r.Evidence, "there is no quorum: "+cluster.Arithmetic(len(c.alive), c.voters))
	}
	for _, row := range s.roster {
		if row.Listed {
			r.Evidence = append(r.Evidence, "member "+string(row.Name)+s.condition(row))
		}
	}
	return r
}

// remove takes the next step of a removal.
func (s situation) remove(name cluster.MemberName) ([]Step, []Refusal) {
	if why := s.stayer(name); why != "" {
		return s.rewrite(Release, name, Reason{Why: why, Rules: []Rule{"R4", "R5"}}, func(m *cluster.Marker) { m.Op = cluster.Operation{} })
	}
	if s.mayYetServe(name) {
		return nil, nil // it is awaited
	}
	if s.listed(name) != nil || !s.list.Known() {
		return s.removeFromList(name)
	}
	h, found := s.roster.Member(name)
	n, inspected := h.Node.Get()
	_, published := s.spec.Peer(s.records, name)
	switch {
	case published:
		return s.rewrite(Repair, "", Reason{Why: "etcd's list of members is without " + string(name), Rules: []Rule{"R8"}}, func(*cluster.Marker) {})
	case s.orphan(name) != nil:
		return []Step{StopMember{Host: *s.orphan(name), Marker: s.stored, Grace: rollGrace, Reason: Reason{Why: "it is no longer a member, and its host was removed while it ran", Rules: []Rule{"R1", "R7"}}}}, nil
	case found && n.Process.Running:
		return []Step{StopMember{Host: h, Marker: s.stored, Grace: rollGrace, Reason: Reason{Why: "it is no longer a member", Rules: []Rule{"R7"}}}}, nil
	case found && !inspected && s.outside(h) && !slices.Contains(s.wishes.Replaced, name):
		// Once its record is gone nobody would find it again.
		r := blind([]cluster.Host{h}, "terminate host")
		r[0].Remedy = append(r[0].Remedy, ReplaceLost.Say(name))
		return nil, r
	case found && inspected: // else it is stopped when it comes back
		return []Step{TerminateHost{Host: h, Marker: *s.stored, KeepData: true, Reason: Reason{Why: "its member has left; the data is kept", Rules: []Rule{"R7", "R14"}}}}, nil
	}
	return s.rewrite(Release, name, Reason{Why: "it has left; its address stays until no cache holds a service that names it", Rules: []Rule{"R4", "R8"}}, func(m *cluster.Marker) {
		m.Op = cluster.Operation{}
		m.Members = slices.DeleteFunc(m.Members, func(n cluster.MemberName) bool { return n == name })
		delete(m.IDs, name)
		if !slices.Contains(m.Left, name) {
			m.Left = append(m.Left, name)
		}
		m.Changes++
	})
}

// stayer says why a member that was about to leave stays: it serves, and another one
// is dead and must leave first, or no other one has joined in its place.
func (s situation) stayer(name cluster.MemberName) string {
	c := s.census().Or(census{})
	switch {
	case len(c.others(name)) == len(c.alive):
		return "" // it does not serve
	case s.otherDead(name):
		return "it serves, and another member has died, which leaves first"
	case len(s.marker.Members) <= s.spec.Members:
		return fmt.Sprintf("it serves, and there are no more than the spec wants: members: %d", s.spec.Members)
	}
	return ""
}

// mayYetServe says whether a member that is about to leave, and is not one too many, runs
// and has only not answered now: then nobody knows whether it serves. A person can say
// that it does not.
func (s situation) mayYetServe(name cluster.MemberName) bool {
	h, found := s.roster.Member(name)
	entry := s.listed(name)
	return found && h.Runs() && !h.View.Known() && h.Node.Or(cluster.Node{}).Process.Gate == "" && !s.unfit(h) &&
		entry != nil && !entry.Learner && len(s.marker.Members) <= s.spec.Members && !slices.Contains(s.wishes.Replaced, name)
}

// removeFromList has etcd remove a member.
func (s situation) removeFromList(name cluster.MemberName) ([]Step, []Refusal) {
	quorum, r := s.bearsRemoval(name)
	if r != nil {
		return nil, []Refusal{*r}
	}
	if move := s.handOver(name, Reason{Why: "it leads the cluster, and is about to leave", Rules: []Rule{"R4", "R5", "R8"}, Quorum: quorum}); move != nil {
		return move, nil
	}
	change := Change{Member: name, Marker: *s.stored, Via: s.census().Or(census{}).others(name), Reason: Reason{Rules: []Rule{"R4", "R5", "R8"}, Quorum: quorum,
		Why: "clients no longer find it"}}
	return []Step{RemoveMember{Change: change, ID: s.listed(name).ID}}, nil
}

// handOver makes the most advanced of the others the leader, if a member leads.
func (s situation) handOver(name cluster.MemberName, why Reason) []Step {
	c, entry := s.census().Or(census{}), s.listed(name)
	others := c.others(name)
	if len(others) == 0 || len(others) == len(c.alive) || entry == nil || entry.ID != c.leader {
		return nil
	}
	return []Step{MoveLeader{Change: Change{Reason: why, Member: name, Marker: *s.stored, Via: c.alive}, To: mostAdvanced(others)}}
}

// mostAdvanced is the ID of the member that has applied most.
func mostAdvanced(hosts []cluster.Host) cluster.MemberID {
	return slices.MaxFunc(hosts, func(a, b cluster.Host) int {
		return cmp.Compare(a.View.Or(cluster.View{}).Applied, b.View.Or(cluster.View{}).Applied)
	}).View.Or(cluster.View{}).ID
}

// leftovers takes away hosts of members that have left, and that were not found at the
// time. What they know is older than the marker; see [situation.knowsBetter].
func (s situation) leftovers() []Step {
	var steps []Step
	for _, h := range s.roster.Unlisted() {
		n, known := h.Node.Get()
		switch {
		case h.Pending != "" && !h.Blank: // it is looked at once it is up
			steps = append(steps, awaitHosts([]cluster.Host{h})...)
		case !known || !s.list.Known() || s.listedHost(h) != nil:
		case n.Process.Running:
			steps = append(steps, StopMember{Host: h, Marker: s.stored, Grace: rollGrace, Reason: Reason{Why: "it left the cluster when its host could not be found", Rules: []Rule{"R6", "R7"}}})
		default:
			steps = append(steps, TerminateHost{Host: h, Marker: *s.stored, KeepData: true, Reason: Reason{Why: "its member left the cluster when it could not be found; the data is kept", Rules: []Rule{"R6", "R14"}}})
		}
	}
	return steps
}
