package plan

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// census is who is a member by etcd's own list, and who of them serves.
type census struct {
	list   []cluster.Member
	voters int
	// alive are the voters that serve, the leader first.
	alive  []cluster.Host
	leader cluster.MemberID
}

// census is unknown while no member can say who the members are.
func (s situation) census() cluster.Seen[census] {
	list, known := s.list.Get()
	if !known {
		return cluster.Unknown[census](s.list.Why().Text)
	}
	c := census{list: list}
	for _, m := range list {
		if !m.Learner {
			c.voters++
		}
	}
	for _, h := range slices.Concat(s.hosts, s.state.Missing) {
		v, _ := h.View.Get()
		if i := slices.IndexFunc(list, func(m cluster.Member) bool { return m.ID == v.ID && !m.Learner }); i < 0 || v.Cluster != s.marker.ID || !v.Serves() {
			continue
		}
		c.leader = cmp.Or(c.leader, v.Leader)
		c.alive = append(c.alive, h)
	}
	slices.SortStableFunc(c.alive, func(a, b cluster.Host) int { return c.rank(a) - c.rank(b) })
	return cluster.Known(c)
}

// voters is how many members vote; where etcd's list is unknown, all that the marker
// lists.
func (s situation) voters() int {
	if c, known := s.census().Get(); known {
		return c.voters
	}
	return len(s.marker.Members)
}

// newest is the index that the members have applied that serve.
func (c census) newest() uint64 {
	var index uint64
	for _, h := range c.alive {
		index = max(index, h.View.Or(cluster.View{}).Applied)
	}
	return index
}

func (c census) rank(h cluster.Host) int {
	if h.View.Or(cluster.View{}).ID == c.leader {
		return 0
	}
	return 1
}

// others are the voters that serve without one.
func (c census) others(name cluster.MemberName) []cluster.Host {
	return slices.DeleteFunc(slices.Clone(c.alive), func(h cluster.Host) bool { return h.Name == name })
}

// listed is etcd's entry of a member; nil if it is not on the list.
func (s situation) listed(name cluster.MemberName) *cluster.Member {
	for _, m := range s.list.Or(nil) {
		if s.is(m, name) {
			return &m
		}
	}
	return nil
}

// is says whether an entry is that of a member: by its ID, or by its peer URL as
// long as the marker has no ID of one that joins.
func (s situation) is(m cluster.Member, name cluster.MemberName) bool {
	h, found := s.roster.Member(name)
	if id, joined := s.marker.IDs[name]; joined {
		return m.ID == id
	}
	if !found {
		h.Name, h.Ports = name, cluster.StandardPorts()
		if port, published := s.spec.Peer(s.records, name); published {
			h.Ports.Peer = port
		}
	}
	late, unknown := s.lateAddition(m)
	joins := slices.Contains(m.PeerURLs, s.spec.PeerURL(name, h.Ports.Peer)) || unknown && late == name
	return m.ID == s.spec.MemberID(*s.marker, h) || s.changing(name) && joins
}

// lateAddition is the name of a member that was to join and was given up before etcd listed
// it: the call that adds it may be under way for as long as etcd takes, and the
// controller that made it may have died. It is a learner that has never started, under a name that
// pleiad makes, which is not on the marker. As such it has no data and no vote.
func (s situation) lateAddition(m cluster.Member) (cluster.MemberName, bool) {
	if !m.Learner || m.Name != "" || len(m.PeerURLs) != 1 {
		return "", false
	}
	u, err := url.Parse(m.PeerURLs[0])
	if err != nil {
		return "", false
	}
	name, ours := s.spec.MemberOf(u.Hostname() + ".")
	return name, ours && name.Made() && !s.marker.Has(name)
}

// belongs says whether a name on the marker is a member of etcd, as far as can be
// seen: one that joins is none before the marker has its ID, and one that leaves is
// none any more once etcd's list is without it.
func (s situation) belongs(name cluster.MemberName) bool {
	switch op := s.marker.Op; {
	case op.Kind == cluster.Add && op.Member == name:
		return s.marker.IDs[name] != 0
	case op.Kind == cluster.Remove && op.Member == name && s.list.Known():
		return s.listed(name) != nil
	case op.Kind == cluster.Remove && op.Member == name:
		_, published := s.spec.Peer(s.records, name)
		return published
	}
	return true
}

// changing says whether a member is the one that joins or leaves.
func (s situation) changing(name cluster.MemberName) bool {
	op := s.marker.Op
	return op.Member == name && (op.Kind == cluster.Add || op.Kind == cluster.Remove)
}

// dead says why a member of the marker will not come back by itself: its host is
// known to be gone, or its data is. A host that cannot be inspected is unknown, and
// is never replaced.
func (s situation) dead(row cluster.Row) (why string, dead bool) {
	if row.Host == nil || row.Stranger {
		if len(s.state.Unseen()) > 0 || s.state.Untraced != "" || s.answers(row.Name) || s.heard(row.Name) {
			return "", false
		}
		return "its host is gone", true
	}
	n, known := row.Host.Node.Get()
	_, serves := row.Host.View.Get()
	switch joins := s.marker.Op.Kind == cluster.Add && s.marker.Op.Member == row.Name; {
	case !known || serves || n.Process.Running || row.Host.Copy != "":
		return "", false
	case n.Data.Older:
		return fmt.Sprintf("its data is not the newest: it ends at %s, the member had got to %s", n.Data.Ends, n.Data.Reached), true
	case !n.Data.Present && s.spec.DataDevice() != "" && !joins:
		return "", false // a volume that is not mounted, or not attached yet, looks the same
	case !n.Data.Present && (n.Data.Born || n.Sealed && !joins):
		return "its data is gone", true
	}
	return "", false
}

