// Package verify is the fifth of five stages: it answers one question, purely.
// Do the spec and a fresh state agree, and if not, exactly where?
//
// It trusts nothing that was planned or applied, only what was observed: the
// hosts, the records, and what each member says of itself.
package verify

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// Difference is one place where spec and state do not agree.
type Difference struct {
	// Where is the host, member or record set.
	Where string `json:"where"`
	// What is wrong there.
	What string `json:"what"`
}

// String is the difference in one line.
func (d Difference) String() string { return d.Where + ": " + d.What }

// Check lists all differences; none means that the cluster is as it should be.
func Check(spec cluster.Spec, s cluster.State) []Difference {
	var c checker
	switch control, known := s.Control.Get(); {
	case !known:
		c.say("state directory", "unknown: %s", s.Control.Why())
	case control.Copy != "":
		c.say("state directory", "%s; it is only looked at", control.Copy)
	case spec.TLS && control.CA != "" && control.Operator == nil:
		c.say("state directory", "there is no operator's certificate that fits its key and the CA")
	case spec.TLS && control.Operator.Due(s.At):
		c.say("state directory", "the operator's certificate is due for renewal")
	}
	records, known := s.Records.Get()
	if !known {
		return c.say("records of "+spec.Domain, "unknown: %s", s.Records.Why())
	}
	hosts, known := s.Hosts.Get()
	if !known {
		return c.say("hosts", "unknown: %s", s.Hosts.Why())
	}
	if server := s.Server.Or(cluster.NameServer{}); server.Managed && !server.Running {
		c.say("name server", "is not running")
	}
	marker, ok := c.marker(spec, records, s)
	if !ok {
		return c.differences
	}
	roster := spec.Roster(marker, hosts, records)
	c.hosts(spec, marker, roster, s)
	for _, server := range s.Visibility.Or(cluster.Visibility{}).Behind() {
		for _, line := range server.Behind {
			c.say(fmt.Sprintf("name server %s (%s)", strings.TrimSuffix(server.Name, "."), server.Address), "%s", line)
		}
	}
	c.records(spec, roster, records)
	for _, h := range hosts {
		c.member(marker, h)
	}
	for _, h := range roster.Members() {
		c.peerURL(spec, marker, h)
	}
	return c.differences
}

type checker struct{ differences []Difference }

func (c *checker) say(where, format string, args ...any) []Difference {
	c.differences = append(c.differences, Difference{Where: where, What: fmt.Sprintf(format, args...)})
	return c.differences
}

func (c *checker) marker(spec cluster.Spec, r cluster.Records, s cluster.State) (cluster.Marker, bool) {
	m, found, err := spec.Marker(r)
	if err != nil {
		c.say(spec.MarkerName(), "%v", err)
		return m, false
	}
	if !found {
		c.say(spec.MarkerName(), "there is no marker")
		return m, false
	}
	if m.Phase != cluster.Sealed {
		c.say(spec.MarkerName(), "the cluster is %s, not sealed", m.Phase)
	}
	if control, known := s.Control.Get(); known && m.Owner != control.Owner {
		c.say(spec.MarkerName(), "the cluster belongs to owner %s", m.Owner)
	}
	if control, known := s.Control.Get(); known && spec.TLS && m.CA != control.CA {
		c.say("state directory", "the cluster's CA is %s, and its key is not here", m.CA)
	}
	if spec.TLS != (m.CA != "") {
		c.say(string(spec.Cluster), "its tls is not as the spec has it")
	}
	if m.Op != (cluster.Operation{}) {
		c.say(spec.MarkerName(), "an operation is in flight: %s", m.Op)
	}
	for _, name := range m.Left {
		c.say(spec.HostName(name), "its member has left, and its address is still in DNS")
	}
	if len(m.Members) != spec.Members {
		c.say(string(spec.Cluster), "has %d members, the spec says %d", len(m.Members), spec.Members)
	}
	return m, true
}

