package liar_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/e2e/liar"
	"github.com/pleiad-etcd/pleiad/e2e/nameserver"
	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
)

func TestMain(m *testing.M) { os.Exit(bed.Main(m)) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const list = "_etcd-server._tcp.c1.bed.example"

// stand is a bed of one host that asks a liar, who has the truth from a name
// server.
type stand struct {
	*testing.T
	bed    *bed.Bed
	server *nameserver.Server
	liar   *liar.Liar
	at     netip.Addr // where the liar is
}

func newStand(t *testing.T) stand {
	t.Helper()
	b := bed.Up(t, 1)
	s := stand{T: t, bed: b}
	truth, err := b.Address(t.Context())
	must(t, err)
	s.server, err = nameserver.New(t.Context(), nameserver.Config{
		Kind: nameserver.Knot, Dir: t.TempDir(), At: netip.AddrPortFrom(truth, 53),
		Zone: "bed.example.", Domain: "c1.bed.example.", Clients: netip.PrefixFrom(truth, 24).Masked(), Command: b.Command, Dial: b.Dial,
	})
	must(t, err)
	must(t, s.server.Start(t.Context()))
	t.Cleanup(s.server.Kill)

	s.at, err = b.Address(t.Context())
	must(t, err)
	at := netip.AddrPortFrom(s.at, 53)
	udp, err := b.ListenPacket(t.Context(), at)
	must(t, err)
	tcp, err := b.Listen(t.Context(), at)
	must(t, err)
	s.liar = liar.Start(liar.Config{UDP: udp, TCP: tcp, Truth: s.server.Addr(), Dial: b.Dial})
	t.Cleanup(func() {
		if err := s.liar.Close(); err != nil {
			t.Error(err)
		}
	})
	must(t, b.Hosts[0].SetResolver(t.Context(), s.at))
	return s
}

func (s stand) update(lines ...string) {
	s.Helper()
	cmd := s.bed.Command(s.Context(), "nsupdate", "-v", "-k", s.server.KeyFile())
	cmd.Stdin = strings.NewReader(fmt.Sprintf("server %s\nzone bed.example.\n%s\nsend\n", s.server.Addr().Addr(), strings.Join(lines, "\n")))
	if out, err := cmd.CombinedOutput(); err != nil {
		s.Fatalf("%v\n%s", err, out)
	}
}

// targets are the members on the list as a Go program sees it who asks the
// liar, in order: "m1 m2".
func (s stand) targets() string {
	s.Helper()
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return s.bed.Dial(ctx, network, netip.AddrPortFrom(s.at, 53).String())
	}}
	ctx, cancel := context.WithTimeout(s.Context(), 10*time.Second)
	defer cancel()
	_, found, err := resolver.LookupSRV(ctx, "", "", list+".")
	if err != nil {
		return "error: " + err.(*net.DNSError).Err
	}
	var names []string
	for _, r := range found {
		names = append(names, strings.TrimSuffix(r.Target, ".c1.bed.example."))
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// address is where the host sees m1.
func (s stand) address() string {
	s.Helper()
	out, err := s.bed.Hosts[0].Exec(s.Context(), "getent ahostsv4 m1.c1.bed.example | head -1 | cut -d' ' -f1")
	if _, failed := err.(*exec.ExitError); err != nil && !failed {
		s.Fatal(err)
	}
	return strings.TrimSpace(out)
}

func (s stand) want(what, want, got string) {
	s.Helper()
	if got != want {
		s.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestLies(t *testing.T) {
	s := newStand(t)
	s.update("add m1.c1.bed.example. 60 A 192.0.2.1",
		"add "+list+". 60 SRV 0 0 2380 m1.c1.bed.example.", "add "+list+". 60 SRV 0 0 2380 m2.c1.bed.example.")
	s.want("honest", "m1 m2", s.targets())
	s.want("honest", "192.0.2.1", s.address())
	if n := s.liar.Told(); n != 0 {
		t.Errorf("%d lies before it was told to", n)
	}

	s.liar.Tell(list, wire.TypeSRV, liar.Doubled)
	s.want("doubled", "m1 m1 m2 m2", s.targets())
	s.liar.Tell(list, wire.TypeSRV, liar.NoSuchName)
	s.want("denied", "error: no such host", s.targets())
	s.liar.Tell(list, wire.TypeSRV, liar.Partial(0))
	s.want("none", "error: no such host", s.targets())
	s.liar.Tell(list, wire.TypeSRV, liar.Partial(1))
	if got := s.targets(); got != "m1" && got != "m2" {
		t.Errorf("partial: %q", got)
	}
	s.liar.Tell("m1.c1.bed.example", wire.TypeA, liar.Elsewhere("m1.c1.bed.example", netip.MustParseAddr("198.51.100.9")))
	s.want("elsewhere", "198.51.100.9", s.address())
	s.liar.Tell("m1.c1.bed.example", wire.TypeA, liar.Silence)
	s.want("silent", "", s.address())
	if n := s.liar.Told(); n < 6 {
		t.Errorf("only %d lies", n)
	}
	s.liar.Repent()

	must(t, s.liar.Freeze(t.Context(), list, wire.TypeSRV))
	s.update("add " + list + ". 60 SRV 0 0 2380 m3.c1.bed.example.")
	s.want("stale", "m1 m2", s.targets())
	s.liar.Repent()
	s.want("repented", "m1 m2 m3", s.targets())
	s.want("repented", "192.0.2.1", s.address())

	s.server.Stop()
	s.want("the truth is gone", "error: server misbehaving", s.targets())
}