// deadMember is [situation.dead] for a name on the marker.
func (s situation) deadMember(name cluster.MemberName) bool {
	i := slices.IndexFunc(s.roster, func(row cluster.Row) bool { return row.Name == name })
	if i < 0 {
		return false
	}
	_, dead := s.dead(s.roster[i])
	return dead
}

// replaced says whether a member is about to leave, or to be given up, without a
// person.
func (s situation) replaced(name cluster.MemberName) bool {
	return s.replacing && (s.deadMember(name) || s.saidDead(name) || s.marker.Op.Kind == cluster.Remove && s.marker.Op.Member == name)
}

// foreignMembers are what members say that is not this cluster: another ID, or an
// entry of etcd's list that pleiad did not make so.
func (s situation) foreignMembers() []string {
	var out []string
	for _, h := range s.roster.Members() {
		if v, known := h.View.Get(); known && v.Cluster != s.marker.ID {
			out = append(out, fmt.Sprintf("%s is in cluster %s, not %s", h.Name, v.Cluster, s.marker.ID))
		}
	}
	for _, m := range s.list.Or(nil) {
		i := slices.IndexFunc(s.marker.Members, func(name cluster.MemberName) bool { return s.is(m, name) })
		if _, late := s.lateAddition(m); late {
			continue // see undoLate
		}
		if name, _ := s.urlOf(m); i < 0 && s.marker.Has(name) {
			out = append(out, fmt.Sprintf("etcd lists %s as member %s, which does not follow from the marker", name, m.ID))
			continue
		}
		if i < 0 {
			out = append(out, fmt.Sprintf("etcd lists member %s %q, which pleiad did not add", m.ID, m.Name))
			continue
		}
		if h, found := s.roster.Member(s.marker.Members[i]); found && !slices.Equal(m.PeerURLs, []string{s.spec.PeerURL(h.Name, h.Ports.Peer)}) {
			out = append(out, fmt.Sprintf("etcd lists member %s at %s, want %s", h.Name, strings.Join(m.PeerURLs, ", "), s.spec.PeerURL(h.Name, h.Ports.Peer)))
		}
	}
	return out
}

// lagging are the members that do not serve, or have not applied the list that
// counts. A learner serves no list.
func (s situation) lagging(members []cluster.Host) []cluster.Host {
	list, known := s.list.Get()
	return slices.DeleteFunc(slices.Clone(members), func(h cluster.Host) bool {
		v, seen := h.View.Get()
		if !seen || !v.Serves() {
			return false
		}
		return v.Learner || !known || slices.EqualFunc(v.Members, list, func(a, b cluster.Member) bool { return a.ID == b.ID && a.Name == b.Name && a.Learner == b.Learner })
	})
}

// answers says whether a member whose host was not found may run all the same.
func (s situation) answers(name cluster.MemberName) bool {
	return slices.ContainsFunc(s.state.Missing, func(h cluster.Host) bool {
		return h.Name == name && (h.View.Known() || s.orphaned(h))
	})
}

// heard says whether one whose host is gone may run all the same, wherever that is: a
// member that serves hears from it, or does not say whether it does.
func (s situation) heard(name cluster.MemberName) bool {
	evidence, _ := s.hearsay(name)
	return s.asked() && evidence != nil
}

// memberID is a member's ID as etcd lists it, or else as it was computed.
func (s situation) memberID(name cluster.MemberName) cluster.MemberID {
	if entry := s.listed(name); entry != nil {
		return entry.ID
	}
	h, _ := s.roster.Member(name)
	return s.spec.MemberID(*s.marker, h)
}

// condition is what is known of a member, for whoever must bring back a quorum.
func (s situation) condition(row cluster.Row) string {
	why, dead := s.dead(row)
	switch {
	case dead:
		return ": " + why
	case row.Host == nil || row.Stranger:
		return ": its host was not found"
	}
	if v, known := row.Host.View.Get(); known {
		return fmt.Sprintf(" answers, at term %d, index %d", v.Term, v.Applied)
	}
	return ": " + row.Host.View.Why().Text
}

// mayReturn is how many voters there are, and how many of them serve or may do so
// without a person: those of which nothing is known that keeps them down.
func (s situation) mayReturn(c census) (voters, back int) {
	for _, row := range s.roster {
		if l := s.listed(row.Name); !row.Listed || l != nil && l.Learner || l == nil && s.changing(row.Name) {
			continue
		}
		voters++
		gone := row.Host == nil && len(s.state.Unseen()) == 0
		_, dead := s.dead(row)
		if !dead && !gone && (row.Host == nil || !s.stays(*row.Host)) {
			back++
		}
	}
	return max(voters, c.voters), back
}

// stays says whether a member does not run and must not be started as it is.
func (s situation) stays(h cluster.Host) bool { return !h.Runs() && s.unfit(h) }

// unfit says whether what is on a host must not be started, whether it runs or not.
func (s situation) unfit(h cluster.Host) bool {
	return h.Node.Known() && unfit(h, s.render(*s.marker, s.roster.Members(), h), StartOver) != nil
}

// otherDead says whether any other member is dead.
func (s situation) otherDead(name cluster.MemberName) bool {
	return slices.ContainsFunc(s.roster, func(row cluster.Row) bool {
		_, dead := s.dead(row)
		return dead && row.Listed && row.Name != name
	})
}

// orphan is a member that runs and whose host was removed; nil if there is none of
// that name.
func (s situation) orphan(name cluster.MemberName) *cluster.Host {
	for _, h := range s.state.Missing {
		if h.Name == name && s.orphaned(h) {
			return &h
		}
	}
	return nil
}