func (c *checker) hosts(spec cluster.Spec, marker cluster.Marker, roster cluster.Roster, s cluster.State) {
	missing, unseen := roster.Missing(), s.Unseen()
	for _, name := range missing {
		if len(unseen) == 0 {
			c.say(string(name), "its host is gone")
		} else {
			c.say(string(name), "its host was not found")
		}
	}
	for _, p := range unseen {
		if len(missing) > 0 {
			c.say(p.String(), "unknown: %s", p.Unknown)
		}
	}
	for _, row := range roster {
		if row.Host == nil {
			continue
		}
		h := *row.Host
		if h.Copy != "" {
			c.say(string(h.Name), "%s", h.Copy)
		}
		n, known := h.Node.Get()
		if !known {
			c.say(string(h.Name), "what is on its host is unknown: %s", h.Node.Why())
		}
		for _, d := range n.Drift {
			c.say(string(h.Name), "%s", d)
		}
		if n.Process.Running && n.Process.Program.Differs(n.Offered) {
			c.say(string(h.Name), "runs %s; this is %s", n.Process.Program, n.Offered)
		}
		if n.Process.Running && n.Process.Flags != "" && row.Listed && !row.Stranger && n.Process.Flags != node.Render(spec, marker, []cluster.Host{h}, h, "").Flags() {
			c.options(spec, marker, h, n.Process.Args)
		}
		if row.Listed && !row.Stranger {
			c.node(spec, marker, roster, h, s)
		}
		if n.Tight() {
			c.say(string(h.Name), "its disk is almost full: %d MB are left, and etcd writes its log in files of 64 MB", *n.Free/1_000_000)
		}
		if !row.Listed || row.Stranger {
			c.say(string(h.Name), "this host is not a member of the cluster")
		}
	}
}

// node checks what a member would be started with. Where the host of another member is
// missing, what its node should say of that is not known.
func (c *checker) node(spec cluster.Spec, m cluster.Marker, roster cluster.Roster, h cluster.Host, s cluster.State) {
	n := h.Node.Or(cluster.Node{})
	want := node.Render(spec, m, roster.Members(), h, spec.Resolver(s.Server.Or(cluster.NameServer{})))
	shown := h.Shown.Or(cluster.Certificate{})
	switch {
	case !spec.TLS || n.Installed == "":
	case n.Certificate == nil:
		c.say(string(h.Name), "has no certificate")
	case n.Certificate.Due(s.At) || h.Shown.Known() && shown.Due(s.At):
		c.say(string(h.Name), "its certificate is due for renewal")
	}
	switch {
	case !h.Node.Known() || n.Next.Flags != "" && n.Next.Flags != want.Flags(): // see options
	case n.Installed == "":
		c.say(string(h.Name), "its configuration is not on its host")
	case want.Sealed && !n.Sealed:
		c.say(string(h.Name), "its host does not know yet that the cluster is sealed: its member would not start without DNS")
	case len(roster.Missing()) == 0 && n.Installed != want.Digest():
		c.say(string(h.Name), "its host holds another configuration than it should")
	}
}

// options says which options a member runs with that the spec has otherwise.
func (c *checker) options(spec cluster.Spec, m cluster.Marker, h cluster.Host, args []string) {
	what := "runs with other etcd options than the spec has"
	if args != nil {
		what += ": " + strings.Join(node.Differences(args, node.Render(spec, m, []cluster.Host{h}, h, "").Lasting()), ", ")
	}
	c.say(string(h.Name), "%s", what)
}

