package route53fake

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// batch is the body of a ChangeResourceRecordSets. What is in none of the fields is
// refused.
type batch struct {
	XMLName xml.Name
	Comment string       `xml:"ChangeBatch>Comment"`
	Changes []changeBody `xml:"ChangeBatch>Changes>Change"`
	Others  []unknown    `xml:",any"`
}

type changeBody struct {
	Action string
	Set    struct {
		Name       string
		Type       string
		TTL        *int64
		Identifier string `xml:"SetIdentifier"`
		Records    []struct {
			Value  string
			Others []unknown `xml:",any"`
		} `xml:"ResourceRecords>ResourceRecord"`
		Others []unknown `xml:",any"`
	} `xml:"ResourceRecordSet"`
	Others []unknown `xml:",any"`
}

type unknown struct{ XMLName xml.Name }

func parse(body []byte) (*batch, *refusal) {
	b := &batch{}
	if err := xml.Unmarshal(body, b); err != nil {
		return nil, refuse(http.StatusBadRequest, "MalformedInput", "Unexpected complex element: %v", err)
	}
	others := b.Others
	for _, c := range b.Changes {
		others = append(append(others, c.Others...), c.Set.Others...)
		for _, r := range c.Set.Records {
			others = append(others, r.Others...)
		}
	}
	switch {
	case b.XMLName != xml.Name{Space: namespace, Local: "ChangeResourceRecordSetsRequest"}:
		return nil, refuse(http.StatusBadRequest, "MalformedInput", "Unexpected element %v", b.XMLName)
	case len(others) > 0:
		return nil, refuse(http.StatusBadRequest, "MalformedInput", "Unexpected element %s", others[0].XMLName.Local)
	case len(b.Changes) == 0 || len(b.Comment) > 256:
		return nil, refuse(http.StatusBadRequest, "InvalidInput", "1 validation error detected")
	}
	return b, nil
}

// about is what a batch changes, as IAM sees it.
func (b *batch) about() (names, types, actions []string) {
	for _, c := range b.Changes {
		names, types, actions = append(names, plain(c.Set.Name)), append(types, c.Set.Type), append(actions, c.Action)
	}
	return names, types, actions
}

// change carries out a batch, or nothing of it.
func (f *Fake) change(z *zone, b *batch) (any, *refusal) {
	if bad := b.tooLarge(); bad != nil {
		return nil, bad
	}
	sets, deleted := slices.Clone(z.sets), map[string]bool{}
	var wrong []string
	for _, c := range b.Changes {
		s := Set{Name: spelt(c.Set.Name), Type: c.Set.Type, Identifier: c.Set.Identifier}
		for _, r := range c.Set.Records {
			s.Values = append(s.Values, r.Value)
		}
		if why := z.invalid(s, c); why != "" {
			wrong = append(wrong, why)
			continue
		}
		s.TTL = *c.Set.TTL
		why := ""
		switch c.Action {
		case "DELETE":
			if deleted[s.place()] {
				why = "The request contains an invalid set of changes for a resource record set " + called(s)
			}
			deleted[s.place()] = true
			if why == "" {
				sets, why = without(sets, s)
			}
		case "CREATE":
			sets, why = with(z, sets, s)
		}
		if why != "" {
			wrong = append(wrong, why)
		}
	}
	if wrong != nil {
		return nil, &refusal{http.StatusBadRequest, "InvalidChangeBatch", wrong}
	}
	z.sets = sets
	id := f.id("C")
	f.changes[id] = f.pending
	return changedXML{changeInfo: infoOf(id, "PENDING")}, nil
}

func called(s Set) string { return fmt.Sprintf("[name='%s', type='%s']", s.Name, s.Type) }

// without is a list without a set that must be in it, exactly.
func without(sets []Set, s Set) ([]Set, string) {
	at := slices.IndexFunc(sets, s.same)
	switch {
	case at < 0:
		return sets, "Tried to delete resource record set " + called(s) + " but it was not found"
	case !sets[at].equal(s):
		return sets, "Tried to delete resource record set " + called(s) + " but the values provided do not match the current values"
	}
	return slices.Delete(sets, at, at+1), ""
}

