package discovery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/pleiad-etcd/pleiad/discovery/internal/testdns"
)

// The life of a watched cluster over a real name server: each act changes the
// server, and what the watcher yields next is compared. Nothing is looked up
// while a yielded value is handled, so the watcher never sees half an act.
func TestWatchOverDNS(t *testing.T) {
	const ssl, plain = "_etcd-client-ssl._tcp.lab.test.", "_etcd-client._tcp.lab.test."
	server, err := testdns.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	add := func(name, host string) {
		if err := server.Add(name + " 60 IN SRV 0 0 2379 " + host + "."); err != nil {
			t.Fatal(err)
		}
	}
	acts := []struct {
		what string
		do   func()
		kind error
		urls string
	}{
		{"nothing is published", func() {}, ErrNotFound, ""},
		{"two members", func() { add(ssl, "m1"); add(ssl, "m2") }, nil, "https://m1:2379 https://m2:2379"},
		{"the name server fails", func() { server.Fault(ssl, dns.RcodeServerFailure) }, ErrUnavailable, "https://m1:2379 https://m2:2379"},
		{"it recovers, a member is added", func() { add(ssl, "m3"); server.Fault(ssl, dns.RcodeSuccess) }, nil, "https://m1:2379 https://m2:2379 https://m3:2379"},
		{"plain records appear as well, a member is removed", func() { add(plain, "evil"); server.Remove(ssl); add(ssl, "m2"); add(ssl, "m3") }, nil, "https://m2:2379 https://m3:2379"},
		{"the TLS records vanish, the plain ones stay", func() { server.Remove(ssl) }, ErrNotFound, "https://m2:2379 https://m3:2379"},
		{"one unusable record", func() { add(ssl, "m2"); add(ssl, "10.0.0.1") }, ErrInvalidRecord, "https://m2:2379 https://m3:2379"},
		{"the name server is back in order", func() { server.Remove(ssl); add(ssl, "m4") }, nil, "https://m4:2379"},
	}
	q, err := newQuestion("client", "lab.test", []Option{WithResolver(NameServer(server.Addr))})
	if err != nil {
		t.Fatal(err)
	}
	q.interval = time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	next := 0
	acts[next].do()
	q.watcher().run(ctx, func(c Cluster, err error) bool {
		act := acts[next]
		urls := strings.Join(c.URLs(), " ")
		if !errors.Is(err, act.kind) || urls != act.urls {
			t.Errorf("%s: yielded %q, %v; want %q, %v", act.what, urls, err, act.urls, act.kind)
			return false
		}
		if next++; next == len(acts) {
			return false
		}
		acts[next].do()
		return true
	})
	if next < len(acts) {
		t.Errorf("ended before: %s", acts[next].what)
	}
}

// A family that cannot be asked for keeps its addresses, and the other one follows
// DNS.
func TestWatchKeepsTheAddressesOfAFamily(t *testing.T) {
	const ssl, host = "_etcd-client-ssl._tcp.lab.test.", "m1.lab.test."
	server, err := testdns.Start(ssl+" 60 IN SRV 0 0 2379 "+host, host+" 60 IN A 127.0.0.1", host+" 60 IN AAAA ::1")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	acts := []struct {
		what  string
		do    func() error
		addrs string
	}{
		{"both families", func() error { return nil }, "[127.0.0.1 ::1]"},
		{"A fails, AAAA gets one more", func() error {
			server.FaultType(host, "A", dns.RcodeServerFailure)
			return server.Add(host + " 60 IN AAAA ::2")
		}, "[127.0.0.1 ::1 ::2]"},
		{"A fails, AAAA is empty", func() error {
			server.Remove(host)
			return server.Add(host + " 60 IN TXT x")
		}, "[127.0.0.1]"},
		{"A is answered again", func() error {
			server.FaultType(host, "A", dns.RcodeSuccess)
			return server.Add(host + " 60 IN A 127.0.0.2")
		}, "[127.0.0.2]"},
	}
	q, err := newQuestion("client", "lab.test", []Option{WithResolver(NameServer(server.Addr)), WithAddresses()})
	if err != nil {
		t.Fatal(err)
	}
	q.interval = time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	next := 0
	q.watcher().run(ctx, func(c Cluster, err error) bool {
		act := acts[next]
		if got := fmt.Sprint(c.Endpoints[0].Addrs); err != nil || got != act.addrs {
			t.Errorf("%s: yielded %s, %v; want %s", act.what, got, err, act.addrs)
			return false
		}
		if next++; next == len(acts) {
			return false
		}
		if err := acts[next].do(); err != nil {
			t.Error(err)
			return false
		}
		return true
	})
	if next < len(acts) {
		t.Errorf("ended before: %s", acts[next].what)
	}
}
