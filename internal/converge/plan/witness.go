package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// What any host of a cluster knows outranks the marker (rule R2). A zone that
// was restored from a backup, or a marker that somebody edited, is damage and
// never an order: what a host was given, and what it holds, was not given in
// vain.

// behind refuses to act on a marker that contradicts the hosts of its cluster;
// nil if none does. A destroy goes on whatever hosts knew before it.
func (s situation) behind(what string) *Refusal {
	evidence, damage, otherwise := s.otherLife(), damaged, RemoveHost
	if evidence == nil && s.marker.Phase != cluster.Destroying {
		evidence, otherwise = s.contradictions(), DestroyUnwanted
	}
	by := "the hosts of this cluster know"
	if evidence == nil && s.marker.Phase != cluster.Destroying {
		evidence, by = s.mutilated(), "pleiad wrote"
	}
	if evidence == nil {
		return nil
	}
	// A life that has just begun may be the right one: a machine that was not found
	// when the former one was destroyed has come back.
	claimed := otherwise == RemoveHost && s.marker.Phase == cluster.Bootstrapping && s.marker.ID == 0
	if claimed {
		damage = "if the marker was restored from a backup, or edited, put this record in its place:"
	}
	remedy := append(s.putBack(damage), otherwise.Say())
	return &Refusal{Rule: "R2", What: what, Remedy: remedy,
		Evidence: append([]string{fmt.Sprintf("the marker on %s is not the one that %s; it says: %s", s.spec.MarkerName(), by, s.marker)}, evidence...)}
}

// mutilated is what is wrong with a marker where no host is left that knows better:
// it names nobody, or its cluster ID was not made of the names of its members, with
// the ports that the service of the peers has.
func (s situation) mutilated() []string {
	s.spec.TLS = s.marker.CA != ""
	var out []string
	if len(s.marker.Members) == 0 {
		out = append(out, "it lists no members")
	}
	switch op := s.marker.Op; {
	case op.Member != "" && op.Kind != cluster.Remove && !s.marker.Has(op.Member): // see lateAddition
		out = append(out, fmt.Sprintf("its operation %s is about a member that it does not list", op))
	case op.Kind == cluster.Add && len(s.marker.Members) == 1:
		out = append(out, "it lists no members but the one that is to join them")
	}
	if len(s.witnesses()) > 0 || s.changed() {
		return out
	}
	members, found := s.published()
	id, all := s.idListed(s.marker.Members)
	switch {
	case found && !slices.Equal(members, s.marker.Members):
		out = append(out, fmt.Sprintf("its cluster ID is that of %s, which %s lists", cluster.JoinMembers(members), s.spec.ServerService()))
	case all && s.marker.ID != 0 && id != s.marker.ID:
		out = append(out, fmt.Sprintf("the cluster ID computed from its members and %s is %s", s.spec.ServerService(), id))
	}
	return out
}

// published are the members that the service of the peers lists, if the marker's
// cluster ID was made of them: then nobody has changed that list since.
func (s situation) published() (members []cluster.MemberName, found bool) {
	s.spec.TLS = s.marker.CA != ""
	set, _ := s.records.Get(cluster.Key{Name: s.spec.ServerService(), Type: cluster.SRV})
	for _, v := range set.Values {
		at, err := cluster.ParseService(v)
		if name, ours := s.spec.MemberOf(at.Target); err == nil && ours {
			members = append(members, name)
		}
	}
	slices.Sort(members)
	id, all := s.idListed(members)
	return members, all && id == s.marker.ID
}

// idListed is the cluster ID that follows from the ports that the service of the
// peers has for members, if it has all of them.
func (s situation) idListed(members []cluster.MemberName) (id cluster.ID, all bool) {
	var hosts []cluster.Host
	for _, name := range members {
		port, published := s.spec.Peer(s.records, name)
		if !published {
			return 0, false
		}
		hosts = append(hosts, cluster.Host{Name: name, Ports: cluster.Ports{Peer: port}})
	}
	return s.idOf(hosts, s.marker.Token, s.spec.TLS), len(hosts) > 0
}

const damaged = "the marker was restored from a backup, or edited: put this record in its place:"

