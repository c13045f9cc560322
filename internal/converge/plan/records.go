package plan

import (
	"fmt"
	"slices"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// wanted are the record sets that the members of a cluster need (rule R8): an
// address each, the server SRV set with exactly the members and, once the cluster is
// sealed, the client SRV set with those that neither join nor leave. A member whose
// host was not found stays in the services as it is.
func (s situation) wanted(sealed bool) []cluster.RecordSet {
	var sets []cluster.RecordSet
	var peers, clients []string
	for _, name := range s.marker.Members {
		m, found := s.roster.Member(name)
		if found {
			sets = append(sets, s.spec.HostRecord(name, m.Address))
		} else {
			m.Ports = s.spec.Published(s.records, name)
		}
		target := s.spec.HostName(name) + "."
		if s.belongs(name) && m.Ports.Peer != 0 {
			peers = append(peers, cluster.Service{Target: target, Port: m.Ports.Peer}.Value())
		}
		if s.belongs(name) && !s.changing(name) && m.Ports.Client != 0 {
			clients = append(clients, cluster.Service{Target: target, Port: m.Ports.Client}.Value())
		}
	}
	// A list of nobody is never published: where nothing says where the members are,
	// what stands there stays.
	if len(peers) > 0 {
		sets = append(sets, cluster.NewRecordSet(s.spec.ServerService(), cluster.SRV, peers...))
	}
	if sealed && len(clients) > 0 {
		sets = append(sets, cluster.NewRecordSet(s.spec.ClientService(), cluster.SRV, clients...))
	}
	return sets
}

// intruder is what stands on our names and pleiad did not write.
type intruder struct {
	why string
	// set holds the values that are not ours, and they alone.
	set cluster.RecordSet
}

// changes turn the observed record sets into the wanted ones. What is absent
// is added and what is ours is corrected, but a value that is not ours is a
// conflict: it is printed and nothing is written (rule R10).
func (s situation) changes(want []cluster.RecordSet) ([]cluster.Change, []intruder) {
	var out, standing []cluster.Change
	conflicts := s.rivals()
	for _, w := range want {
		have, exists := s.records.Get(w.Key)
		switch {
		case !exists:
			out = append(out, cluster.Change{Key: w.Key, New: &w})
		case have.Equal(w):
			standing = append(standing, cluster.Change{Key: w.Key, Old: &have, New: &have})
		case len(s.foreign(have, w)) > 0:
			conflicts = append(conflicts, s.foreign(have, w)...)
		default:
			out = append(out, cluster.Change{Key: w.Key, Old: &have, New: &w})
		}
	}
	if len(out) > 0 {
		// A service is published only while the addresses it names stand.
		out = append(out, standing...)
	}
	return out, conflicts
}

// foreign is what in an observed set pleiad never wrote: an address other
// than the host's, or a service that is not a member of this incarnation. The
// host's address behind a proxy is ours, switched by somebody.
func (s situation) foreign(have, want cluster.RecordSet) []intruder {
	var out []intruder
	for _, v := range have.Values {
		if slices.Contains(want.Values, v) || slices.ContainsFunc(want.Values, func(w string) bool { return v == cluster.Proxied(w) }) {
			continue
		}
		if _, ours := s.ourService(v); ours && have.Type == cluster.SRV {
			continue
		}
		out = append(out, intruder{set: cluster.NewRecordSet(have.Name, have.Type, v),
			why: fmt.Sprintf("%s %s holds %q, which pleiad did not write; want %s", have.Name, have.Type, v, want)})
	}
	return out
}

func (s situation) ourService(value string) (cluster.MemberName, bool) {
	service, err := cluster.ParseService(value)
	if err != nil {
		return "", false
	}
	m, ok := s.spec.MemberOf(service.Target)
	return m, ok && s.marker != nil && (s.marker.Has(m) || slices.Contains(s.marker.Left, m))
}

// rivals are record sets on our names that must not exist beside ours: the SRV
// sets of the other scheme, which etcd would mix in, and addresses of the
// other family on a member's name.
func (s situation) rivals() []intruder {
	var out []intruder
	for _, set := range s.records.Sets {
		if slices.Contains(s.spec.RivalServices(), set.Name) {
			out = append(out, intruder{set: set, why: set.String() + " exists beside the set with the scheme of this cluster; etcd would read both"})
		}
	}
	for _, h := range s.hosts {
		other := cluster.AAAA
		if h.Address.Is6() {
			other = cluster.A
		}
		if set, ok := s.records.Get(cluster.Key{Name: s.spec.HostName(h.Name) + ".", Type: other}); ok {
			out = append(out, intruder{set: set, why: set.String() + " is a second address of a member"})
		}
	}
	return out
}

// advance is the change that moves the marker, which every change set holds.
func (s situation) advance(edit func(*cluster.Marker)) cluster.Change {
	next := s.marker.Next(edit)
	set := cluster.NewRecordSet(s.spec.MarkerName(), cluster.TXT, next.String())
	return cluster.Change{Key: set.Key, Old: s.stored, New: &set}
}

// claim is the first change of a cluster's life: the marker where none was,
// provided that nothing at all is on our names.
func claim(spec cluster.Spec, control cluster.Control, token cluster.Token, members []cluster.MemberName, phase cluster.Phase) []cluster.Change {
	m := cluster.Marker{Cluster: spec.Cluster, Owner: control.Owner, Generation: 1, Token: token, Phase: phase, CA: control.CA}
	m.Members = slices.Sorted(slices.Values(members))
	set := cluster.NewRecordSet(spec.MarkerName(), cluster.TXT, m.String())
	changes := []cluster.Change{{Key: set.Key, New: &set}}
	if phase != cluster.Bootstrapping {
		return changes
	}
	for _, name := range append([]string{spec.ServerService(), spec.ClientService()}, spec.RivalServices()...) {
		changes = append(changes, cluster.Change{Key: cluster.Key{Name: name, Type: cluster.SRV}})
	}
	for _, n := range m.Members {
		for _, kind := range []cluster.RecordType{cluster.A, cluster.AAAA} {
			changes = append(changes, cluster.Change{Key: cluster.Key{Name: spec.HostName(n) + ".", Type: kind}})
		}
	}
	return changes
}
