package cluster

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Phase is where one incarnation of a cluster stands; it only moves forward.
//
//	(none) ──claim──▶ bootstrapping ──seal──▶ sealed
//	                        └────────┬──────────┘
//	                                 └──destroy──▶ destroying ──▶ (none)
type Phase string

// The phases on the marker (rule R2).
const (
	Bootstrapping Phase = "bootstrapping"
	Sealed        Phase = "sealed"
	Destroying    Phase = "destroying"
)

// MarkerVersion is the version of the marker's format that we write.
const MarkerVersion = 1

// Marker is the TXT record set that says whose the records of a cluster are.
// It is written in every change of records, with the next generation, so that
// one of two concurrent writers always loses (rule R11).
type Marker struct {
	Cluster    Name
	Owner      Owner
	Generation uint64
	Token      Token
	Phase      Phase
	// Members are the names of all members whose records are ours, sorted.
	Members []MemberName
	// ID is the cluster ID computed from the members and the token once their
	// ports are known; 0 before.
	ID ID
	// CA is the fingerprint of the cluster's CA, empty when TLS is off.
	CA string
	// Turn is the one member of a sealed cluster that may be stopped for a
	// restart (rule R5), empty while none is due.
	Turn MemberName
}

// String is the marker's TXT value.
func (m Marker) String() string {
	names := make([]string, len(m.Members))
	for i, n := range m.Members {
		names[i] = string(n)
	}
	fields := []string{
		"v=" + strconv.Itoa(MarkerVersion),
		"cluster=" + string(m.Cluster),
		"owner=" + string(m.Owner),
		"gen=" + strconv.FormatUint(m.Generation, 10),
		"token=" + string(m.Token),
		"state=" + string(m.Phase),
		"members=" + strings.Join(names, ","),
	}
	if m.ID != 0 {
		fields = append(fields, "id="+m.ID.String())
	}
	if m.CA != "" {
		fields = append(fields, "ca="+m.CA)
	}
	if m.Turn != "" {
		fields = append(fields, "turn="+string(m.Turn))
	}
	return strings.Join(fields, " ")
}

// Has says whether a member's records are ours.
func (m Marker) Has(n MemberName) bool { return slices.Contains(m.Members, n) }

// Next is the marker with the next generation, changed by edit.
func (m Marker) Next(edit func(*Marker)) Marker {
	m.Generation++
	m.Members = slices.Clone(m.Members)
	edit(&m)
	slices.Sort(m.Members)
	return m
}

// ParseMarker reads a marker's TXT value. A value that is no marker, or one
// of a newer version, is an error: it is somebody else's and is left alone.
func ParseMarker(text string) (Marker, error) {
	var m Marker
	seen := map[string]string{}
	for _, f := range strings.Fields(text) {
		key, value, ok := strings.Cut(f, "=")
		if !ok {
			return m, fmt.Errorf("marker %q: field %q is not key=value", text, f)
		}
		if _, twice := seen[key]; twice {
			return m, fmt.Errorf("marker %q: %s is given twice", text, key)
		}
		seen[key] = value
	}
	if seen["v"] != strconv.Itoa(MarkerVersion) {
		return m, fmt.Errorf("marker %q: version %q, this pleiad reads version %d", text, seen["v"], MarkerVersion)
	}
	gen, err := strconv.ParseUint(seen["gen"], 10, 64)
	if err != nil {
		return m, fmt.Errorf("marker %q: gen: %w", text, err)
	}
	m = Marker{Cluster: Name(seen["cluster"]), Owner: Owner(seen["owner"]), Generation: gen,
		Token: Token(seen["token"]), Phase: Phase(seen["state"]), CA: seen["ca"], Turn: MemberName(seen["turn"])}
	for _, n := range strings.Split(seen["members"], ",") {
		if n != "" {
			m.Members = append(m.Members, MemberName(n))
		}
	}
	if seen["id"] != "" {
		id, err := strconv.ParseUint(seen["id"], 16, 64)
		if err != nil {
			return m, fmt.Errorf("marker %q: id: %w", text, err)
		}
		m.ID = ID(id)
	}
	if m.Cluster == "" || m.Owner == "" || m.Token == "" || !slices.Contains([]Phase{Bootstrapping, Sealed, Destroying}, m.Phase) {
		return m, fmt.Errorf("marker %q: cluster, owner, token or state is missing or unknown", text)
	}
	return m, nil
}
