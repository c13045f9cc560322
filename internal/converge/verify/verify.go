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
	if s.Control.Copy != "" {
		c.say("state directory", "%s; it is only looked at", s.Control.Copy)
	}
	switch {
	case !s.Records.Known():
		return c.say("records of "+spec.Domain, "unknown: %s", s.Records.Unknown)
	case !s.Hosts.Known():
		return c.say("hosts", "unknown: %s", s.Hosts.Unknown)
	}
	marker, ok := c.marker(spec, s)
	if !ok {
		return c.differences
	}
	c.hosts(marker, s)
	for _, server := range s.Visibility.Value.Behind() {
		for _, line := range server.Behind {
			c.say(fmt.Sprintf("name server %s (%s)", strings.TrimSuffix(server.Name, "."), server.Address), "%s", line)
		}
	}
	c.records(spec, marker, s)
	for _, h := range s.Hosts.Value {
		c.member(marker, h)
	}
	return c.differences
}

type checker struct{ differences []Difference }

func (c *checker) say(where, format string, args ...any) []Difference {
	c.differences = append(c.differences, Difference{Where: where, What: fmt.Sprintf(format, args...)})
	return c.differences
}

func (c *checker) marker(spec cluster.Spec, s cluster.State) (cluster.Marker, bool) {
	m, found, err := spec.Marker(s.Records.Value)
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
	if m.Owner != s.Control.Owner {
		c.say(spec.MarkerName(), "the cluster belongs to owner %s", m.Owner)
	}
	if len(m.Members) != spec.Members {
		c.say(string(spec.Cluster), "has %d members, the spec says %d", len(m.Members), spec.Members)
	}
	return m, true
}

func (c *checker) hosts(m cluster.Marker, s cluster.State) {
	missing := false
	for _, name := range m.Members {
		if !slices.ContainsFunc(s.Hosts.Value, func(h cluster.Host) bool { return h.Name == name }) {
			missing = true
			if len(s.Unseen()) == 0 {
				c.say(string(name), "its host is gone")
			} else {
				c.say(string(name), "its host was not found")
			}
		}
	}
	for _, p := range s.Unseen() {
		if missing {
			c.say(p.String(), "unknown: %s", p.Unknown)
		}
	}
	for _, h := range s.Hosts.Value {
		if h.Copy != "" {
			c.say(string(h.Name), "%s", h.Copy)
		}
		if !h.Node.Known() {
			c.say(string(h.Name), "what is on its host is unknown: %s", h.Node.Unknown)
		}
		for _, d := range h.Node.Value.Drift {
			c.say(string(h.Name), "%s", d)
		}
		if !m.Has(h.Name) || h.Token != m.Token {
			c.say(string(h.Name), "this host is not a member of the cluster")
		}
	}
}

// records compares the sets on our names, value by value. While a member of the
// list has no host, what its services should say is not known: the others' must be
// there.
func (c *checker) records(spec cluster.Spec, m cluster.Marker, s cluster.State) {
	var peers, clients []string
	for _, h := range s.Hosts.Value {
		if !m.Has(h.Name) {
			continue
		}
		target := spec.HostName(h.Name) + "."
		peers = append(peers, cluster.Service{Target: target, Port: h.Ports.Peer}.Value())
		clients = append(clients, cluster.Service{Target: target, Port: h.Ports.Client}.Value())
		c.set(s.Records.Value, spec.HostRecord(h.Name, h.Address))
	}
	compare := c.set
	if len(peers) < len(m.Members) {
		compare = c.holds
	}
	compare(s.Records.Value, cluster.NewRecordSet(spec.ServerService(), cluster.SRV, peers...))
	compare(s.Records.Value, cluster.NewRecordSet(spec.ClientService(), cluster.SRV, clients...))
	for _, name := range spec.RivalServices() {
		if set, ok := s.Records.Value.Get(cluster.Key{Name: name, Type: cluster.SRV}); ok {
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

// member checks one member by what it says itself: the one cluster ID, the
// complete member list, a leader, a linearizable read.
func (c *checker) member(m cluster.Marker, h cluster.Host) {
	name := string(h.Name)
	if d := h.Node.Value.Data; d.Born && !d.Present {
		c.say(name, "its data directory %s is gone", h.Paths.Data)
	} else if d.Older {
		c.say(name, "its data directory %s holds an older state: it ends at %s, the member had got to %s", h.Paths.Data, d.Ends, d.Reached)
	}
	if !h.View.Known() {
		c.say(name, "%s", h.View.Unknown)
		return
	}
	v := h.View.Value
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
	for _, e := range append(slices.Clone(v.Errors), v.Alarms...) {
		c.say(name, "reports %s", e)
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
