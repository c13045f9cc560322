package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// beginAdd puts a new member on the marker, if there is a machine for it and all
// voters serve: etcd adds nobody while one of them is down.
func (s situation) beginAdd(op cluster.Operation, why Reason) ([]Step, []Refusal) {
	name, what := op.Member, "add a member"
	switch {
	case name == "":
		return nil, nil // nobody was asked for names
	case s.marker.Has(name):
		return s.rewrite(Reserve, name, why, func(m *cluster.Marker) { m.Op = op })
	}
	if r := slices.Concat(s.unseen(what), s.untraced(what)); r != nil {
		return nil, r
	}
	if s.spec.Machines() != nil && !slices.ContainsFunc(s.state.Places, cluster.Place.Free) {
		r := Refusal{Rule: "R10", What: what, Asked: true, Evidence: []string{why.Why, "no machine of the spec is free"}, Remedy: remedies(AddMachine)}
		if t := s.taken(what); t != nil {
			r.Evidence, r.Remedy = append(r.Evidence, t.Evidence...), append(r.Remedy, t.Remedy...)
		}
		return nil, []Refusal{r}
	}
	c, r := s.bearsLearner(what)
	if r == nil {
		r = s.triedEnough(what)
	}
	if r == nil {
		r = s.mixesMinors(what)
	}
	if r != nil {
		r.Evidence = append([]string{why.Why}, r.Evidence...)
		return nil, []Refusal{*r}
	}
	why.Quorum = cluster.Arithmetic(len(c.alive), c.voters)
	return s.rewrite(Reserve, name, why, func(m *cluster.Marker) {
		m.Op = op
		m.Members = append(m.Members, op.Member)
	})
}

// bearsLearner says whether etcd would add a member now: it needs all voters.
func (s situation) bearsLearner(what string) (census, *Refusal) {
	c, known := s.census().Get()
	if !known || len(c.alive) < cluster.Quorum(c.voters) {
		return c, s.quorumLost(what, c)
	}
	if len(c.alive) == c.voters {
		return c, nil
	}
	voters, back := s.mayReturn(c)
	r := &Refusal{Rule: "R4", What: what, Unknown: back >= voters, Remedy: remedies(MendRest),
		Evidence: []string{fmt.Sprintf("%d of %d voters serve; etcd adds nobody while one does not", len(c.alive), c.voters)}}
	return c, r
}

// triedEnough refuses another member where two have been lost one after the other
// before they had joined (rule R13): what took them would take the next one too, and
// each leaves a machine and data behind. A person runs the command again.
func (s situation) triedEnough(what string) *Refusal {
	const tries = 2
	if len(s.state.GivenUp) < tries {
		return nil
	}
	r := &Refusal{Rule: "R13", What: what, Remedy: remedies(FindWhy)}
	for _, m := range s.state.GivenUp {
		r.Evidence = append(r.Evidence, fmt.Sprintf("%s was to join: %s", m.Member, m.Why))
	}
	return r
}

// join takes the next step of an addition.
func (s situation) join(op cluster.Operation) ([]Step, []Refusal) {
	name := op.Member
	if why := s.hopeless(name); why != "" {
		return s.rewrite(Reserve, name, Reason{Why: why + ": it leaves again", Rules: []Rule{"R4", "R6"}},
			func(m *cluster.Marker) { m.Op = cluster.Operation{Kind: cluster.Remove, Member: name} })
	}
	h, found := s.roster.Member(name)
	if !found {
		return s.launchJoiner(name)
	}
	if !s.list.Known() {
		return nil, []Refusal{*s.quorumLost("add member "+string(name), census{})}
	}
	_, published := s.records.Get(s.spec.HostRecord(name, h.Address).Key)
	entry := s.listed(name)
	switch {
	case !h.Node.Known(), h.Pending != "", !published && (entry == nil || entry.Learner): // another part of the plan is about it
		return nil, nil
	case entry == nil:
		return s.addLearner(h)
	case s.marker.IDs[name] == 0:
		return s.rewrite(Publish, "", Reason{Why: "etcd lists " + string(name) + " as " + entry.ID.String(), Rules: []Rule{"R6", "R8"}}, func(m *cluster.Marker) {
			if m.IDs == nil {
				m.IDs = map[cluster.MemberName]cluster.MemberID{}
			}
			m.IDs[name] = entry.ID
		})
	case entry.Learner:
		return s.promote(h, entry.ID)
	case !h.View.Or(cluster.View{}).Serves():
		return nil, nil // it is awaited
	}
	return s.rewrite(Release, name, Reason{Why: "it votes and serves", Rules: []Rule{"R4", "R8"}}, func(m *cluster.Marker) {
		m.Op = cluster.Operation{}
		if op.For != "" {
			m.Op = cluster.Operation{Kind: cluster.Remove, Member: op.For}
		}
		m.Changes++
	})
}