// with is a list with a set that must not be in it.
func with(z *zone, sets []Set, s Set) ([]Set, string) {
	for _, other := range sets {
		switch {
		case other.Name != s.Name:
		case other.Type == s.Type && other.Identifier != s.Identifier:
			return sets, fmt.Sprintf("RRSet with DNS name %s, type %s, SetIdentifier %s cannot be created as other RRSets exist with the same name and type.", s.Name, s.Type, s.Identifier)
		case other.Type == s.Type:
			return sets, "Tried to create resource record set " + called(s) + " but it already exists"
		case other.Type == "CNAME":
			return sets, fmt.Sprintf("RRSet of type %s with DNS name %s is not permitted because a conflicting RRSet of type  CNAME with the same DNS name already exists in zone %s.", s.Type, s.Name, spelt(z.Name))
		}
	}
	return append(sets, s), ""
}

// invalid says what is wrong with a set whatever else there is.
func (z *zone) invalid(s Set, c changeBody) string {
	name := plain(s.Name)
	switch {
	case c.Action != "DELETE" && c.Action != "CREATE": // the service knows UPSERT, too; pleiad must not use it
		return fmt.Sprintf("Invalid action %s", c.Action)
	case name != z.Name && !strings.HasSuffix(name, "."+z.Name):
		return fmt.Sprintf("RRSet with DNS name %s is not permitted in zone %s", s.Name, spelt(z.Name))
	case c.Set.TTL == nil || *c.Set.TTL < 0 || *c.Set.TTL > 1<<31-1:
		return "Invalid request: Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords], or TrafficPolicyInstanceId]"
	case len(s.Values) == 0:
		return "Invalid request: Missing field 'ResourceRecords'"
	}
	for i, v := range s.Values {
		if slices.Contains(s.Values[:i], v) {
			return fmt.Sprintf("Duplicate Resource Record: '%s'", v)
		}
		if why := invalidValue(s.Type, v); why != "" {
			return fmt.Sprintf("Invalid Resource Record: '%s' with value '%s'", why, v)
		}
	}
	return ""
}

func invalidValue(kind, v string) string {
	switch kind {
	case "A", "AAAA":
		addr, err := netip.ParseAddr(v)
		if err != nil || addr.Is4() != (kind == "A") || addr.Zone() != "" {
			return "ARRDATAIllegalIPv4Address"
		}
	case "SRV":
		f := strings.Fields(v)
		if len(f) != 4 {
			return "SRVRRDATAIllegal"
		}
		for _, number := range f[:3] {
			if _, err := strconv.ParseUint(number, 10, 16); err != nil {
				return "SRVRRDATAIllegal"
			}
		}
	case "TXT":
		if !quotedStrings(v) {
			return "InvalidCharacterString (Value should be enclosed in quotation marks)"
		}
	default:
		return "a type that this fake does not write"
	}
	return ""
}

// quotedStrings says whether a value is strings in quotes, each of at most 255 bytes,
// with octal codes for what is not printable, at most 4000 characters altogether.
func quotedStrings(v string) bool {
	length, inside, strings := 0, false, 0
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case c == '"':
			inside = !inside
			if length = 0; inside {
				strings++
			}
		case !inside && c != ' ', c < ' ' || c > '~':
			return false
		case c == '\\':
			code := i+3 < len(v) && '0' <= v[i+1] && v[i+1] <= '3' && '0' <= v[i+2] && v[i+2] <= '7' && '0' <= v[i+3] && v[i+3] <= '7'
			switch {
			case code:
				i += 3
			case i+1 < len(v) && (v[i+1] == '"' || v[i+1] == '\\'):
				i++
			default:
				return false
			}
			length++
		case inside:
			length++
		}
		if length > 255 {
			return false
		}
	}
	return !inside && strings > 0 && len(v) <= 4000
}

// tooLarge says that a request has more than the service takes.
func (b *batch) tooLarge() *refusal {
	values, characters := 0, 0
	for _, c := range b.Changes {
		for _, r := range c.Set.Records {
			values++
			characters += len(r.Value)
		}
	}
	if values > 1000 {
		return &refusal{http.StatusBadRequest, "InvalidChangeBatch", []string{"Number of records limit of 1000 exceeded."}}
	}
	if characters > 32000 {
		return &refusal{http.StatusBadRequest, "InvalidChangeBatch", []string{"RDATA characters limit of 32000 exceeded."}}
	}
	return nil
}
