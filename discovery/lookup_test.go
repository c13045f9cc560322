package discovery_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/pleiad-etcd/pleiad/discovery"
	"github.com/pleiad-etcd/pleiad/discovery/internal/testdns"
)

const (
	sslName     = "_etcd-client-ssl._tcp.lab.test."
	plainName   = "_etcd-client._tcp.lab.test."
	ssl1        = sslName + " 60 IN SRV 0 0 2379 m1.lab.test."
	ssl2        = sslName + " 60 IN SRV 0 0 2379 m2.lab.test."
	plain1      = plainName + " 60 IN SRV 0 0 2379 m1.lab.test."
	notARecord  = "_etcd-client-ssl._tcp.lab.test. 60 IN TXT elsewhere"
	plainNoData = "_etcd-client._tcp.lab.test. 60 IN TXT elsewhere"
)

// start starts a name server and returns it with a resolver that asks it.
func start(t *testing.T, records ...string) (*testdns.Server, discovery.Option) {
	t.Helper()
	s, err := testdns.Start(records...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, discovery.WithResolver(discovery.NameServer(s.Addr))
}

func TestLookup(t *testing.T) {
	tests := []struct {
		name    string
		records []string
		faults  map[string]int
		domain  string // lab.test if empty
		opts    []discovery.Option
		urls    []string
		kind    error
		text    string
	}{
		{
			name:    "TLS, sorted, priority and weight ignored",
			records: []string{sslName + " 60 IN SRV 0 9 2379 m2.lab.test.", sslName + " 60 IN SRV 9 0 2379 m1.lab.test."},
			urls:    []string{"https://m1.lab.test:2379", "https://m2.lab.test:2379"},
		},
		{
			name:    "plain where there is no TLS name",
			records: []string{plain1},
			urls:    []string{"http://m1.lab.test:2379"},
		},
		{
			name:    "plain where the TLS name has no SRV records",
			records: []string{plain1, notARecord},
			urls:    []string{"http://m1.lab.test:2379"},
		},
		{
			name:    "ports of their own on one host",
			records: []string{sslName + " 60 IN SRV 0 0 23791 m1.lab.test.", sslName + " 60 IN SRV 0 0 2379 m1.lab.test."},
			urls:    []string{"https://m1.lab.test:2379", "https://m1.lab.test:23791"},
		},
		{
			name:    "one endpoint published twice is one",
			records: []string{ssl1, sslName + " 60 IN SRV 1 1 2379 M1.lab.test."},
			urls:    []string{"https://m1.lab.test:2379"},
		},
		{
			name:    "any case, trailing dots",
			records: []string{"_ETCD-client-ssl._TCP.lab.TEST. 60 IN SRV 0 0 2379 M1.Lab.Test."},
			domain:  "LAB.test.",
			urls:    []string{"https://m1.lab.test:2379"},
		},
		{
			name:    "service name",
			records: []string{ssl1, "_etcd-client-ssl-c2._tcp.lab.test. 60 IN SRV 0 0 2379 n1.lab.test."},
			opts:    []discovery.Option{discovery.WithServiceName("C2")},
			urls:    []string{"https://n1.lab.test:2379"},
		},
		{
			name:    "service name that does not exist is not the nameless cluster",
			records: []string{ssl1},
			opts:    []discovery.Option{discovery.WithServiceName("c3")},
			kind:    discovery.ErrNotFound,
			text:    "look up _etcd-client-ssl-c3._tcp.lab.test. and _etcd-client-c3._tcp.lab.test.: no such records",
		},
		{
			name: "nothing at all",
			kind: discovery.ErrNotFound,
			text: "look up " + sslName + " and " + plainName + ": no such records",
		},
		{
			name:    "names without SRV records",
			records: []string{notARecord, plainNoData},
			kind:    discovery.ErrNotFound,
		},
		{
			name:    "decidedly no such service",
			records: []string{sslName + " 60 IN SRV 0 0 0 ."},
			opts:    []discovery.Option{discovery.TLSOnly()},
			kind:    discovery.ErrNotFound,
			text:    "look up " + sslName + `: no such records: the target is ".", which says that there is no such service`,
		},
		{
			name:    "both kinds",
			records: []string{ssl1, plain1},
			kind:    discovery.ErrMixed,
			text:    "look up " + sslName + " and " + plainName + ": both TLS and plain records exist",
		},
		{
			name:    "both kinds, the plain one unusable",
			records: []string{ssl1, plainName + " 60 IN SRV 0 0 0 m1.lab.test."},
			kind:    discovery.ErrMixed,
		},
		{
			name:    "both kinds, TLS chosen",
			records: []string{ssl1, plain1},
			opts:    []discovery.Option{discovery.TLSOnly()},
			urls:    []string{"https://m1.lab.test:2379"},
		},
		{
			name:    "both kinds, plain chosen last",
			records: []string{ssl1, plain1},
			opts:    []discovery.Option{discovery.TLSOnly(), discovery.PlainOnly()},
			urls:    []string{"http://m1.lab.test:2379"},
		},
		{
			name:    "TLS chosen, only plain exists",
			records: []string{plain1},
			opts:    []discovery.Option{discovery.TLSOnly()},
			kind:    discovery.ErrNotFound,
			text:    "look up " + sslName + ": no such records",
		},
		{
			name:    "no fall back to plain while TLS is unknown: SERVFAIL",
			records: []string{plain1},
			faults:  map[string]int{sslName: dns.RcodeServerFailure},
			kind:    discovery.ErrUnavailable,
			text:    "look up " + sslName + ": no usable answer: server misbehaving",
		},
		{
			name:    "no fall back to plain while TLS is unknown: REFUSED",
			records: []string{plain1},
			faults:  map[string]int{sslName: dns.RcodeRefused},
			kind:    discovery.ErrUnavailable,
		},
		{
			name:    "no fall back to plain while the TLS records are unusable",
			records: []string{plain1, sslName + " 60 IN SRV 0 0 0 m1.lab.test."},
			kind:    discovery.ErrInvalidRecord,
			text:    "look up " + sslName + `: invalid record: target "m1.lab.test.": port 0`,
		},
		{
			name:    "TLS does not need to know about plain",
			records: []string{ssl1, plain1},
			faults:  map[string]int{plainName: dns.RcodeServerFailure},
			urls:    []string{"https://m1.lab.test:2379"},
		},
		{
			name:   "plain unknown, TLS absent",
			faults: map[string]int{plainName: dns.RcodeServerFailure},
			kind:   discovery.ErrUnavailable,
			text:   "look up " + plainName + ": no usable answer: server misbehaving",
		},
		{
			name:    "an IP address as target spoils the whole answer",
			records: []string{ssl1, sslName + " 60 IN SRV 0 0 2379 10.0.0.2."},
			kind:    discovery.ErrInvalidRecord,
			text:    "look up " + sslName + ": invalid record: a target is not a host name, perhaps an IP address",
		},
		{
			name:    "only an IP address as target",
			records: []string{sslName + " 60 IN SRV 0 0 2379 10.0.0.2."},
			kind:    discovery.ErrInvalidRecord,
		},
		{
			name:    "the root among targets",
			records: []string{ssl1, sslName + " 60 IN SRV 0 0 0 ."},
			kind:    discovery.ErrInvalidRecord,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server, resolver := start(t, tt.records...)
			for name, rcode := range tt.faults {
				server.Fault(name, rcode)
			}
			domain := tt.domain
			if domain == "" {
				domain = "lab.test"
			}
			c, err := discovery.Lookup(t.Context(), domain, append(tt.opts, resolver)...)
			if !errors.Is(err, tt.kind) {
				t.Fatalf("error %v, want kind %v", err, tt.kind)
			}
			if tt.text != "" && err.Error() != tt.text {
				t.Errorf("error text\n%s\nwant\n%s", err, tt.text)
			}
			if diff := cmp.Diff(append([]string{}, tt.urls...), c.URLs()); diff != "" {
				t.Errorf("URLs (-want +got):\n%s", diff)
			}
			if err == nil && c.Domain != "lab.test" {
				t.Errorf("domain %q, want lab.test", c.Domain)
			}
		})
	}
}

