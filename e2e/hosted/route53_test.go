package hosted

import (
	"slices"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/e2e/hosted/edge"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/route53/route53fake"
)

const (
	zoneID    = "Z0123456789ABCDEFGHIJ"
	accessKey = "AKIDEXAMPLE"
	secretKey = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

func TestLifeInRoute53(t *testing.T) {
	f := route53fake.New(t)
	f.AddZone(route53fake.Zone{ID: zoneID, Name: zone, NameServers: []string{edge.Server(zone)}})
	f.AllowKey(accessKey, secretKey)
	for _, s := range []route53fake.Set{
		{Type: "A", Name: "www." + zone, TTL: 300, Values: []string{"192.0.2.80"}},
		{Type: "A", Name: "etcd-aaaaaaa.xc1." + zone, TTL: 300, Values: []string{"192.0.2.81"}},
		{Type: "TXT", Name: "c1." + zone, TTL: 300, Values: []string{`"v=spf1 -all"`}},
	} {
		f.Put(zoneID, s)
	}
	o := newOperator(t, "{route53: {endpoint: "+f.URL+"}}", edge.Route53(f, zoneID), secretKey,
		"AWS_ACCESS_KEY_ID="+accessKey, "AWS_SECRET_ACCESS_KEY="+secretKey)
	o.life(api{
		changes: func() int { return f.Calls()["ChangeResourceRecordSets"] },
		left:    func() []any { return anything(f.Sets(zoneID)) },
		disturb: func() { disturbRoute53(t, f) },
		granted: "the credentials may change the cluster's marker, services and addresses",
		drift:   "; want",
	})
}

// disturbRoute53 does what people do in a console: an address goes, a service loses a
// member and gets another TTL.
func disturbRoute53(t *testing.T, f *route53fake.Fake) {
	t.Helper()
	deleted, shrunk := false, false
	for _, s := range f.Sets(zoneID) {
		switch {
		case s.Type == "A" && strings.HasSuffix(s.Name, ".c1."+zone+".") && !deleted:
			deleted = true
			f.Delete(zoneID, s.Name, s.Type)
		case s.Type == "SRV" && !shrunk:
			s.Values, s.TTL, shrunk = slices.Clone(s.Values[1:]), 900, true
			f.Put(zoneID, s)
		}
	}
	if !deleted || !shrunk {
		t.Fatal("there was nothing to disturb")
	}
}
