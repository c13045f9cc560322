package cluster

import (
	"net/netip"
	"slices"
)

// Visibility is how far the records that the primary shows have come: what
// each authoritative server of the zone answers, compared with them. It
// explains why a host does not see a record yet; whether the host does is
// decided on the host alone (rule R3).
type Visibility struct {
	Servers []AuthoritativeServer `json:"servers"` // sorted by name, then address
	// Notes are what a person should know about the zone's name servers beyond
	// their answers, a line each: a hidden primary, another zone of the same
	// name, a name server without address.
	Notes []string `json:"notes,omitempty"`
}

// AuthoritativeServer is one address of one name server of the zone. It agrees
// if both Behind and Unknown are empty.
type AuthoritativeServer struct {
	Name    string     `json:"name"` // the host in the NS record, lower case, with trailing dot
	Address netip.Addr `json:"address"`
	// Behind are the record sets that differ, a line each: what it shows and
	// what it should. Empty if all are right.
	Behind []string `json:"behind,omitempty"`
	// Unknown is why it could not be asked, or gave no answer that counts; then
	// Behind is empty, since nothing is known.
	Unknown string `json:"unknown,omitempty"`
}

// Behind are the servers that show other records than the primary.
func (v Visibility) Behind() []AuthoritativeServer {
	return v.where(func(s AuthoritativeServer) bool { return len(s.Behind) > 0 })
}

// Unknown are the servers that gave no answer that counts.
func (v Visibility) Unknown() []AuthoritativeServer {
	return v.where(func(s AuthoritativeServer) bool { return s.Unknown != "" })
}

func (v Visibility) where(which func(AuthoritativeServer) bool) []AuthoritativeServer {
	return slices.DeleteFunc(slices.Clone(v.Servers), func(s AuthoritativeServer) bool { return !which(s) })
}
