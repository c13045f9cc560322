package spec

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func ptr[T any](v T) *T { return &v }

func TestFlags(t *testing.T) {
	noFile := func(string) ([]byte, error) { return nil, fs.ErrNotExist }
	file := func(string) ([]byte, error) { return []byte("cluster: prod\ndomain: prod.test\nmembers: 5\n"), nil }
	for _, tt := range []struct {
		name  string
		flags Flags
		read  func(string) ([]byte, error)
		want  string // cluster, domain, members, TLS; or the error
	}{
		{"none", Flags{}, noFile, "dev dev.test 3 true"},
		{"all", Flags{Cluster: ptr("Blue"), Domain: ptr("Example.com."), Members: ptr(5), TLS: ptr("off")}, noFile, "blue example.com 5 false"},
		{"a cluster brings its domain", Flags{Cluster: ptr("blue")}, noFile, "blue blue.test 3 true"},
		{"a domain of one's own", Flags{Domain: ptr("lab.internal")}, noFile, "dev lab.internal 3 true"},
		{"a file", Flags{File: "p.yaml"}, file, "prod prod.test 5 true"},
		{"bad members", Flags{Members: ptr(8)}, noFile, "--members 8: no safer than 7: either tolerates the loss of 3; expected 1, 3, 5, 7 or 9"},
		{"all bad", Flags{Cluster: ptr("a b"), Domain: ptr("10.0.0.1"), Members: ptr(0), TLS: ptr("on")}, noFile,
			`--cluster "a b": ' ' is not allowed; expected letters, digits and hyphens, at most 40` + "\n" +
				"--domain 10.0.0.1: an IP address; expected a domain name such as dev.test\n" +
				"--members 0: fewer than one voter; expected 1, 3, 5, 7 or 9\n" +
				"--tls on: expected auto or off"},
		{"domain too long", Flags{Domain: ptr(strings.Repeat("a234567890.", 22) + "test")}, noFile,
			"--domain a234567890.a234567890.a234567890.a234567890.a234567890.a2345…: too long by 15 characters for record names such as _etcd-server-ssl._tcp.a234567890.a234567890.a234567890.a2345…" +
				"; expected names of at most 253"},
		{"a file and flags", Flags{File: "p.yaml", Members: ptr(5), TLS: ptr("off")}, file,
			"--members 5: cannot be combined with -f; expected members in p.yaml instead\n" +
				"--tls off: cannot be combined with -f; expected tls in p.yaml instead"},
		{"no such file", Flags{File: "p.yaml"}, noFile, "read spec: file does not exist"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := FromFlags(tt.flags, tt.read)
			got := fmt.Sprint(s.Cluster, " ", s.Domain, " ", s.Members, " ", s.TLS)
			if err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestFlagsOnASpecOfAFile(t *testing.T) {
	base, err := Parse("f", []byte("cluster: c\ndomain: etcd.example.com\netcd: {options: {snapshot-count: 5}}\ndns: {rfc2136: {server: ns1, zone: example.com, keyFile: /k}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := base
	want.Members = 5
	got, err := Flags{Members: ptr(5)}.Apply(base)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	if got, err := (Flags{Cluster: ptr("d")}).Apply(base); err != nil || got.Domain != "etcd.example.com" {
		t.Errorf("a new name took a domain along that was not the old name's: %+v, %v", got, err)
	}
	machines, err := Parse("f", []byte("cluster: c\ndomain: etcd.example.com\ndns: {rfc2136: {server: ns1, zone: example.com, keyFile: /k}}\nhosts: {ssh: {addresses: [192.0.2.11, 192.0.2.12, 192.0.2.13]}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	const few = "--members 5: hosts.ssh.addresses: 3 for 5 members, and a member needs a machine of its own; expected at least 5"
	if _, err := (Flags{Members: ptr(5), Domain: ptr("a.example.com")}).Apply(machines); err == nil || err.Error() != few {
		t.Errorf("more members than machines: %v", err)
	}
	if s, err := (Flags{Members: ptr(1)}).Apply(machines); err != nil || len(s.Hosts.SSH.Addresses) != 3 {
		t.Errorf("fewer members than machines: %+v, %v", s, err)
	}
	const refusal = "--domain a.test: does not hold the domain a.test; expected a.test or a zone above it"
	if _, err := (Flags{Domain: ptr("a.test")}).Apply(base); err == nil || err.Error() != refusal {
		t.Errorf("a domain outside the zone: %v", err)
	}
}