func TestLookupPeersReadsTheServerNames(t *testing.T) {
	t.Parallel()
	_, resolver := start(t, ssl1, "_etcd-server-ssl._tcp.lab.test. 60 IN SRV 0 0 2380 m1.lab.test.")
	got, err := discovery.LookupPeers(t.Context(), "lab.test", resolver)
	if err != nil {
		t.Fatal(err)
	}
	want := discovery.Cluster{
		Domain:    "lab.test",
		Service:   "_etcd-server-ssl._tcp.lab.test.",
		Endpoints: []discovery.Endpoint{{Host: "m1.lab.test", Port: 2380, TLS: true}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("cluster (-want +got):\n%s", diff)
	}
}

// The trailing dot keeps resolv.conf's search list out, and one kind of record
// is one question.
func TestLookupAsksExactlyTheNames(t *testing.T) {
	t.Parallel()
	server, resolver := start(t, ssl1)
	if _, err := discovery.Lookup(t.Context(), "lab.test", resolver); err != nil {
		t.Fatal(err)
	}
	if _, err := discovery.Lookup(t.Context(), "lab.test", resolver, discovery.TLSOnly()); err != nil {
		t.Fatal(err)
	}
	got := server.Asked()
	slices.Sort(got)
	want := []string{"udp " + sslName + " SRV", "udp " + sslName + " SRV", "udp " + plainName + " SRV"}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("questions (-want +got):\n%s", diff)
	}
}

func TestLookupAsksAgainOverTCPWhenTruncated(t *testing.T) {
	t.Parallel()
	var records, want []string
	for i := range 60 {
		records = append(records, fmt.Sprintf("%s 60 IN SRV 0 0 2379 member-%02d.lab.test.", sslName, i))
		want = append(want, fmt.Sprintf("https://member-%02d.lab.test:2379", i))
	}
	server, resolver := start(t, records...)
	c, err := discovery.Lookup(t.Context(), "lab.test", resolver)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, c.URLs()); diff != "" {
		t.Errorf("URLs (-want +got):\n%s", diff)
	}
	if !slices.Contains(server.Asked(), "tcp "+sslName+" SRV") {
		t.Errorf("questions %q, want one over TCP: the answer was not truncated", server.Asked())
	}
}

// wantError checks kind and names of an error.
func wantError(t *testing.T, err, kind error, names ...string) {
	t.Helper()
	var e *discovery.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v (%T), want a *discovery.Error", err, err)
	}
	if e.Kind != kind || !slices.Equal(e.Names, names) {
		t.Errorf("error kind %q, names %q; want %q, %q", e.Kind, e.Names, kind, names)
	}
}