// putBack is the right marker as a remedy, after what it is for; none if it is
// not whole.
func (s situation) putBack(damage string) []Remedy {
	record, whole := s.rightMarker()
	if !whole {
		return nil
	}
	return PutMarkerBack.lines(damage, record)
}

// lived says whether a host has more than a claim: a node, or data.
func lived(h cluster.Host) bool {
	n, known := h.Node.Get()
	return known && (n.Installed != "" || n.Data.Present || n.Data.Born)
}

// otherLife is what hosts of another incarnation say, where there is none at
// all of the marker's: then it is the marker that is of another life.
func (s situation) otherLife() []string {
	var out []string
	for _, h := range s.hosts {
		if h.Token == s.marker.Token {
			return nil
		}
		if lived(h) {
			out = append(out, fmt.Sprintf("host %s at %s is of incarnation %s and %s", h.Name, h.Address, h.Token, life(h)))
		}
	}
	return out
}

// contradictions are what hosts of the marker's incarnation know better.
func (s situation) contradictions() []string {
	var out []string
	for _, h := range s.hosts {
		if h.Token != s.marker.Token {
			continue
		}
		if wrong := s.knowsBetter(h); wrong != nil {
			out = append(out, fmt.Sprintf("host %s at %s %s", h.Name, h.Address, strings.Join(wrong, ", ")))
		}
	}
	for _, h := range s.roster.Unlisted() {
		if m := s.listedHost(h); m != nil && s.changed() {
			out = append(out, fmt.Sprintf("host %s at %s is that of member %s, which etcd lists", h.Name, h.Address, m.ID))
		}
	}
	if id, all := s.computedID(); all && !s.changed() && s.marker.ID != 0 && s.marker.ID != id {
		out = append(out, fmt.Sprintf("the cluster ID computed from this marker and its hosts is %s", id))
	}
	return out
}

// knowsBetter is what one host knows better than the marker.
func (s situation) knowsBetter(h cluster.Host) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	m, n := s.marker, h.Node.Or(cluster.Node{})
	joins := m.Phase == cluster.Sealed && h.Node.Known() && !lived(h) // it was about to; see leftovers
	if !m.Has(h.Name) && !s.changed() && !joins {
		say("is of this incarnation, but not on the list")
	}
	if n.Sealed && m.Phase == cluster.Bootstrapping {
		say("holds a node of the sealed cluster")
	}
	switch {
	case m.ID != 0:
	case n.Data.Present || n.Data.Born:
		say("has had data, so the list of members was already published")
	case n.Process.Running: // its etcd may just be about to make its data
		say("runs a member, so the list of members was already published")
	}
	if n.Made.Token != m.Token {
		return out
	}
	if n.Made.Generation > m.Generation {
		say("holds a node made from generation %d of the marker", n.Made.Generation)
	}
	// Before a first start, other ports of another host may change the ID.
	if m.ID != 0 && n.Made.ID != m.ID && (n.Sealed || n.Data.Present || n.Data.Born) {
		say("holds a node of cluster %s", n.Made.ID)
	}
	if !slices.Equal(n.Made.Members, m.Members) && !s.changed() || m.Has(h.Name) && slices.ContainsFunc(n.Made.Members, s.unaccounted) {
		say("holds a node of members %s", cluster.JoinMembers(n.Made.Members))
	}
	return out
}

// unaccounted says whether the marker does not know a member, nor that it has left.
// Before it forgets one that left, all nodes have.
func (s situation) unaccounted(name cluster.MemberName) bool {
	return !s.marker.Has(name) && !slices.Contains(s.marker.Left, name)
}

// changed says whether members have joined or left since the cluster was founded, or
// are about to: its ID, and what nodes say of its members, then need not be those of
// the marker's list. That a marker is from before a change is seen by its generation.
func (s situation) changed() bool {
	op := s.marker.Op.Kind
	return s.marker.Changes > 0 || op == cluster.Add || op == cluster.Remove
}

