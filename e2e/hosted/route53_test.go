package hosted

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pleiad-etcd/pleiad/e2e/hosted/edge"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/route53/route53fake"
)

const (
	zoneID    = "Z0123456789ABCDEFGHIJ"
	accessKey = "AKIDEXAMPLE"
	secretKey = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

// A cluster in a zone in Route 53, found through it, disturbed there, repaired, and taken
// down; records of others stay, and the secret is nowhere.
func TestLifeInRoute53(t *testing.T) {
	f := route53fake.New(t)
	f.AddZone(route53fake.Zone{ID: zoneID, Name: zone, NameServers: []string{edge.Server(zone)}})
	f.AllowKey(accessKey, secretKey)
	o := newOperator(t, "{route53: {endpoint: "+f.URL+"}}", edge.Route53(f, zoneID), secretKey,
		"AWS_ACCESS_KEY_ID="+accessKey, "AWS_SECRET_ACCESS_KEY="+secretKey)
	for _, s := range []route53fake.Set{
		{Type: "A", Name: "www." + zone, TTL: 300, Values: []string{"192.0.2.80"}},
		{Type: "A", Name: "etcd-aaaaaaa.xc1." + zone, TTL: 300, Values: []string{"192.0.2.81"}},
		{Type: "TXT", Name: "c1." + zone, TTL: 300, Values: []string{`"v=spf1 -all"`}},
	} {
		f.Put(zoneID, s)
	}
	theirs := f.Sets(zoneID)
	if out := o.run(0, "doctor"); !strings.Contains(out, "the credentials may change the cluster's marker, services and addresses") {
		t.Error(out)
	}
	const change = "ChangeResourceRecordSets"
	before := f.Calls()
	if out := o.run(0, "up"); !strings.Contains(out, "cluster is healthy") {
		t.Error(out)
	}
	// The claim, the list, the seal.
	if got := f.Calls()[change] - before[change]; got != 3 {
		t.Errorf("up changed the records %d times, want 3", got)
	}
	o.nowhere()
	before = f.Calls()
	o.run(0, "up")
	if got := f.Calls(); got[change] != before[change] {
		t.Errorf("up without need: %v, then %v", before, got)
	}

	disturbRoute53(t, f)
	if out := o.run(0, "status"); !strings.Contains(out, "; want") || !strings.Contains(out, "SRV") {
		t.Error(out)
	}
	o.run(2, "plan")
	o.run(0, "up")
	if out := o.run(0, "status"); strings.Contains(out, "drift") {
		t.Error(out)
	}

	o.run(0, "destroy --yes")
	if diff := cmp.Diff(theirs, f.Sets(zoneID)); diff != "" {
		t.Errorf("left of the zone (-want +got): %s", diff)
	}
	o.nowhere()
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
