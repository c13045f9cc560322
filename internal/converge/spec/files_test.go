package spec

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

const manyFiles = `cluster: c
domain: etcd.example.com
dns: {rfc2136: {server: ns1, zone: example.com, keyFile: tsig.key}}
hosts:
  ssh:
    addresses: [192.0.2.11, 192.0.2.12, 192.0.2.13]
    identityFile: ~/.ssh/id_rsa
    knownHosts: keys/known_hosts
    binaries: {arm64: ./~build/pleiad}
`

func TestRelativePathsStartAtTheFile(t *testing.T) {
	for file, want := range map[string][3]string{
		"pleiad.yaml":      {"tsig.key", "keys/known_hosts", "./~build/pleiad"},
		"lab/pleiad.yaml":  {"lab/tsig.key", "lab/keys/known_hosts", "lab/~build/pleiad"},
		"/srv/pleiad.yaml": {"/srv/tsig.key", "/srv/keys/known_hosts", "/srv/~build/pleiad"},
	} {
		s, err := Parse(file, []byte(manyFiles))
		if err != nil {
			t.Fatal(err)
		}
		got := [3]string{s.DNS.RFC2136.KeyFile, s.Hosts.SSH.KnownHosts, s.Hosts.SSH.Binaries["arm64"]}
		if got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
		if at := s.Hosts.SSH.IdentityFile; at != "~/.ssh/id_rsa" {
			t.Errorf("%s: the home directory became %s", file, at)
		}
	}
}

func TestRelativePathsOfInstances(t *testing.T) {
	s := Default()
	s.Hosts, s.DNS = cluster.HostsSpec{EC2: ptr(exampleEC2())}, cluster.DNSSpec{Cloudflare: &cluster.CloudflareDNS{}}
	s.Hosts.EC2.IdentityFile, s.Hosts.EC2.Binaries = "keys/ops.pem", map[string]string{"arm64": "pleiad-arm64"}
	got, err := Parse("lab/pleiad.yaml", Encode(s))
	if err != nil {
		t.Fatal(err)
	}
	if err := Resolve(&got, func(p string) (string, error) { return "/cwd/" + p, nil }); err != nil {
		t.Fatal(err)
	}
	if h := got.Hosts.EC2; h.IdentityFile != "/cwd/lab/keys/ops.pem" || h.Binaries["arm64"] != "/cwd/lab/pleiad-arm64" {
		t.Errorf("the files are %s and %v", h.IdentityFile, h.Binaries)
	}
}

func TestResolve(t *testing.T) {
	s, err := Parse("pleiad.yaml", []byte(manyFiles))
	if err != nil {
		t.Fatal(err)
	}
	if err := Resolve(&s, func(p string) (string, error) { return "/cwd/" + p, nil }); err != nil {
		t.Fatal(err)
	}
	elsewhere, err := Parse("/home/spec.yaml", Encode(s))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, elsewhere, byValue); diff != "" {
		t.Errorf("read elsewhere it is another (-was +is):\n%s", diff)
	}
	got := []string{s.DNS.RFC2136.KeyFile, s.Hosts.SSH.IdentityFile, s.Hosts.SSH.KnownHosts, s.Hosts.SSH.Binaries["arm64"]}
	want := []string{"/cwd/tsig.key", "~/.ssh/id_rsa", "/cwd/keys/known_hosts", "/cwd/./~build/pleiad"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	broken := errors.New("no folder")
	if err := Resolve(&s, func(string) (string, error) { return "", broken }); !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
	if local := Default(); Resolve(&local, func(string) (string, error) { return "", broken }) != nil {
		t.Error("a spec without files has one")
	}
}
