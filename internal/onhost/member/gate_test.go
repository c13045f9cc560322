package member

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

const (
	service = "_etcd-server-ssl._tcp.dev.test."
	rival   = "_etcd-server._tcp.dev.test."
)

func threePeers() node.Gate {
	g := node.Gate{Service: service}
	for i, name := range []string{"a", "b", "c"} {
		g.Peers = append(g.Peers, node.Peer{Target: "etcd-" + name + ".dev.test.", Port: 2380, Address: fmt.Sprintf("127.1.2.%d", i+1)})
	}
	return g
}

// truth is what a resolver says when all is right.
func truth(g node.Gate) Answers {
	a := Answers{Hosts: map[string]cluster.Seen[[]netip.Addr]{}}
	var services []cluster.Service
	for _, p := range slices.Backward(g.Peers) { // DNS keeps no order
		services = append(services, cluster.Service{Target: p.Target, Port: p.Port})
		for _, name := range hostNames(p.Target) {
			a.Hosts[name] = cluster.Known([]netip.Addr{netip.MustParseAddr(p.Address)})
		}
	}
	a.Services, a.Rival = cluster.Known(services), cluster.Known([]cluster.Service(nil))
	return a
}

// Rule R3: what differs from the exact truth, and how it is said.
func TestCheck(t *testing.T) {
	addrs := func(texts ...string) cluster.Seen[[]netip.Addr] {
		var out []netip.Addr
		for _, text := range texts {
			out = append(out, netip.MustParseAddr(text))
		}
		return cluster.Known(out)
	}
	both := func(a *Answers, s cluster.Seen[[]netip.Addr]) {
		a.Hosts["etcd-b.dev.test."], a.Hosts["etcd-b.dev.test"] = s, s
	}
	for _, tt := range []struct {
		name string
		edit func(g *node.Gate, a *Answers)
		want []string
	}{
		{name: "exact", edit: func(*node.Gate, *Answers) {}},
		{name: "one address missing", want: []string{"etcd-b.dev.test. has no address, want 127.1.2.2"},
			edit: func(_ *node.Gate, a *Answers) { both(a, addrs()) }},
		{name: "never asked", want: []string{"etcd-b.dev.test. cannot be looked up, want 127.1.2.2: it was not looked for"},
			edit: func(_ *node.Gate, a *Answers) {
				delete(a.Hosts, "etcd-b.dev.test.")
				delete(a.Hosts, "etcd-b.dev.test")
			}},
		{name: "another's address", want: []string{"etcd-b.dev.test. has address 127.1.2.1, want 127.1.2.2"},
			edit: func(_ *node.Gate, a *Answers) { both(a, addrs("127.1.2.1")) }},
		{name: "one address too many", want: []string{"etcd-b.dev.test. has address 127.1.2.1 and 127.1.2.2, want 127.1.2.2"},
			edit: func(_ *node.Gate, a *Answers) { both(a, addrs("127.1.2.2", "127.1.2.1")) }},
		{name: "an IPv6 address beside", want: []string{"etcd-b.dev.test. has address 127.1.2.2 and ::1, want 127.1.2.2"},
			edit: func(_ *node.Gate, a *Answers) { both(a, addrs("127.1.2.2", "::1")) }},
		{name: "a search list that catches names without a dot", want: []string{"etcd-b.dev.test has address 10.0.0.1, want 127.1.2.2"},
			edit: func(_ *node.Gate, a *Answers) { a.Hosts["etcd-b.dev.test"] = addrs("10.0.0.1") }},
		{name: "no answer about an address", want: []string{"etcd-b.dev.test. cannot be looked up, want 127.1.2.2: no answer"},
			edit: func(_ *node.Gate, a *Answers) { both(a, cluster.Unknown[[]netip.Addr]("no answer")) }},
		{name: "no SRV", want: []string{service + " has no SRV records, want 3"},
			edit: func(_ *node.Gate, a *Answers) { a.Services = cluster.Known([]cluster.Service(nil)) }},
		{name: "no answer about SRV", want: []string{service + " cannot be looked up: no answer"},
			edit: func(_ *node.Gate, a *Answers) { a.Services = cluster.Unknown[[]cluster.Service]("no answer") }},
		{name: "SRV incomplete", want: []string{service + ` lacks "0 0 2380 etcd-c.dev.test."`},
			edit: func(_ *node.Gate, a *Answers) { a.Services = cluster.Known(a.Services.Or(nil)[1:]) }},
		{name: "SRV of one member more", want: []string{service + ` has "0 0 2380 etcd-z.dev.test.", which is not expected`},
			edit: func(_ *node.Gate, a *Answers) {
				a.Services = cluster.Known(append(a.Services.Or(nil), cluster.Service{Target: "etcd-z.dev.test.", Port: 2380}))
			}},
		{name: "SRV given twice", want: []string{service + ` has "0 0 2380 etcd-c.dev.test.", which is not expected`},
			edit: func(_ *node.Gate, a *Answers) {
				a.Services = cluster.Known(append(a.Services.Or(nil), a.Services.Or(nil)[0]))
			}},
		{name: "another port", want: []string{service + ` has "0 0 2381 etcd-c.dev.test.", which is not expected`, service + ` lacks "0 0 2380 etcd-c.dev.test."`},
			edit: func(_ *node.Gate, a *Answers) { a.Services.Or(nil)[0].Port++ }},
		{name: "upper case, which etcd keeps", want: []string{service + ` has "0 0 2380 ETCD-C.dev.test.", which is not expected`, service + ` lacks "0 0 2380 etcd-c.dev.test."`},
			edit: func(_ *node.Gate, a *Answers) { a.Services.Or(nil)[0].Target = "ETCD-C.dev.test." }},
		{name: "rival scheme", want: []string{rival + " exists, want it absent: etcd would mix both SRV sets"},
			edit: func(_ *node.Gate, a *Answers) { a.Rival = cluster.Known(a.Services.Or(nil)[:1]) }},
		{name: "no answer about the rival scheme", want: []string{rival + " cannot be looked up, want it absent: no answer"},
			edit: func(_ *node.Gate, a *Answers) { a.Rival = cluster.Unknown[[]cluster.Service]("no answer") }},
		{name: "two peers at one address", want: []string{"etcd-a.dev.test. and etcd-b.dev.test. are both expected at 127.1.2.1:2380, want distinct addresses"},
			edit: func(g *node.Gate, a *Answers) { g.Peers[1].Address = "127.1.2.1"; both(a, addrs("127.1.2.1")) }},
		{name: "one address, two ports", edit: func(g *node.Gate, a *Answers) {
			g.Peers[1].Address, g.Peers[1].Port = "127.1.2.1", 2390
			*a = truth(*g)
		}},
		{name: "nothing expected", want: []string{"member.json: no peers are expected, want at least this member", service + " has no SRV records, want 0"},
			edit: func(g *node.Gate, a *Answers) { g.Peers, a.Services = nil, cluster.Known([]cluster.Service(nil)) }},
		{name: "all at once, in a fixed order", want: []string{
			service + " has no SRV records, want 3", rival + " exists, want it absent: etcd would mix both SRV sets",
			"etcd-a.dev.test. has no address, want 127.1.2.1", "etcd-b.dev.test. has no address, want 127.1.2.2", "etcd-c.dev.test. has no address, want 127.1.2.3"},
			edit: func(_ *node.Gate, a *Answers) {
				*a = Answers{Services: cluster.Known([]cluster.Service(nil)), Rival: a.Services, Hosts: a.Hosts}
				for name := range a.Hosts {
					a.Hosts[name] = addrs()
				}
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := threePeers()
			a := truth(g)
			tt.edit(&g, &a)
			if diff := cmp.Diff(tt.want, Check(g, rival, a)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// No single lie of a resolver passes.
func TestCheckMissesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := node.Gate{Service: service}
		for i := range rapid.IntRange(1, 9).Draw(t, "peers") {
			g.Peers = append(g.Peers, node.Peer{Target: fmt.Sprintf("etcd-%d.dev.test.", i), Port: 2380, Address: fmt.Sprintf("127.1.2.%d", i+1)})
		}
		a := truth(g)
		if wrong := Check(g, rival, a); len(wrong) > 0 {
			t.Fatalf("the truth is wrong: %q", wrong)
		}
		i := rapid.IntRange(0, len(g.Peers)-1).Draw(t, "which")
		name := rapid.SampledFrom(hostNames(g.Peers[i].Target)).Draw(t, "form")
		lie := rapid.SampledFrom([]func(){
			func() { a.Services = cluster.Known(slices.Delete(a.Services.Or(nil), i, i+1)) },
			func() { a.Services.Or(nil)[i].Port ^= 1 },
			func() { a.Services.Or(nil)[i].Target = "x" + a.Services.Or(nil)[i].Target },
			func() { a.Services = cluster.Unknown[[]cluster.Service]("lost") },
			func() { a.Rival = cluster.Known(a.Services.Or(nil)[:1]) },
			func() { delete(a.Hosts, name) },
			func() { a.Hosts[name] = cluster.Unknown[[]netip.Addr]("lost") },
			func() { a.Hosts[name] = cluster.Known([]netip.Addr{netip.MustParseAddr("127.9.9.9")}) },
			func() {
				a.Hosts[name] = cluster.Known(append(slices.Clone(a.Hosts[name].Or(nil)), netip.MustParseAddr("::1")))
			},
		}).Draw(t, "lie")
		lie()
		if wrong := Check(g, rival, a); len(wrong) == 0 {
			t.Fatal("a lie passed")
		}
	})
}

func TestRivalService(t *testing.T) {
	for _, tt := range []struct {
		service string
		tls     bool
		want    string
	}{
		{"_etcd-server-ssl._tcp.dev.test.", true, "_etcd-server._tcp.dev.test."},
		{"_etcd-server._tcp.dev.test.", false, "_etcd-server-ssl._tcp.dev.test."},
		{"_etcd-server-ssl-c2._tcp.dev.test.", true, "_etcd-server-c2._tcp.dev.test."},
		{"_etcd-server-c2._tcp.dev.test.", false, "_etcd-server-ssl-c2._tcp.dev.test."},
		{"_etcd-server-ssl._tcp.dev.test.", false, "_etcd-server-ssl-ssl._tcp.dev.test."}, // plain, --discovery-srv-name=ssl
		{"_other._tcp.dev.test.", true, ""},
	} {
		n := node.Node{Gate: node.Gate{Service: tt.service}}
		if tt.tls {
			n.Names = []string{"etcd-a.dev.test"}
		}
		if got := RivalService(n); got != tt.want {
			t.Errorf("rival of %s (TLS %t): %q, want %q", tt.service, tt.tls, got, tt.want)
		}
	}
}

// The names agree with those that the spec gives.
func TestRivalServiceIsTheSpecs(t *testing.T) {
	for _, tls := range []bool{false, true} {
		for _, name := range []string{"", "c2"} {
			s := cluster.Spec{Cluster: "dev", Domain: "dev.test", DiscoveryName: name, Members: 1, TLS: tls}
			h := cluster.Host{Name: "etcd-a", Address: netip.MustParseAddr("127.1.2.3"), Ports: cluster.StandardPorts()}
			n := node.Render(s, marker(cluster.Bootstrapping), []cluster.Host{h}, h, "")
			if got := RivalService(n); !slices.Contains(s.RivalServices(), got) {
				t.Errorf("rival of %s: %q, want one of %q", n.Gate.Service, got, s.RivalServices())
			}
		}
	}
}

// The gate asks real DNS, tells each new state of affairs once, and opens as
// soon as all is right.
func TestWaitAtGate(t *testing.T) {
	t.Parallel()
	a, b := cluster.Host{Name: "etcd-a"}, cluster.Host{Name: "etcd-b"}
	a.Address, b.Address = netip.MustParseAddr("127.1.2.1"), netip.MustParseAddr("127.1.2.2")
	a.Ports, b.Ports = cluster.StandardPorts(), cluster.StandardPorts()
	members := []cluster.Host{a, b}
	full := publish(members)
	// Each world is shown when the one before it has been complained about.
	worlds := []struct {
		records []string
		want    string
	}{
		{nil, "R3: _etcd-server._tcp.dev.test. has no SRV records, want 2; etcd-a.dev.test. has no address, want 127.1.2.1; etcd-b.dev.test. has no address, want 127.1.2.2"},
		{publish(members, "etcd-b.dev.test."), "R3: etcd-b.dev.test. has no address, want 127.1.2.2"},
		{append(full[:len(full):len(full)], "etcd-a.dev.test. 60 IN AAAA ::1"), "R3: etcd-a.dev.test. has address 127.1.2.1 and ::1, want 127.1.2.1"},
		{append(full[:len(full):len(full)], "_etcd-server-ssl._tcp.dev.test. 60 IN SRV 0 0 2380 etcd-a.dev.test."), "R3: _etcd-server-ssl._tcp.dev.test. exists, want it absent: etcd would mix both SRV sets"},
		{append(full[:len(full):len(full)], "_etcd-server._tcp.dev.test. 60 IN SRV 0 0 2380 etcd-z.dev.test."), `R3: _etcd-server._tcp.dev.test. has "0 0 2380 etcd-z.dev.test.", which is not expected`},
		{full, ""},
	}
	dns := newNameServer(t, worlds[0].records...)
	n := render(cluster.Bootstrapping, dns.addr, a, b)
	r, err := newResolver(dns.addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	err = waitAtGate(t.Context(), r, n, func(wrong string) error {
		if wrong != worlds[at].want {
			t.Errorf("world %d: %q, want %q", at, wrong, worlds[at].want)
		}
		at++
		dns.set(t, worlds[at].records...)
		return nil
	})
	if err != nil || at != len(worlds)-1 {
		t.Errorf("gate: %v after %d of %d worlds", err, at, len(worlds)-1)
	}
}

func TestGateEndsWithItsContextAndNotes(t *testing.T) {
	t.Parallel()
	dns := newNameServer(t)
	dns.close()
	n := render(cluster.Bootstrapping, dns.addr, cluster.Host{Name: "etcd-a", Address: netip.MustParseAddr("127.1.2.1")})
	r, err := newResolver(dns.addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("enough")
	var told []string
	err = waitAtGate(ctx, r, n, func(wrong string) error {
		told = append(told, wrong)
		time.AfterFunc(5*gateFirstPause, func() { cancel(stop) }) // some rounds later, all of them the same
		return nil
	})
	if !errors.Is(err, stop) || !strings.Contains(err.Error(), "R3: ") {
		t.Errorf("gate ended with %v, want the cause and what it waited for", err)
	}
	if len(told) != 1 || !strings.Contains(told[0], "name server "+dns.addr+": connection refused") {
		t.Errorf("told %q, want one line that names the server and what it did", told)
	}
	full := errors.New("disk full")
	if err := waitAtGate(t.Context(), r, n, func(string) error { return full }); !errors.Is(err, full) {
		t.Errorf("gate that could not be noted: %v", err)
	}
}

// A gate does not wait for a list that its host was given no longer.
func TestGateEndsWhenAnotherNodeIsDelivered(t *testing.T) {
	t.Parallel()
	dns := newNameServer(t)
	a, b := newHost(t, "etcd-a"), newHost(t, "etcd-b")
	n := render(cluster.Bootstrapping, dns.addr, a, b)
	install(t, n)
	r, err := newResolver(dns.addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.Address = newAddress(t) // it was made again
	told := 0
	err = waitAtGate(t.Context(), r, n, func(string) error {
		told++
		install(t, render(cluster.Bootstrapping, dns.addr, a, b))
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "another node was delivered") || told != 1 {
		t.Errorf("gate: %v, after it told %d times what it waits for", err, told)
	}
}

// A gate opens where the first name server of resolv.conf is mute, as long as
// another one answers; while it is shut, it names the mute one.
func TestGateOpensBesideAMuteNameServer(t *testing.T) {
	t.Parallel()
	a, b := cluster.Host{Name: "etcd-a"}, cluster.Host{Name: "etcd-b"}
	a.Address, b.Address = netip.MustParseAddr("127.1.2.1"), netip.MustParseAddr("127.1.2.2")
	a.Ports, b.Ports = cluster.StandardPorts(), cluster.StandardPorts()
	members := []cluster.Host{a, b}
	good := newNameServer(t, publish(members, "etcd-b.dev.test.")...)
	mute := strange(t, func([]byte) [][]byte { return nil })
	r := besides(t, mute, good.addr)
	began, told := time.Now(), []string(nil)
	err := waitAtGate(t.Context(), r, render(cluster.Bootstrapping, "", a, b), func(wrong string) error {
		told = append(told, wrong)
		good.set(t, publish(members)...)
		return nil
	})
	if took := time.Since(began); err != nil || took > 10*time.Second {
		t.Errorf("gate: %v after %s", err, took)
	}
	want := "R3: etcd-b.dev.test. has no address, want 127.1.2.2; no answer from name server " + mute + " of /etc/resolv.conf"
	if len(told) != 1 || told[0] != want {
		t.Errorf("told %q, want %q", told, want)
	}
}

// Rule R1: one family that cannot be asked for is not absence.
func TestOneFamilyIsUnknown(t *testing.T) {
	t.Parallel()
	addr := strange(t, func(query []byte) [][]byte {
		var q, a dns.Msg
		if err := q.Unpack(query); err != nil {
			t.Error(err)
		}
		a.SetReply(&q)
		a.RecursionAvailable = true // else an empty answer is none
		if q.Question[0].Qtype == dns.TypeA {
			a.Rcode = dns.RcodeServerFailure
		}
		packed, err := a.Pack()
		if err != nil {
			t.Error(err)
		}
		return [][]byte{packed}
	})
	for _, name := range hostNames("etcd-a.dev.test.") {
		seen := askAddresses(t.Context(), mustResolver(t, addr, nil).network(), addr, name)
		if got, known := seen.Get(); known {
			t.Errorf("%s has addresses %v, want unknown", name, got)
		}
	}
}
