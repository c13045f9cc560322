package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// RecordType is a DNS record type that pleiad writes.
type RecordType string

// The record types of the one list.
const (
	A    RecordType = "A"
	AAAA RecordType = "AAAA"
	SRV  RecordType = "SRV"
	TXT  RecordType = "TXT"
)

// TTL of every record pleiad writes, in seconds: the least that all providers
// accept, since a record lives on in resolvers for as long as this.
const TTL uint32 = 60

// Key names a record set.
type Key struct {
	Name string     `json:"name"` // lower case, complete, with trailing dot
	Type RecordType `json:"type"`
}

// RecordSet is all records of one name and type (RFC 2181, section 5). It is
// canonical: name and host names in values are lower case and complete with a
// trailing dot; values are sorted and distinct, in presentation format; the
// value of a TXT record is its text, unquoted, its strings joined.
type RecordSet struct {
	Key
	TTL    uint32   `json:"ttl"`
	Values []string `json:"values"`
}

// NewRecordSet makes a canonical record set with our TTL.
func NewRecordSet(name string, kind RecordType, values ...string) RecordSet {
	return RecordSet{Key: Key{Name: strings.ToLower(name), Type: kind}, TTL: TTL, Values: canonicalValues(kind, values)}
}

// Canonical is the record set in canonical form; see [RecordSet].
func (r RecordSet) Canonical() RecordSet {
	return RecordSet{Key: Key{Name: strings.ToLower(r.Name), Type: r.Type}, TTL: r.TTL, Values: canonicalValues(r.Type, r.Values)}
}

func canonicalValues(kind RecordType, values []string) []string {
	out := slices.Clone(values)
	if kind != TXT {
		for i := range out {
			out[i] = strings.ToLower(out[i])
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Equal compares name, type and values; not the TTL, which providers round.
func (r RecordSet) Equal(o RecordSet) bool {
	return r.Key == o.Key && slices.Equal(r.Values, o.Values)
}

// String prints the set on one line, for plans and refusals.
func (r RecordSet) String() string {
	return fmt.Sprintf("%s %s [%s]", r.Name, r.Type, strings.Join(r.Values, ", "))
}

// Proxied is the value of an address record that answers with addresses of the
// provider's own proxy in place of its content, as a switch in some providers'
// dashboards has it. It is no address, so nobody takes it for one; a record like
// this is ours if its content is, and is repaired.
func Proxied(address string) string { return address + " proxied" }

// Service is one SRV value (RFC 2782). Priority and weight are always 0:
// etcd ignores both.
type Service struct {
	Target string // lower case, with trailing dot
	Port   uint16
}

// Value is the presentation format of the SRV data.
func (s Service) Value() string { return fmt.Sprintf("0 0 %d %s", s.Port, s.Target) }

// ParseService reads the presentation format of SRV data.
func ParseService(value string) (Service, error) {
	f := strings.Fields(value)
	if len(f) != 4 {
		return Service{}, fmt.Errorf("SRV data %q: want priority, weight, port, target", value)
	}
	port, err := strconv.ParseUint(f[2], 10, 16)
	if err != nil {
		return Service{}, fmt.Errorf("SRV data %q: port: %w", value, err)
	}
	return Service{Target: strings.ToLower(f[3]), Port: uint16(port)}, nil
}

// Records is a snapshot of the record sets on our names: those that exist,
// sorted by name and type.
type Records struct {
	Sets []RecordSet `json:"sets"`
}

// Get is the record set under a key, or false if it does not exist.
func (r Records) Get(k Key) (RecordSet, bool) {
	for _, s := range r.Sets {
		if s.Key == k {
			return s, true
		}
	}
	return RecordSet{}, false
}

// With is the snapshot after a change set has been applied.
func (r Records) With(changes []Change) Records {
	out := slices.Clone(r.Sets)
	for _, c := range changes {
		out = slices.DeleteFunc(out, func(s RecordSet) bool { return s.Key == c.Key })
		if c.New != nil {
			out = append(out, *c.New)
		}
	}
	slices.SortFunc(out, func(a, b RecordSet) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(string(a.Type), string(b.Type)))
	})
	return Records{Sets: out}
}

// Change turns one record set into another. Old is what was observed and is
// the guard: the change is made only if the set is exactly that (rule R11).
// Old nil means the set must not exist; New nil deletes it.
type Change struct {
	Key
	Old *RecordSet `json:"old,omitempty"`
	New *RecordSet `json:"new,omitempty"`
}

// String prints a change for people.
func (c Change) String() string {
	switch {
	case c.Old == nil && c.New == nil:
		return fmt.Sprintf("expect no %s %s", c.Name, c.Type)
	case c.Old == nil:
		return "add " + c.New.String()
	case c.New == nil:
		return "delete " + c.Old.String()
	case c.Old.Equal(*c.New):
		return "expect " + c.Old.String()
	}
	return fmt.Sprintf("change %s [%s] to [%s]", c.Old.Key.Name+" "+string(c.Old.Type), strings.Join(c.Old.Values, ", "), strings.Join(c.New.Values, ", "))
}
