package real_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/cloudflare"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/cloudflare/cloudflaretest"
	"github.com/pleiad-etcd/pleiad/internal/world/real"
)

const cloudflareToken = "v1dQ3mXh7sYb2KpLw9ZtRf4NcJg6AeUo8TiBqxSH"

func fakeCloudflare(t *testing.T) *cloudflaretest.Fake {
	t.Helper()
	f := cloudflaretest.New(t)
	f.AddZone(cloudflaretest.Zone{Name: "a.test", NameServers: []string{}})
	f.AddZone(cloudflaretest.Zone{Name: "b.test"})
	f.Allow(cloudflareToken, "a.test", cloudflaretest.EditRecords)
	return f
}

func readMarker(t *testing.T, w real.World) error {
	_, err := w.World.DNS.Read(t.Context(), []cluster.Key{{Name: "_pleiad.a.test.", Type: cluster.TXT}})
	return err
}

func TestCloudflare(t *testing.T) {
	f := fakeCloudflare(t)
	t.Setenv(cloudflare.Variable, cloudflareToken)
	w := open(t, machines(), cluster.DNSSpec{Cloudflare: &cluster.CloudflareDNS{Endpoint: f.URL}})
	if err := readMarker(t, w); err != nil {
		t.Error(err)
	}
	if zone, err := w.FindZone(t.Context()); zone != "a.test" || err != nil {
		t.Errorf("%q, %v", zone, err)
	}
	if g, err := w.Grants(t.Context()); err != nil || g.Zone != "a.test" || len(g.Others)+len(g.Excess) > 0 {
		t.Errorf("%+v, %v", g, err)
	}
	f.Allow(cloudflareToken, "b.test", cloudflaretest.ReadZone)
	if g, err := w.Grants(t.Context()); err != nil || len(g.Others) != 1 || g.Others[0] != "b.test" {
		t.Errorf("%+v, %v", g, err)
	}
	if w.Try != nil || w.World.Server != nil || w.Resolver != "" || w.NameServers == nil || w.World.Authoritatives == nil {
		t.Errorf("%+v", w)
	}
	if _, err := w.World.Authoritatives.Compare(t.Context(), []cluster.Key{{Name: "_pleiad.a.test.", Type: cluster.TXT}}, cluster.Records{}); err == nil || !strings.Contains(err.Error(), "there are none at Cloudflare") {
		t.Errorf("a zone without name servers: %v", err)
	}
	named := open(t, machines(), cluster.DNSSpec{Cloudflare: &cluster.CloudflareDNS{Endpoint: f.URL, Zone: "a.test"}})
	if named.FindZone != nil {
		t.Error("a zone that is named is looked for")
	}
	// Every change is guarded.
	if _, err := w.World.DNS.Apply(t.Context(), []cluster.Change{{Key: cluster.Key{Name: "www.a.test.", Type: cluster.A}}}); err == nil || !strings.Contains(err.Error(), "rule R10") {
		t.Errorf("%v", err)
	}
}

// A token that is not there is an error of what needs it, which says where it
// belongs; put there, all is well.
func TestWithoutAToken(t *testing.T) {
	f := fakeCloudflare(t)
	file := filepath.Join(t.TempDir(), "token")
	for _, c := range []struct {
		file, remedy string
		mend         func()
	}{
		{"", "put the token into the environment: read -rs CLOUDFLARE_API_TOKEN && export CLOUDFLARE_API_TOKEN\n" +
			"or put it into a file, and name that in dns.cloudflare.tokenFile of the spec", func() { t.Setenv(cloudflare.Variable, cloudflareToken+"\n") }},
		{file, "put the token, and nothing else, into " + file, func() {
			if err := os.WriteFile(file, []byte(cloudflareToken+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Setenv(cloudflare.Variable, "")
		spec := cluster.DNSSpec{Cloudflare: &cluster.CloudflareDNS{Endpoint: f.URL, TokenFile: c.file}}
		w := open(t, machines(), spec)
		err := readMarker(t, w)
		if !errors.Is(err, fault.Damaged) || !fault.Lasting(err) || !strings.Contains(strings.Join(fault.Remedy(err), "\n"), c.remedy) {
			t.Errorf("%q: %v, %q", c.file, err, fault.Remedy(err))
		}
		if _, err := w.Grants(t.Context()); !errors.Is(err, fault.Damaged) {
			t.Errorf("%q: %v", c.file, err)
		}
		if w.World.Hosts == nil {
			t.Error("nothing else works either")
		}
		c.mend()
		if err := readMarker(t, open(t, machines(), spec)); err != nil {
			t.Errorf("%q: %v", c.file, err)
		}
	}
}
