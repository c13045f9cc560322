package cluster

import (
	"errors"
	"fmt"
	"maps"
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
	// IDs are those of the members that joined the sealed cluster: etcd chose them
	// when they were added. Founders are not here; see [Spec.MemberID].
	IDs map[MemberName]MemberID
	// ID is the cluster ID computed from the members and the token once their
	// ports are known; 0 before.
	ID ID
	// CA is the fingerprint of the cluster's CA, empty when TLS is off.
	CA string
	// Op is the one operation on a sealed cluster that is in flight.
	Op Operation
	// Left are the names of members that left and whose addresses are still in DNS,
	// sorted: caches may hold services that name them (rule R8).
	Left []MemberName
	// Changes counts how often a member has joined or left since the cluster was
	// sealed. With the first one, ID no longer follows from Members.
	Changes uint64
}

// Operation is what a controller has begun to do to a member of a sealed
// cluster. As long as it stands on the marker, no controller begins another
// (rules R4, R5). The zero value is no operation.
type Operation struct {
	Kind   OperationKind `json:"kind"`
	Member MemberName    `json:"member"`
	// For is the member that leaves once Member has joined in its place; empty for
	// none, and unless Kind is Add.
	For MemberName `json:"for,omitempty"`
	// With is the digest of what the member is to be started with, and unless Kind is
	// Restart empty: controllers that want different things know of each other by it.
	With string `json:"with,omitempty"`
}

// OperationKind is what is done to the member.
type OperationKind string

const (
	// Restart stops the member and starts it with the options of the spec.
	Restart OperationKind = "restart"
	// Add makes a new member join.
	Add OperationKind = "add"
	// Remove makes a member leave.
	Remove OperationKind = "remove"
)

// String is the operation on the marker.
func (o Operation) String() string {
	text := string(o.Kind) + ":" + string(o.Member)
	if rest := string(o.For) + o.With; rest != "" {
		text += ":" + rest
	}
	return text
}

func parseOperation(text string) (Operation, error) {
	kind, rest, _ := strings.Cut(text, ":")
	member, more, long := strings.Cut(rest, ":")
	o := Operation{Kind: OperationKind(kind), Member: MemberName(member)}
	if !slices.Contains([]OperationKind{Restart, Add, Remove}, o.Kind) || member == "" || long && (o.Kind == Remove || more == "") {
		return o, fmt.Errorf("op %q: want %s:MEMBER:DIGEST, %s:MEMBER, %s:MEMBER:MEMBER or %s:MEMBER", text, Restart, Add, Add, Remove)
	}
	if o.Kind == Restart {
		o.With = more
	} else {
		o.For = MemberName(more)
	}
	return o, nil
}

// String is the marker's TXT value.
func (m Marker) String() string {
	names := make([]string, len(m.Members))
	for i, n := range m.Members {
		names[i] = string(n)
		if id, joined := m.IDs[n]; joined {
			names[i] += ":" + id.String()
		}
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
	if m.Op != (Operation{}) {
		fields = append(fields, "op="+m.Op.String())
	}
	if len(m.Left) > 0 {
		fields = append(fields, "left="+join(m.Left))
	}
	if m.Changes > 0 {
		fields = append(fields, "changes="+strconv.FormatUint(m.Changes, 10))
	}
	return strings.Join(fields, " ")
}

func join(names []MemberName) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = string(n)
	}
	return strings.Join(out, ",")
}

// readMembers reads the list of members: NAME, or NAME:ID of one that joined.
func (m *Marker) readMembers(text string) error {
	for entry := range strings.SplitSeq(text, ",") {
		name, hex, joined := strings.Cut(entry, ":")
		if entry == "" {
			continue
		}
		m.Members = append(m.Members, MemberName(name))
		if !joined {
			continue
		}
		id, err := strconv.ParseUint(hex, 16, 64)
		if err != nil || id == 0 || name == "" {
			return fmt.Errorf("members: %q: want NAME or NAME:ID", entry)
		}
		if m.IDs == nil {
			m.IDs = map[MemberName]MemberID{}
		}
		m.IDs[MemberName(name)] = MemberID(id)
	}
	return nil
}

func (m *Marker) readChanges(left, changes string) (err error) {
	for name := range strings.SplitSeq(left, ",") {
		if name != "" {
			m.Left = append(m.Left, MemberName(name))
		}
	}
	if changes == "" {
		return nil
	}
	if m.Changes, err = strconv.ParseUint(changes, 10, 64); err != nil {
		return fmt.Errorf("changes: %w", err)
	}
	return nil
}

