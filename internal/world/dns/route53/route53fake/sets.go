package route53fake

import (
	"encoding/xml"
	"net/http"
	"slices"
)

type setXML struct {
	Name        string
	Type        string
	Identifier  string    `xml:"SetIdentifier,omitempty"`
	Weight      *int64    `xml:",omitempty"`
	TTL         *int64    `xml:",omitempty"`
	Values      []value   `xml:"ResourceRecords>ResourceRecord,omitempty"`
	Alias       *aliasXML `xml:"AliasTarget,omitempty"`
	HealthCheck string    `xml:"HealthCheckId,omitempty"`
}

type value struct{ Value string }

type aliasXML struct {
	Zone     string `xml:"HostedZoneId"`
	Name     string `xml:"DNSName"`
	Evaluate bool   `xml:"EvaluateTargetHealth"`
}

type setsXML struct {
	XMLName        xml.Name `xml:"https://route53.amazonaws.com/doc/2013-04-01/ ListResourceRecordSetsResponse"`
	Sets           []setXML `xml:"ResourceRecordSets>ResourceRecordSet"`
	Truncated      bool     `xml:"IsTruncated"`
	NextName       string   `xml:"NextRecordName,omitempty"`
	NextType       string   `xml:"NextRecordType,omitempty"`
	NextIdentifier string   `xml:"NextRecordIdentifier,omitempty"`
	MaxItems       int
}

func (s Set) shown() setXML {
	out := setXML{Name: s.Name, Type: s.Type, Identifier: s.Identifier, HealthCheck: s.HealthCheck}
	if s.Identifier != "" {
		out.Weight = new(int64)
	}
	if s.Alias != "" {
		out.Alias = &aliasXML{Zone: "Z2FDTNDATAQYW2", Name: spelt(s.Alias)}
		return out
	}
	out.TTL = &s.TTL
	for _, v := range s.Values {
		out.Values = append(out.Values, value{v})
	}
	return out
}

// listSets lists record sets from a name, or a name and a type, on.
func (f *Fake) listSets(z *zone, q request) (any, *refusal) {
	if bad := q.known("name", "type", "identifier", "maxitems"); bad != nil {
		return nil, bad
	}
	n, bad := f.page(q, 300)
	if bad != nil {
		return nil, bad
	}
	from := Set{Name: q.query.Get("name"), Type: q.query.Get("type"), Identifier: q.query.Get("identifier")}
	if from.Type != "" && from.Name == "" || from.Identifier != "" && from.Type == "" {
		return nil, refuse(http.StatusBadRequest, "InvalidInput", "type needs name, and identifier needs type")
	}
	all := sorted(z.sets)
	if from.Name != "" {
		all = slices.DeleteFunc(all, func(s Set) bool { return s.place() < from.place() })
	}
	out := setsXML{MaxItems: n}
	for i, s := range all {
		if i == n {
			out.Truncated, out.NextName, out.NextType, out.NextIdentifier = true, s.Name, s.Type, s.Identifier
			break
		}
		out.Sets = append(out.Sets, s.shown())
	}
	return out, nil
}

type changeInfo struct {
	ID        string `xml:"ChangeInfo>Id"`
	Status    string `xml:"ChangeInfo>Status"`
	Submitted string `xml:"ChangeInfo>SubmittedAt"`
}

type changedXML struct {
	XMLName xml.Name `xml:"https://route53.amazonaws.com/doc/2013-04-01/ ChangeResourceRecordSetsResponse"`
	changeInfo
}

type getChangeXML struct {
	XMLName xml.Name `xml:"https://route53.amazonaws.com/doc/2013-04-01/ GetChangeResponse"`
	changeInfo
}

func infoOf(id, status string) changeInfo {
	return changeInfo{"/change/" + id, status, "2026-01-01T00:00:00.000Z"}
}

func (f *Fake) getChange(id string) (any, *refusal) {
	left, known := f.changes[id]
	switch {
	case !known:
		return nil, refuse(http.StatusNotFound, "NoSuchChange", "Could not find resource with ID: %s", id)
	case left > 0:
		f.changes[id]--
		return getChangeXML{changeInfo: infoOf(id, "PENDING")}, nil
	}
	return getChangeXML{changeInfo: infoOf(id, "INSYNC")}, nil
}
