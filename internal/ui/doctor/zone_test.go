package doctor

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
)

func TestKeyFile(t *testing.T) {
	s := foreign(&zone{})
	s.Spec.DNS.RFC2136.KeyFile = filepath.Join(t.TempDir(), "my tsig.key")
	want(t, keyFile(t.Context(), s), render.Broken, "tsig.key")
	if err := os.WriteFile(s.Spec.DNS.RFC2136.KeyFile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, grade := range map[os.FileMode]render.Grade{0o400: render.Fine, 0o600: render.Fine, 0o640: render.Fine,
		0o644: render.Warning, 0o660: render.Warning, 0o602: render.Warning} {
		if err := os.Chmod(s.Spec.DNS.RFC2136.KeyFile, mode); err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS == "windows" {
			grade = render.Fine
		}
		want(t, keyFile(t.Context(), s), grade, "has mode 0")
		if grade == render.Fine {
			continue
		}
		if out, err := exec.Command("sh", "-c", keyFile(t.Context(), s).Remedy).CombinedOutput(); err != nil {
			t.Errorf("the remedy: %v\n%s", err, out)
		}
		want(t, keyFile(t.Context(), s), render.Fine, "has mode 0")
	}
}

func TestRights(t *testing.T) {
	all := func(s Subject) func(cluster.Key) bool {
		return func(k cluster.Key) bool { return dns.Owns(s.Spec, k) }
	}
	but := func(kind cluster.RecordType) func(s Subject) func(cluster.Key) bool {
		return func(s Subject) func(cluster.Key) bool {
			return func(k cluster.Key) bool { return dns.Owns(s.Spec, k) && k.Type != kind }
		}
	}
	for name, test := range map[string]struct {
		granted        func(Subject) func(cluster.Key) bool
		machines       []string
		enough, excess render.Grade
		right, outside string
	}{
		"our names alone":   {granted: all, enough: render.Fine, excess: render.Fine, right: "may change the cluster's", outside: "no other names"},
		"everything":        {enough: render.Fine, excess: render.Warning, right: "may change", outside: "pleiad-doctor.dev.test. TXT, _pleiad-doctor._tcp.dev.test. SRV, dev.test. A was not refused"},
		"no services":       {granted: but(cluster.SRV), enough: render.Broken, excess: render.Fine, right: "may not change _etcd-server._tcp.dev.test. SRV, _etcd-client._tcp.dev.test. SRV", outside: "no other"},
		"no addresses":      {granted: but(cluster.A), enough: render.Broken, excess: render.Fine, right: "may not change etcd-zzzzzzz.dev.test. A", outside: "no other"},
		"no IPv6, unneeded": {granted: but(cluster.AAAA), machines: []string{"10.5.1.1"}, enough: render.Fine, excess: render.Fine},
		"no IPv6, needed":   {granted: but(cluster.AAAA), machines: []string{"10.5.1.1", "fd00::1"}, enough: render.Broken, excess: render.Fine, right: "etcd-zzzzzzz.dev.test. AAAA"},
		"no IPv4, unneeded": {granted: but(cluster.A), machines: []string{"fd00::1"}, enough: render.Fine, excess: render.Fine},
		"the zone's address": {granted: func(s Subject) func(cluster.Key) bool {
			return func(k cluster.Key) bool { return k.Type == cluster.A || dns.Owns(s.Spec, k) }
		}, enough: render.Fine, excess: render.Warning, outside: "too: dev.test. A was"},
	} {
		t.Run(name, func(t *testing.T) {
			z := &zone{}
			s := foreign(z)
			if test.machines != nil {
				s.Spec.Hosts = cluster.HostsSpec{SSH: &cluster.SSHHosts{}}
				for _, a := range test.machines {
					s.Spec.Hosts.SSH.Addresses = append(s.Spec.Hosts.SSH.Addresses, netip.MustParseAddr(a))
				}
			}
			if test.granted != nil {
				z.granted = test.granted(s)
			}
			found := rights(t.Context(), s)
			if len(found) != 3 {
				t.Fatalf("%+v, want key, right and excess", found)
			}
			want(t, found[0], render.Fine, "accepted")
			want(t, found[1], test.enough, test.right)
			want(t, found[2], test.excess, test.outside)
			if len(z.applied) > 0 {
				t.Errorf("doctor changes something: %v", z.applied)
			}
		})
	}
}

// The server goes away between two questions.
func TestRightsUnknown(t *testing.T) {
	s := foreign(&zone{})
	s.Try = func(_ context.Context, k cluster.Key) error {
		if k == marker(s) {
			return nil
		}
		return dns.ErrUnreachable
	}
	found := rights(t.Context(), s)
	want(t, found[1], render.Broken, "unknown")
	want(t, found[2], render.Warning, "unknown")
}

// servers are the zone's name servers, as compared.
type servers struct {
	visibility cluster.Visibility
	err        error
}

func (a servers) Compare(context.Context, []cluster.Key, cluster.Records) (cluster.Visibility, error) {
	return a.visibility, a.err
}

func TestNameServers(t *testing.T) {
	agree := cluster.AuthoritativeServer{Name: "ns1.dev.test.", Address: netip.MustParseAddr("10.5.1.2")}
	behind, silent := agree, agree
	behind.Behind, silent.Unknown = []string{"TXT _pleiad.dev.test. shows nothing"}, "no answer within 2s"
	type graded struct {
		grade render.Grade
		text  string
	}
	for name, test := range map[string]struct {
		servers
		want []graded
	}{
		"all agree": {servers{visibility: cluster.Visibility{Servers: []cluster.AuthoritativeServer{agree}}}, []graded{{render.Fine, "ns1.dev.test (10.5.1.2)"}}},
		"one behind": {servers{visibility: cluster.Visibility{Servers: []cluster.AuthoritativeServer{agree, behind}}},
			[]graded{{render.Warning, "ns1.dev.test (10.5.1.2): TXT _pleiad.dev.test. shows nothing"}}},
		"one silent": {servers{visibility: cluster.Visibility{Servers: []cluster.AuthoritativeServer{silent, agree}}},
			[]graded{{render.Warning, "ns1.dev.test (10.5.1.2) cannot be asked: no answer within 2s"}}},
		"notes": {servers{visibility: cluster.Visibility{Servers: []cluster.AuthoritativeServer{agree}, Notes: []string{"a hidden primary", "a split horizon"}}},
			[]graded{{render.Fine, "agree"}, {render.Warning, "a hidden primary"}, {render.Warning, "a split horizon"}}},
		"not learned": {servers{err: errors.New("no NS records")}, []graded{{render.Warning, "no NS records"}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := foreign(&zone{})
			s.Authoritatives = test.servers
			found := nameServers(t.Context(), s)
			if len(found) != len(test.want) {
				t.Fatalf("%+v, want %v", found, test.want)
			}
			for i, f := range found {
				want(t, f, test.want[i].grade, test.want[i].text)
			}
		})
	}
	if found := nameServers(t.Context(), foreign(&zone{readErr: dns.ErrUnreachable})); found != nil {
		t.Errorf("%+v, want that said by another check alone", found)
	}
}