// listedHost is the entry that etcd has of a host's member: under the ID of its node,
// or under its URL; nil if it has none.
func (s situation) listedHost(h cluster.Host) *cluster.Member {
	url := s.spec.PeerURL(h.Name, h.Ports.Peer)
	for _, m := range s.list.Or(nil) {
		if m.ID == h.Node.Or(cluster.Node{}).Made.Member || slices.Contains(m.PeerURLs, url) {
			return &m
		}
	}
	return nil
}

// computedID is the cluster ID that follows from the hosts on the list, if all
// of them are there.
func (s situation) computedID() (id cluster.ID, all bool) {
	members, missing := s.roster.Members(), s.roster.Missing()
	if len(missing) > 0 || len(members) == 0 {
		return 0, false
	}
	return s.idOf(members, s.marker.Token, s.marker.CA != ""), true
}

func (s situation) idOf(members []cluster.Host, token cluster.Token, tls bool) cluster.ID {
	s.spec.TLS = tls
	return node.ClusterID(s.spec, token, members)
}

// rightMarker is the marker that the hosts know, as a record in the syntax of a
// zone file for a person to put back; and whether it is whole: there is an
// owner to name, and the cluster ID is one that a host was given, or holds.
func (s situation) rightMarker() (record string, whole bool) {
	hosts := s.witnesses()
	if len(hosts) == 0 {
		return s.marked()
	}
	m := cluster.Marker{Cluster: s.spec.Cluster, Owner: s.control.Owner, Phase: cluster.Bootstrapping,
		Token: hosts[0].Token, Generation: s.newest(hosts) + 1_000_000}
	ours := s.marker != nil && s.marker.Token == m.Token
	if ours {
		m.Phase = s.marker.Phase
	}
	var made cluster.Made
	for _, h := range hosts {
		n := h.Node.Or(cluster.Node{})
		if h.Token != m.Token {
			return "", false
		}
		if n.Sealed {
			m.Phase = cluster.Sealed
		}
		if n.Made.Generation >= made.Generation {
			made = n.Made
		}
	}
	if ours && s.marker.Generation >= made.Generation { // an older one says nothing of what is in flight
		m.Op = s.marker.Op
	}
	tls := s.speaksTLS(hosts)
	if tls {
		m.CA = s.control.CA
	}
	m.Members, m.ID = made.Members, made.ID
	m.IDs, m.Changes = s.joined(hosts, made)
	s.amend(&m)
	if m.ID == 0 {
		m.Members, m.ID = names(hosts), s.idOf(hosts, m.Token, tls)
	}
	for _, h := range hosts {
		whole = whole || made.ID != 0 || h.Node.Or(cluster.Node{}).Data.Cluster == m.ID
	}
	if !m.Has(m.Op.Member) {
		m.Op = cluster.Operation{}
	}
	for _, h := range hosts { // the marker may be of before it joined
		if h.Node.Or(cluster.Node{}).Made.Joins && m.Has(h.Name) && m.Op == (cluster.Operation{}) {
			m.Op = cluster.Operation{Kind: cluster.Add, Member: h.Name}
		}
	}
	return s.entry(m), whole && m.Owner != "" && (m.CA != "") == tls
}

// amend adds to a marker what etcd's list says: the IDs of those that joined, and the
// host of one that was about to join.
func (s situation) amend(m *cluster.Marker) {
	list := cluster.Membership(views(slices.Concat(s.hosts, s.state.Missing)), m.ID)
	for _, l := range list.Or(nil) {
		name, url := s.urlOf(l)
		here := slices.ContainsFunc(s.hosts, func(h cluster.Host) bool { return h.Name == name && h.Token == m.Token })
		if name == "" || !here && !m.Has(name) {
			continue
		}
		if l.ID != cluster.BootstrapMemberID(url, m.Token) {
			if m.IDs == nil {
				m.IDs = map[cluster.MemberName]cluster.MemberID{}
			}
			m.IDs[name], m.Changes = l.ID, max(m.Changes, 1)
		}
		if !m.Has(name) {
			m.Members = slices.Sorted(slices.Values(append(slices.Clone(m.Members), name)))
		}
		if l.Learner {
			m.Op = cluster.Operation{Kind: cluster.Add, Member: name}
		}
	}
}

