package real_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/route53/route53fake"
)

const route53Secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

// fakeRoute53 is a fake with a zone, and an environment in which no credentials are but
// those of the files in the folder that it gives.
func fakeRoute53(t *testing.T, z route53fake.Zone) (f *route53fake.Fake, folder string) {
	t.Helper()
	f, folder = route53fake.New(t), t.TempDir()
	z.Name = "a.test"
	f.AddZone(z)
	f.AllowKey("AKIDEXAMPLE", route53Secret)
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": filepath.Join(folder, "config"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(folder, "credentials")} {
		t.Setenv(name, value)
	}
	return f, folder
}

func TestRoute53(t *testing.T) {
	f, _ := fakeRoute53(t, route53fake.Zone{NameServers: []string{}})
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", route53Secret)
	w := open(t, machines(), cluster.DNSSpec{Route53: &cluster.Route53DNS{Endpoint: f.URL}})
	if err := readMarker(t, w); err != nil {
		t.Error(err)
	}
	if zone, err := w.FindZone(t.Context()); zone != "a.test" || err != nil {
		t.Errorf("%q, %v", zone, err)
	}
	k := cluster.Key{Name: "_pleiad.a.test.", Type: cluster.TXT}
	if err := w.Try(t.Context(), k); err != nil {
		t.Error(err)
	}
	if w.Grants != nil || w.World.Server != nil || w.Resolver != "" || w.NameServers == nil || w.World.Authoritatives == nil {
		t.Errorf("%+v", w)
	}
	if _, err := w.World.Authoritatives.Compare(t.Context(), []cluster.Key{k}, cluster.Records{}); err == nil || !strings.Contains(err.Error(), "there are none at Route 53") {
		t.Errorf("a zone without name servers: %v", err)
	}
	if open(t, machines(), cluster.DNSSpec{Route53: &cluster.Route53DNS{Endpoint: f.URL, Zone: "a.test"}}).FindZone != nil {
		t.Error("a zone that is named is looked for")
	}
	// Every change is guarded.
	if _, err := w.World.DNS.Apply(t.Context(), []cluster.Change{{Key: cluster.Key{Name: "www.a.test.", Type: cluster.A}}}); err == nil || !strings.Contains(err.Error(), "rule R10") {
		t.Errorf("%v", err)
	}
}

// Nobody pretends to have asked the servers of a zone that cannot be asked from here.
func TestRoute53Private(t *testing.T) {
	f, _ := fakeRoute53(t, route53fake.Zone{Private: true})
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", route53Secret)
	w := open(t, machines(), cluster.DNSSpec{Route53: &cluster.Route53DNS{Endpoint: f.URL}})
	for _, servers := range []dns.Authoritatives{w.NameServers, w.World.Authoritatives} {
		v, err := servers.Compare(t.Context(), []cluster.Key{{Name: "_pleiad.a.test.", Type: cluster.TXT}}, cluster.Records{})
		if !errors.Is(err, fault.Unsupported) || !strings.Contains(err.Error(), "zone a.test is private") || len(v.Servers) > 0 {
			t.Errorf("%v, %v", v, err)
		}
	}
}

// Without credentials whatever needs none works; those of a profile are used if it is
// named.
func TestRoute53Profile(t *testing.T) {
	f, folder := fakeRoute53(t, route53fake.Zone{})
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("config", "[profile etcd]\nregion = eu-central-1\n")
	write("credentials", "[etcd]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = "+route53Secret+"\n")
	spec := &cluster.Route53DNS{Endpoint: f.URL}
	w := open(t, machines(), cluster.DNSSpec{Route53: spec})
	err := readMarker(t, w)
	if !errors.Is(err, fault.Denied) || !strings.Contains(strings.Join(fault.Remedy(err), "\n"), "name it in dns.route53.profile of the spec") {
		t.Errorf("%v, %q", err, fault.Remedy(err))
	}
	if w.World.Hosts == nil || f.Total() > 0 {
		t.Error("nothing else works either, or somebody was asked")
	}
	spec.Profile = "etcd"
	if err := readMarker(t, open(t, machines(), cluster.DNSSpec{Route53: spec})); err != nil {
		t.Error(err)
	}
}
