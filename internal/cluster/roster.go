package cluster

import (
	"slices"
	"strings"
)

// Roster is the list of members as the marker, the hosts and the records have it,
// joined: one row a name.
type Roster []Row

// Row is what is known of one name.
type Row struct {
	Name MemberName
	// Listed says that the marker lists it.
	Listed bool
	// Host is the host of that name; nil if none was found.
	Host *Host
	// Stranger says that Host is of another incarnation: it carries our claim, and
	// does not run a member of this cluster.
	Stranger bool
	// Published are the records that name it, of: address, server, client.
	Published []string
	// Wrong are those of them that do not say what the host is: another address, or
	// another port. None where there is no host to compare with.
	Wrong []string
}

// Roster joins a marker with the hosts and the records that were seen beside it.
// The rows are sorted by name.
func (s Spec) Roster(m Marker, hosts []Host, r Records) Roster {
	var out Roster
	for _, h := range hosts {
		out = append(out, Row{Name: h.Name, Listed: m.Has(h.Name), Host: &h, Stranger: h.Token != m.Token})
	}
	for _, name := range m.Members {
		if !slices.ContainsFunc(out, func(row Row) bool { return row.Name == name }) {
			out = append(out, Row{Name: name, Listed: true})
		}
	}
	for i := range out {
		out[i].Published = s.published(r, out[i].Name)
		if out[i].Host != nil && !out[i].Stranger {
			out[i].Wrong = s.wrong(r, *out[i].Host)
		}
	}
	slices.SortStableFunc(out, func(a, b Row) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return out
}

func (s Spec) published(r Records, name MemberName) []string {
	var out []string
	if slices.ContainsFunc([]RecordType{A, AAAA}, func(kind RecordType) bool {
		_, found := r.Get(Key{Name: s.HostName(name) + ".", Type: kind})
		return found
	}) {
		out = append(out, "address")
	}
	if _, found := s.port(r, s.ServerService(), name); found {
		out = append(out, "server")
	}
	if _, found := s.port(r, s.ClientService(), name); found {
		out = append(out, "client")
	}
	return out
}

// wrong are the records of a host that say something else than it is; none while it has
// no address.
func (s Spec) wrong(r Records, h Host) []string {
	if !h.Address.IsValid() {
		return nil
	}
	var out []string
	want := s.HostRecord(h.Name, h.Address)
	if slices.ContainsFunc([]RecordType{A, AAAA}, func(kind RecordType) bool {
		have, found := r.Get(Key{Name: want.Name, Type: kind})
		return found && !have.Equal(want)
	}) {
		out = append(out, "address")
	}
	if port, found := s.port(r, s.ServerService(), h.Name); found && port != h.Ports.Peer {
		out = append(out, "server")
	}
	if port, found := s.port(r, s.ClientService(), h.Name); found && port != h.Ports.Client {
		out = append(out, "client")
	}
	return out
}

// Member is the host of a name, if it was found.
func (r Roster) Member(name MemberName) (Host, bool) {
	i := slices.IndexFunc(r, func(row Row) bool { return row.Name == name && row.Host != nil && !row.Stranger })
	if i < 0 {
		return Host{}, false
	}
	return *r[i].Host, true
}

// Members are the hosts of the members that the marker lists.
func (r Roster) Members() []Host {
	return r.hosts(func(row Row) bool { return row.Listed && !row.Stranger })
}

// Strangers are the hosts of other incarnations.
func (r Roster) Strangers() []Host { return r.hosts(func(row Row) bool { return row.Stranger }) }

// Unlisted are the hosts of this incarnation that the marker does not list.
func (r Roster) Unlisted() []Host {
	return r.hosts(func(row Row) bool { return !row.Listed && !row.Stranger })
}

func (r Roster) hosts(which func(Row) bool) []Host {
	var out []Host
	for _, row := range r {
		if row.Host != nil && which(row) {
			out = append(out, *row.Host)
		}
	}
	return out
}

// Missing are the members that the marker lists and whose host was not found.
func (r Roster) Missing() []MemberName {
	var out []MemberName
	for _, row := range r {
		if row.Listed && (row.Host == nil || row.Stranger) {
			out = append(out, row.Name)
		}
	}
	return out
}
