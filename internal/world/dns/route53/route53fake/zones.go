package route53fake

import (
	"encoding/xml"
	"net/http"
	"slices"
	"strings"
)

type zoneXML struct {
	ID        string `xml:"Id"`
	Name      string
	Reference string `xml:"CallerReference"`
	Private   bool   `xml:"Config>PrivateZone"`
	Count     int    `xml:"ResourceRecordSetCount"`
}

func (z *zone) shown() zoneXML {
	return zoneXML{ID: "/hostedzone/" + z.ID, Name: spelt(z.Name), Reference: z.ID, Private: z.Private, Count: len(z.sets)}
}

type vpcXML struct {
	ID     string `xml:"VPCId"`
	Region string `xml:"VPCRegion"`
}

type wholeZoneXML struct {
	XMLName     xml.Name     `xml:"https://route53.amazonaws.com/doc/2013-04-01/ GetHostedZoneResponse"`
	Zone        zoneXML      `xml:"HostedZone"`
	NameServers *nameServers `xml:"DelegationSet"`
	VPCs        []vpcXML     `xml:"VPCs>VPC"`
}

type nameServers struct {
	Names []string `xml:"NameServers>NameServer"`
}

func (z *zone) shownWhole() any {
	out := wholeZoneXML{Zone: z.shown()}
	if !z.Private {
		out.NameServers = &nameServers{z.NameServers}
	}
	for _, v := range z.VPCs {
		out.VPCs = append(out.VPCs, vpcXML{v, "eu-central-1"})
	}
	return out
}

type zonesXML struct {
	XMLName   xml.Name  `xml:"https://route53.amazonaws.com/doc/2013-04-01/ ListHostedZonesByNameResponse"`
	Zones     []zoneXML `xml:"HostedZones>HostedZone"`
	DNSName   string    `xml:",omitempty"`
	Truncated bool      `xml:"IsTruncated"`
	NextName  string    `xml:"NextDNSName,omitempty"`
	NextID    string    `xml:"NextHostedZoneId,omitempty"`
	MaxItems  int
}

// listZones lists zones from a name on: those that follow it, too.
func (f *Fake) listZones(q request) (any, *refusal) {
	if bad := q.known("dnsname", "hostedzoneid", "maxitems"); bad != nil {
		return nil, bad
	}
	n, bad := f.page(q, 100)
	if bad != nil {
		return nil, bad
	}
	name, id := q.query.Get("dnsname"), q.query.Get("hostedzoneid")
	if id != "" && name == "" {
		return nil, refuse(http.StatusBadRequest, "InvalidInput", "hostedzoneid needs dnsname")
	}
	place := func(z *zone) string { return order(z.Name) + "\x00" + z.ID }
	all := slices.SortedFunc(slices.Values(f.zones), func(a, b *zone) int { return strings.Compare(place(a), place(b)) })
	if name != "" {
		from := order(name) + "\x00" + id
		all = slices.DeleteFunc(all, func(z *zone) bool { return place(z) < from })
	}
	out := zonesXML{DNSName: name, MaxItems: n}
	for i, z := range all {
		if i == n {
			out.Truncated, out.NextName, out.NextID = true, spelt(z.Name), z.ID
			break
		}
		out.Zones = append(out.Zones, z.shown())
	}
	return out, nil
}
