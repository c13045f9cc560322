package hosted

import (
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/e2e/hosted/edge"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/cloudflare/cloudflaretest"
)

const token = "v1dQ3mXh7sYb2KpLw9ZtRf4NcJg6AeUo8TiBqxSH"

func TestLifeAtCloudflare(t *testing.T) {
	f := cloudflaretest.New(t)
	f.AddZone(cloudflaretest.Zone{Name: zone, NameServers: []string{edge.Server(zone)}})
	f.Allow(token, zone, cloudflaretest.EditRecords)
	for _, r := range []cloudflaretest.Record{
		{Type: "A", Name: "www." + zone, Content: "192.0.2.80", TTL: 300},
		{Type: "A", Name: "etcd-aaaaaaa.xc1." + zone, Content: "192.0.2.81", TTL: 300},
		{Type: "TXT", Name: "c1." + zone, Content: `"v=spf1 -all"`, TTL: 300},
	} {
		f.Put(zone, r)
	}
	o := newOperator(t, "{cloudflare: {endpoint: "+f.URL+"}}", edge.Cloudflare(f, zone), token, "CLOUDFLARE_API_TOKEN="+token)
	o.life(api{
		changes: func() int { return f.Calls().Batches },
		left:    func() []any { return anything(f.Records(zone)) },
		disturb: func() { disturbCloudflare(t, f) },
		granted: "may edit the records of zone " + zone,
		drift:   "proxied; want",
	})
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