// MemberID is the ID of the member on a host: the one that etcd chose when it
// joined, or the one that follows from its peer URL if it is a founder.
func (s Spec) MemberID(m Marker, h Host) MemberID {
	if id, joined := m.IDs[h.Name]; joined {
		return id
	}
	return BootstrapMemberID(s.PeerURL(h.Name, h.Ports.Peer), m.Token)
}

// Has says whether a member's records are ours.
func (m Marker) Has(n MemberName) bool { return slices.Contains(m.Members, n) }

// Next is the marker with the next generation, changed by edit.
func (m Marker) Next(edit func(*Marker)) Marker {
	m.Generation++
	m.Members, m.IDs, m.Left = slices.Clone(m.Members), maps.Clone(m.IDs), slices.Clone(m.Left)
	edit(&m)
	slices.Sort(m.Members)
	slices.Sort(m.Left)
	return m
}

// MarkerKey is the key of the marker's record set.
func (s Spec) MarkerKey() Key { return Key{Name: s.MarkerName(), Type: TXT} }

// Marker reads the marker among the records of a cluster. It is false if there
// is none, and an error if something else is in its place; see [ReadMarker].
func (s Spec) Marker(r Records) (Marker, bool, error) {
	set, ok := r.Get(s.MarkerKey())
	if !ok {
		return Marker{}, false, nil
	}
	m, err := ReadMarker(set)
	return m, err == nil, err
}

// ErrManyValues is the error of a marker's record set that holds more than the
// marker.
var ErrManyValues = errors.New("want one marker")

// ReadMarker reads the record set of a marker. It must hold one value, which is
// a marker of our version: anything else is somebody else's and is left alone.
func ReadMarker(set RecordSet) (Marker, error) {
	if len(set.Values) != 1 {
		return Marker{}, fmt.Errorf("%s TXT holds %d values, %w: %s", set.Name, len(set.Values), ErrManyValues, strings.Join(set.Values, " | "))
	}
	return ParseMarker(set.Values[0])
}

// ParseMarker reads a marker's TXT value. A field that we do not know is an
// error like a version that we do not know: we would lose it with the next
// change, and whatever it forbids we would do.
func ParseMarker(text string) (Marker, error) {
	var m Marker
	known := []string{"v", "cluster", "owner", "gen", "token", "state", "members", "id", "ca", "op", "left", "changes"}
	seen, unknown := map[string]string{}, ""
	for _, f := range strings.Fields(text) {
		key, value, ok := strings.Cut(f, "=")
		if !ok {
			return m, fmt.Errorf("marker %q: field %q is not key=value", text, f)
		}
		if _, twice := seen[key]; twice {
			return m, fmt.Errorf("marker %q: %s is given twice", text, key)
		}
		seen[key] = value
		if unknown == "" && !slices.Contains(known, key) {
			unknown = key
		}
	}
	if seen["v"] != strconv.Itoa(MarkerVersion) {
		return m, fmt.Errorf("marker %q: version %q, this pleiad reads version %d", text, seen["v"], MarkerVersion)
	}
	if unknown != "" {
		return m, fmt.Errorf("marker %q: this pleiad does not know the field %q", text, unknown)
	}
	gen, err := strconv.ParseUint(seen["gen"], 10, 64)
	if err != nil {
		return m, fmt.Errorf("marker %q: gen: %w", text, err)
	}
	m = Marker{Cluster: Name(seen["cluster"]), Owner: Owner(seen["owner"]), Generation: gen,
		Token: Token(seen["token"]), Phase: Phase(seen["state"]), CA: seen["ca"]}
	if err := m.readMembers(seen["members"]); err != nil {
		return m, fmt.Errorf("marker %q: %w", text, err)
	}
	if seen["id"] != "" {
		id, err := strconv.ParseUint(seen["id"], 16, 64)
		if err != nil {
			return m, fmt.Errorf("marker %q: id: %w", text, err)
		}
		m.ID = ID(id)
	}
	if seen["op"] != "" {
		if m.Op, err = parseOperation(seen["op"]); err != nil {
			return m, fmt.Errorf("marker %q: %w", text, err)
		}
	}
	if err := m.readChanges(seen["left"], seen["changes"]); err != nil {
		return m, fmt.Errorf("marker %q: %w", text, err)
	}
	if m.Cluster == "" || m.Owner == "" || m.Token == "" || !slices.Contains([]Phase{Bootstrapping, Sealed, Destroying}, m.Phase) {
		return m, fmt.Errorf("marker %q: cluster, owner, token or state is missing or unknown", text)
	}
	return m, nil
}
