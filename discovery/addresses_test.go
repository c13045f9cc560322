package discovery_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/pleiad-etcd/pleiad/discovery"
	"github.com/pleiad-etcd/pleiad/discovery/internal/testdns"
)

func TestLookupWithAddresses(t *testing.T) {
	t.Parallel()
	server, resolver := start(t, ssl1, ssl2, sslName+" 60 IN SRV 0 0 2379 m3.lab.test.",
		"M1.lab.test. 60 IN A 127.0.0.2", "m1.lab.test. 60 IN A 127.0.0.1", "m1.lab.test. 60 IN AAAA ::1")
	server.Fault("m3.lab.test.", dns.RcodeServerFailure)
	c, err := discovery.Lookup(t.Context(), "lab.test", resolver, discovery.WithAddresses())
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Endpoints) != 3 {
		t.Fatalf("endpoints %v, want 3: hosts without address stay in the list", c.Endpoints)
	}
	want := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("::1")}
	if e := c.Endpoints[0]; !slices.Equal(e.Addrs, want) || e.AddrErr != nil {
		t.Errorf("m1 has addresses %v, error %v; want %v", e.Addrs, e.AddrErr, want)
	}
	wantError(t, c.Endpoints[1].AddrErr, discovery.ErrNotFound, "m2.lab.test.")
	wantError(t, c.Endpoints[2].AddrErr, discovery.ErrUnavailable, "m3.lab.test.")
}

// A failure of one family is not the absence of the host, whatever is said of
// the other family.
func TestLookupWithAddressesOfOneFamily(t *testing.T) {
	t.Parallel()
	const a, aaaa = "m1.lab.test. 60 IN A 127.0.0.1", "m1.lab.test. 60 IN AAAA ::1"
	for _, tt := range []struct {
		what, record, fails string
		rcode               int
		addrs               string
		kind                error
	}{
		{"A fails, AAAA is empty", "m1.lab.test. 60 IN TXT x", "A", dns.RcodeServerFailure, "[]", discovery.ErrUnavailable},
		{"AAAA fails, A is empty", "m1.lab.test. 60 IN TXT x", "AAAA", dns.RcodeServerFailure, "[]", discovery.ErrUnavailable},
		{"A is refused, AAAA is empty", "m1.lab.test. 60 IN TXT x", "A", dns.RcodeRefused, "[]", discovery.ErrUnavailable},
		{"A fails, AAAA is known", aaaa, "A", dns.RcodeServerFailure, "[::1]", nil},
		{"AAAA fails, A is known", a, "AAAA", dns.RcodeServerFailure, "[127.0.0.1]", nil},
		{"AAAA does not answer, A is known", a, "AAAA", testdns.Silent, "[127.0.0.1]", nil},
		{"A does not answer, AAAA is empty", "m1.lab.test. 60 IN TXT x", "A", testdns.Silent, "[]", discovery.ErrUnavailable},
		{"nothing fails, both are empty", "m1.lab.test. 60 IN TXT x", "MX", dns.RcodeServerFailure, "[]", discovery.ErrNotFound},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			server, resolver := start(t, ssl1, tt.record)
			server.FaultType("m1.lab.test.", tt.fails, tt.rcode)
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			c, err := discovery.Lookup(ctx, "lab.test", resolver, discovery.WithAddresses())
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(c.Endpoints[0].Addrs); got != tt.addrs {
				t.Errorf("addresses %s, want %s", got, tt.addrs)
			}
			if got := c.Endpoints[0].AddrErr; !errors.Is(got, tt.kind) {
				t.Errorf("error %v, want %v", got, tt.kind)
			}
		})
	}
}

// The records are known by the time the context ends: they are what was asked
// for, and the addresses are unknown.
func TestLookupWithAddressesThatDoNotCome(t *testing.T) {
	t.Parallel()
	server, resolver := start(t, ssl1)
	server.Fault("m1.lab.test.", testdns.Silent)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	c, err := discovery.Lookup(ctx, "lab.test", resolver, discovery.WithAddresses())
	if err != nil || len(c.Endpoints) != 1 {
		t.Fatalf("%v, error %v; want one endpoint", c, err)
	}
	wantError(t, c.Endpoints[0].AddrErr, discovery.ErrUnavailable, "m1.lab.test.")
	if !errors.Is(c.Endpoints[0].AddrErr, context.DeadlineExceeded) {
		t.Errorf("error %v, want the context's inside", c.Endpoints[0].AddrErr)
	}
}

func TestLookupWithAddressesOfManyHosts(t *testing.T) {
	t.Parallel()
	var records []string
	for i := range 50 {
		records = append(records, fmt.Sprintf("%s 60 IN SRV 0 0 2379 m%d.lab.test.", sslName, i),
			fmt.Sprintf("m%d.lab.test. 60 IN A 127.0.0.%d", i, i+1))
	}
	_, resolver := start(t, records...)
	c, err := discovery.Lookup(t.Context(), "lab.test", resolver, discovery.WithAddresses())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range c.Endpoints {
		var i int
		if _, err := fmt.Sscanf(e.Host, "m%d.lab.test", &i); err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("[127.0.0.%d]", i+1); fmt.Sprint(e.Addrs) != want {
			t.Errorf("%s has addresses %v, want %s", e.Host, e.Addrs, want)
		}
	}
}

func TestDialerLooksUpHostsThroughTheResolver(t *testing.T) {
	t.Parallel()
	server, resolver := start(t, "only-here.lab.test. 60 IN A 127.0.0.1")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	dial := discovery.Dialer(resolver)
	for _, host := range []string{"only-here.lab.test", "only-here.lab.test.", "127.0.0.1"} {
		conn, err := dial(t.Context(), "tcp", net.JoinHostPort(host, port))
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	if _, err := dial(t.Context(), "tcp", "elsewhere.lab.test:1"); err == nil {
		t.Error("dialled a host that does not exist")
	}
	for _, q := range server.Asked() {
		if !strings.Contains(q, "only-here.lab.test. ") && !strings.Contains(q, "elsewhere.lab.test. ") {
			t.Errorf("asked %q: the search list was used", q)
		}
	}
}