// urlOf is the peer URL of an entry, and the member whose host name is in it; empty if
// that is none of this domain.
func (s situation) urlOf(m cluster.Member) (name cluster.MemberName, url string) {
	if len(m.PeerURLs) != 1 {
		return "", ""
	}
	_, rest, _ := strings.Cut(m.PeerURLs[0], "://")
	host, _, _ := strings.Cut(rest, ":")
	name, _ = s.spec.MemberOf(host + ".")
	return name, m.PeerURLs[0]
}

// joined are the IDs of members that do not follow from their URLs, and whether there
// are any, or the cluster's own does not follow from its members any more.
func (s situation) joined(hosts []cluster.Host, made cluster.Made) (ids map[cluster.MemberName]cluster.MemberID, changes uint64) {
	spec := s.spec
	spec.TLS = s.speaksTLS(hosts)
	if s.marker != nil && s.marker.ID == made.ID { // of those whose hosts were not found; a name has one ID for ever
		ids = maps.Clone(s.marker.IDs)
		maps.DeleteFunc(ids, func(name cluster.MemberName, _ cluster.MemberID) bool { return !slices.Contains(made.Members, name) })
	}
	for _, h := range hosts {
		n := h.Node.Or(cluster.Node{})
		id := n.Made.Member
		if id == 0 && n.Data.Cluster == made.ID { // a node was delivered by half
			id = n.Data.Member
		}
		if id != 0 && id != spec.MemberID(cluster.Marker{Token: h.Token}, h) && slices.Contains(made.Members, h.Name) {
			if ids == nil {
				ids = map[cluster.MemberName]cluster.MemberID{}
			}
			ids[h.Name], changes = id, 1
		}
	}
	if s.marker != nil && s.marker.Token == made.Token {
		changes = max(changes, s.marker.Changes)
	}
	var founders []cluster.Host
	for i, name := range made.Members {
		if i < len(made.At) {
			founders = append(founders, cluster.Host{Name: name, Ports: cluster.Ports{Peer: made.At[i].Port()}})
		}
	}
	if made.ID != 0 && node.ClusterID(spec, made.Token, founders) != made.ID {
		changes = max(changes, 1)
	}
	return ids, changes
}

// marked is the right marker where no host is left: the one that stands there, with
// the members that the service of the peers lists.
func (s situation) marked() (record string, whole bool) {
	if s.marker == nil || s.marker.Owner != s.control.Owner {
		return "", false
	}
	members, whole := s.published()
	return s.entry(s.marker.Next(func(m *cluster.Marker) {
		m.Members = members
		if !m.Has(m.Op.Member) {
			m.Op = cluster.Operation{}
		}
	})), whole
}

// entry is a marker in the syntax of a zone file.
func (s situation) entry(m cluster.Marker) string {
	return fmt.Sprintf("%s %d TXT %q", s.spec.MarkerName(), cluster.TTL, m.String())
}

// speaksTLS says whether the members of a cluster speak TLS: what follows from the
// ID of any member, which is made from its URL, else what the spec says. That one
// host is there is enough.
func (s situation) speaksTLS(hosts []cluster.Host) bool {
	spec := s.spec
	spec.TLS = !s.spec.TLS
	for _, h := range hosts {
		n := h.Node.Or(cluster.Node{})
		if spec.MemberID(cluster.Marker{Token: h.Token}, h) == cmp.Or(n.Made.Member, n.Data.Member) {
			return spec.TLS
		}
	}
	return s.spec.TLS
}

// witnesses are the hosts that can speak of the right marker: those of the
// marker's incarnation if there are any, else all that lived.
func (s situation) witnesses() []cluster.Host {
	var same, other []cluster.Host
	for _, h := range s.hosts {
		if s.marker != nil && h.Token == s.marker.Token {
			same = append(same, h)
		} else if lived(h) {
			other = append(other, h)
		}
	}
	if same != nil {
		return same
	}
	return other
}

// newest is the highest generation that anybody knows.
func (s situation) newest(hosts []cluster.Host) uint64 {
	var g uint64
	if s.marker != nil {
		g = s.marker.Generation
	}
	for _, h := range hosts {
		g = max(g, h.Node.Or(cluster.Node{}).Made.Generation)
	}
	return g
}
