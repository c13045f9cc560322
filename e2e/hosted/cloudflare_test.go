package hosted

import (
	"slices"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/e2e/hosted/edge"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/cloudflare/cloudflaretest"
)

const token = "v1dQ3mXh7sYb2KpLw9ZtRf4NcJg6AeUo8TiBqxSH"

// A cluster in a zone at Cloudflare, found through it, disturbed there, repaired,
// and taken down; records of others stay, and the token is nowhere.
func TestLifeAtCloudflare(t *testing.T) {
	f := cloudflaretest.New(t)
	f.AddZone(cloudflaretest.Zone{Name: zone, NameServers: []string{edge.Server(zone)}})
	f.Allow(token, zone, cloudflaretest.EditRecords)
	o := newOperator(t, "{cloudflare: {endpoint: "+f.URL+"}}", edge.Cloudflare(f, zone), token, "CLOUDFLARE_API_TOKEN="+token)
	theirs := []cloudflaretest.Record{
		{Type: "A", Name: "www." + zone, Content: "192.0.2.80", TTL: 300},
		{Type: "A", Name: "etcd-aaaaaaa.xc1." + zone, Content: "192.0.2.81", TTL: 300},
		{Type: "TXT", Name: "c1." + zone, Content: `"v=spf1 -all"`, TTL: 300},
	}
	for i := range theirs {
		theirs[i] = f.Put(zone, theirs[i])
	}
	if out := o.run(0, "doctor"); !strings.Contains(out, "may edit the records of zone "+zone) {
		t.Error(out)
	}
	before := f.Calls()
	if out := o.run(0, "up"); !strings.Contains(out, "cluster is healthy") {
		t.Error(out)
	}
	// The claim, the list, the seal.
	if got := f.Calls().Batches - before.Batches; got != 3 {
		t.Errorf("up changed the records %d times, want 3", got)
	}
	o.nowhere()
	before = f.Calls()
	o.run(0, "up")
	if got := f.Calls(); got.Batches != before.Batches {
		t.Errorf("up without need: %+v, then %+v", before, got)
	}

	disturbCloudflare(t, f)
	if out := o.run(0, "status"); !strings.Contains(out, "proxied; want") || !strings.Contains(out, "SRV") {
		t.Error(out)
	}
	o.run(2, "plan")
	o.run(0, "up")
	if out := o.run(0, "status"); strings.Contains(out, "drift") {
		t.Error(out)
	}

	o.run(0, "destroy --yes")
	if left := f.Records(zone); !slices.Equal(left, theirs) {
		t.Errorf("left of the zone: %+v, want %+v", left, theirs)
	}
	o.nowhere()
}

// disturbCloudflare does what people do in a dashboard: an address becomes proxied, a
// service loses a member.
func disturbCloudflare(t *testing.T, f *cloudflaretest.Fake) {
	proxied, deleted := false, false
	for _, r := range f.Records(zone) {
		switch {
		case r.Type == "A" && strings.HasSuffix(r.Name, ".c1."+zone) && !proxied:
			r.Proxied, r.TTL, proxied = true, 1, true
			f.Put(zone, r)
		case r.Type == "SRV" && !deleted:
			deleted = true
			f.Delete(zone, r.ID)
		}
	}
	if !proxied || !deleted {
		t.Fatal("there was nothing to disturb")
	}
}