// records compares the sets on our names, value by value. While a member of the
// list has no host, what its services should say is not known: the others' must be
// there.
func (c *checker) records(spec cluster.Spec, roster cluster.Roster, r cluster.Records) {
	var peers, clients []string
	for _, h := range roster.Members() {
		target := spec.HostName(h.Name) + "."
		peers = append(peers, cluster.Service{Target: target, Port: h.Ports.Peer}.Value())
		clients = append(clients, cluster.Service{Target: target, Port: h.Ports.Client}.Value())
		c.set(r, spec.HostRecord(h.Name, h.Address))
	}
	compare := c.set
	if len(roster.Missing()) > 0 {
		compare = c.holds
	}
	compare(r, cluster.NewRecordSet(spec.ServerService(), cluster.SRV, peers...))
	compare(r, cluster.NewRecordSet(spec.ClientService(), cluster.SRV, clients...))
	for _, name := range spec.RivalServices() {
		if set, ok := r.Get(cluster.Key{Name: name, Type: cluster.SRV}); ok {
			c.say(name, "must not exist beside the set of this cluster's scheme, but holds %s", strings.Join(set.Values, ", "))
		}
	}
}

// holds wants the values of a set to be there, among others.
func (c *checker) holds(r cluster.Records, want cluster.RecordSet) {
	have, _ := r.Get(want.Key)
	for _, v := range want.Values {
		if !slices.Contains(have.Values, v) {
			c.say(want.Name+" "+string(want.Type), "lacks %s", v)
		}
	}
}

func (c *checker) set(have cluster.Records, want cluster.RecordSet) {
	got, ok := have.Get(want.Key)
	where := want.Name + " " + string(want.Type)
	switch {
	case !ok:
		c.say(where, "is missing; want %s", strings.Join(want.Values, ", "))
	case !got.Equal(want):
		c.say(where, "is %s; want %s", strings.Join(got.Values, ", "), strings.Join(want.Values, ", "))
	}
}

// peerURL checks where its peers look for a member, as it tells itself.
func (c *checker) peerURL(spec cluster.Spec, m cluster.Marker, h cluster.Host) {
	want := spec.PeerURL(h.Name, h.Ports.Peer)
	for _, l := range h.View.Or(cluster.View{}).Members {
		if l.ID == spec.MemberID(m, h) && !slices.Equal(l.PeerURLs, []string{want}) {
			c.say(string(h.Name), "is listed with the peer URL %s, want %s", strings.Join(l.PeerURLs, ", "), want)
		}
	}
}

// member checks one member by what it says itself: the one cluster ID, the
// complete member list, a leader, a linearizable read.
func (c *checker) member(m cluster.Marker, h cluster.Host) {
	name := string(h.Name)
	if d := h.Node.Or(cluster.Node{}).Data; d.Born && !d.Present {
		c.say(name, "its data directory %s is gone", h.Paths.Data)
	} else if d.Older {
		c.say(name, "its data directory %s holds an older state: it ends at %s, the member had got to %s", h.Paths.Data, d.Ends, d.Reached)
	}
	if n := h.Node.Or(cluster.Node{}); n.Installed != "" && n.Data.Foreign(n.Made) {
		c.say(name, "its data directory %s holds member %s of cluster %s", h.Paths.Data, n.Data.Member, n.Data.Cluster)
	}
	v, known := h.View.Get()
	if !known {
		c.say(name, "%s", h.View.Why())
		return
	}
	if v.Cluster != m.ID {
		c.say(name, "is in cluster %s, want %s", v.Cluster, m.ID)
	}
	if v.Leader == 0 {
		c.say(name, "knows no leader")
	}
	if v.Learner {
		c.say(name, "is a learner")
	}
	if v.Stalled != "" {
		c.say(name, "serves no linearizable read: %s", v.Stalled)
	}
	for _, e := range v.Errors {
		c.say(name, "reports %s", e)
	}
	for _, a := range v.Alarms {
		c.say(name, "reports %s", a)
	}
	if v.Learner {
		return // it serves no list
	}
	for _, other := range m.Members {
		if !slices.ContainsFunc(v.Members, func(l cluster.Member) bool { return l.Name == other }) {
			c.say(name, "does not list member %s", other)
		}
	}
	for _, l := range v.Members {
		if !m.Has(l.Name) {
			c.say(name, "lists member %s %q, which is not ours", l.ID, l.Name)
		}
	}
}