// hopeless says why a member that is about to join never will, or is not wanted any
// more. One that votes is wanted like all others.
func (s situation) hopeless(name cluster.MemberName) string {
	entry := s.listed(name)
	row := s.roster[slices.IndexFunc(s.roster, func(row cluster.Row) bool { return row.Name == name })]
	why, dead := s.dead(row)
	switch {
	case dead && s.begun(row):
		return why
	case row.Host == nil && s.answers(name):
		return "its host was removed while its member ran"
	case entry != nil && !entry.Learner:
		return ""
	case slices.Contains(s.wishes.Replaced, name):
		return "you asked to replace it"
	case entry != nil && row.Host != nil && s.late(*row.Host) != "":
		return "it has not caught up within an hour: " + s.late(*row.Host)
	case s.list.Known() && entry == nil && s.marker.IDs[name] != 0:
		return "somebody has removed it from etcd's list of members"
	case entry != nil && entry.Name == "" && s.otherUnlisted(name):
		return "somebody has removed another member from etcd's list, which leaves first"
	case entry != nil && entry.Name == "" && !slices.Contains(row.Published, "address") && s.otherDead(name):
		return "its address is not in DNS, and another member has died, which leaves first"
	case entry == nil && slices.ContainsFunc(s.list.Or(nil), func(m cluster.Member) bool { _, late := s.lateAddition(m); return late }):
		return "etcd lists another learner, and adds no second one"
	case s.marker.Op.For == "" && len(s.marker.Members) > s.spec.Members:
		return fmt.Sprintf("the spec no longer wants it: members: %d", s.spec.Members)
	case s.list.Known() && entry == nil && s.otherDead(name):
		return "another member has died, and etcd adds nobody before that one has left"
	}
	return ""
}

// otherUnlisted says whether etcd's list is without another member of the marker. The
// node of one that joins names all members, and its gate wants that very list.
func (s situation) otherUnlisted(name cluster.MemberName) bool {
	return slices.ContainsFunc(s.marker.Members, func(other cluster.MemberName) bool {
		return other != name && s.belongs(other) && s.listed(other) == nil
	})
}

// catchUp is how long a learner may take to get what the others have. A snapshot of
// etcd's largest database (8 GB) takes 11 minutes at 100 Mbit/s.
const catchUp = time.Hour

// late says where a learner is that has run for longer than that, and has not caught up.
func (s situation) late(h cluster.Host) string {
	n, newest := h.Node.Or(cluster.Node{}), s.census().Or(census{}).newest()
	p, now := n.Process, s.state.At
	if !n.Clock.IsZero() { // the one that said since when
		now = n.Clock
	}
	switch v, answers := h.View.Get(); {
	case !p.Running || p.Since.IsZero() || now.Sub(p.Since) <= catchUp:
		return ""
	case !answers:
		return h.View.Why().Text
	case v.Applied < readyFor(newest):
		return fmt.Sprintf("it is at index %d, the leader at %d", v.Applied, newest)
	}
	return ""
}

// readyFor is the index at which a learner has caught up with a leader: etcd's own
// measure (server/etcdserver/server.go, readyPercentThreshold).
func readyFor(newest uint64) uint64 { return newest * 9 / 10 }

// begun says whether a member that is about to join has been given a host: etcd lists
// it, or did when the node of another one was made, or its address is in DNS.
func (s situation) begun(row cluster.Row) bool {
	_, known := pinned(s.roster.Members(), row.Name)
	return known || s.marker.IDs[row.Name] != 0 || s.listed(row.Name) != nil || slices.Contains(row.Published, "address")
}

// launchJoiner makes the host of a member that is about to join.
func (s situation) launchJoiner(name cluster.MemberName) ([]Step, []Refusal) {
	what := "launch host " + string(name)
	if r := slices.Concat(s.unseen(what), s.untraced(what)); r != nil {
		return nil, r
	}
	var others []netip.Addr
	for _, h := range s.hosts {
		others = append(others, h.Address)
	}
	return []Step{LaunchHost{Member: name, Token: s.marker.Token, Marker: *s.stored, Others: others,
		Reason: Reason{Why: "a member is to join, and there is no such host", Rules: []Rule{"R4", "R11"}}}}, nil
}

func (s situation) addLearner(h cluster.Host) ([]Step, []Refusal) {
	c, r := s.bearsLearner("add member " + string(h.Name))
	if r != nil {
		return nil, []Refusal{*r}
	}
	return []Step{AddLearner{PeerURL: s.spec.PeerURL(h.Name, h.Ports.Peer), Change: Change{Member: h.Name, Via: c.alive, Marker: *s.stored,
		Reason: Reason{Why: "its address is in DNS; as a learner it does not count for the quorum", Rules: []Rule{"R4", "R7", "R8"}, Quorum: cluster.Arithmetic(len(c.alive), c.voters)}}}}, nil
}

// promote makes a learner a voter once it is seen to follow the leader: etcd
// refuses one that has not caught up.
func (s situation) promote(h cluster.Host, id cluster.MemberID) ([]Step, []Refusal) {
	v, known := h.View.Get()
	if !known || v.Leader == 0 {
		return nil, nil // it is awaited
	}
	c := s.census().Or(census{})
	quorum := cluster.Arithmetic(len(c.alive)+1, c.voters+1)
	if newest := c.newest(); v.Applied < readyFor(newest) {
		return []Step{AwaitMembers{Hosts: []cluster.Host{h}, Reason: Reason{Why: fmt.Sprintf("it catches up: it is at index %d, the leader at %d", v.Applied, newest), Rules: []Rule{"R7"}}}}, nil
	}
	if len(c.alive)+1 < cluster.Quorum(c.voters+1) {
		voters, back := s.mayReturn(c)
		return nil, []Refusal{{Rule: "R5", What: "promote learner " + string(h.Name), Unknown: back+1 >= cluster.Quorum(voters+1), Remedy: remedies(MendRest),
			Evidence: []string{"as a voter it would not make a quorum with those that serve: " + quorum}}}
	}
	return []Step{PromoteLearner{ID: id, Change: Change{Member: h.Name, Via: c.alive, Marker: *s.stored,
		Reason: Reason{Why: "it runs and follows the leader", Rules: []Rule{"R4", "R5", "R7"}, Quorum: quorum}}}}, nil
}
