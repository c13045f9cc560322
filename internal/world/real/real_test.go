package real_test

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/world/real"
	"github.com/pleiad-etcd/pleiad/internal/world/statedir"
)

const key = "key \"k\" {\n\talgorithm hmac-sha256;\n\tsecret \"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=\";\n};\n"

func machines() cluster.HostsSpec {
	return cluster.HostsSpec{SSH: &cluster.SSHHosts{Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}}
}

func zoneOf(t *testing.T, server, content string) cluster.DNSSpec {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	if content != "" {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cluster.DNSSpec{RFC2136: &cluster.RFC2136DNS{Server: server, Zone: "a.test", KeyFile: file}}
}

func open(t *testing.T, hosts cluster.HostsSpec, dns cluster.DNSSpec) real.World {
	t.Helper()
	spec := cluster.Spec{Cluster: "a", Domain: "a.test", Members: 1, TLS: true, Hosts: hosts, DNS: dns}
	h, err := statedir.Absent(t.TempDir(), spec.Cluster, spec.Domain)
	if err != nil {
		t.Fatal(err)
	}
	w, err := real.Open(t.Context(), spec, h, nil)
	if err != nil {
		t.Fatal(err)
	}
	if w.Close != nil {
		t.Cleanup(func() {
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return w
}

// Each spec has all contracts, and beside them what its providers can do.
func TestOpen(t *testing.T) {
	local := cluster.HostsSpec{Local: &cluster.LocalHosts{}}
	for _, c := range []struct {
		name            string
		hosts           cluster.HostsSpec
		dns             cluster.DNSSpec
		machines, ours  bool // on machines; in our own name server
		authoritatives  bool
		resolver, where string
	}{
		{name: "here, embedded", hosts: local, dns: cluster.DNSSpec{Embedded: &cluster.EmbeddedDNS{}}, ours: true},
		{name: "here, in a zone", hosts: local, dns: zoneOf(t, "192.0.2.53", key), authoritatives: true, resolver: "192.0.2.53:53"},
		{name: "here, in a zone on another port", hosts: local, dns: zoneOf(t, "192.0.2.53:5353", key), resolver: "192.0.2.53:5353"},
		{name: "on machines, in a zone", hosts: machines(), dns: zoneOf(t, "192.0.2.53", key), machines: true, authoritatives: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := open(t, c.hosts, c.dns)
			for what, there := range map[string]bool{"zone": w.World.DNS != nil, "hosts": w.World.Hosts != nil, "delivery": w.World.Deliver != nil,
				"etcd": w.World.Etcd != nil, "authority": w.World.Authority != nil, "fresh names": w.World.Fresh != nil, "logs": w.Logs != nil, "sweep": w.Sweep != nil} {
				if !there {
					t.Errorf("no %s", what)
				}
			}
			for what, got := range map[string]struct{ is, want bool }{
				"a name server of ours":   {w.World.Server != nil, c.ours},
				"its address":             {w.Listens.IsValid(), c.ours},
				"the zone's name servers": {w.NameServers != nil && w.Try != nil, !c.ours},
				"authoritatives":          {w.World.Authoritatives != nil, c.authoritatives},
				"a probe":                 {w.Probe != nil, c.machines},
				"something to close":      {w.Close != nil, c.machines},
				"folders on this machine": {w.Living != nil && w.TakeOver != nil && w.Block.IsValid(), !c.machines},
			} {
				if got.is != got.want {
					t.Errorf("%s: %t, want %t", what, got.is, got.want)
				}
			}
			if w.Resolver != c.resolver {
				t.Errorf("clients ask %q, want %q", w.Resolver, c.resolver)
			}
		})
	}
}

// A key that cannot be read is an error of what needs it, and of nothing else.
func TestWithoutAKey(t *testing.T) {
	for name, content := range map[string]string{"missing": "", "no key": "secret"} {
		t.Run(name, func(t *testing.T) {
			zone := zoneOf(t, "192.0.2.53", content)
			w := open(t, machines(), zone)
			set := cluster.NewRecordSet("_pleiad.a.test.", cluster.TXT, "x")
			_, read := w.World.DNS.Read(t.Context(), []cluster.Key{set.Key})
			_, applied := w.World.DNS.Apply(t.Context(), []cluster.Change{{Key: set.Key, New: &set}})
			for what, err := range map[string]error{"read": read, "apply": applied} {
				if !errors.Is(err, fault.Damaged) || !fault.Lasting(err) || !strings.Contains(strings.Join(fault.Remedy(err), "\n"), zone.RFC2136.KeyFile) {
					t.Errorf("%s: %v, remedy %q", what, err, fault.Remedy(err))
				}
				if strings.Contains(err.Error(), "secret") && content == "secret" {
					t.Errorf("%s says what is in the file: %v", what, err)
				}
			}
		})
	}
}
