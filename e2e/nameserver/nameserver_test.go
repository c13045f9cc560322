package nameserver_test

import (
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
	"github.com/pleiad-etcd/pleiad/e2e/nameserver"
	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/dnstest"
)

func TestMain(m *testing.M) { os.Exit(bed.Main(m)) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// update changes the zone as a person would who has the key.
func update(t *testing.T, s *nameserver.Server, keyFile, command string) (string, error) {
	t.Helper()
	args := []string{"-v"}
	if keyFile != "" {
		args = append(args, "-k", keyFile)
	}
	cmd := exec.CommandContext(t.Context(), "nsupdate", args...)
	cmd.Stdin = strings.NewReader(fmt.Sprintf("server %s %d\nzone bed.example.\n%s\nsend\n", s.Addr().Addr(), s.Addr().Port(), command))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// wantAddress asks for a name without a key; "" wants none.
func wantAddress(t *testing.T, s *nameserver.Server, name, want string) {
	t.Helper()
	client := wire.Client{Net: "tcp", Timeout: 10 * time.Second}
	m, _, err := client.ExchangeContext(t.Context(), new(wire.Msg).SetQuestion(name, wire.TypeA), s.Addr().String())
	must(t, err)
	var got []string
	for _, r := range m.Answer {
		got = append(got, r.(*wire.A).A.String())
	}
	if strings.Join(got, " ") != want {
		t.Errorf("%s says that %s has %q, want %q", s.Addr(), name, got, want)
	}
}

// primary is one that is not started yet, on a loopback address of its own.
func primary(t *testing.T, kind nameserver.Kind) *nameserver.Server {
	t.Helper()
	s, err := nameserver.New(t.Context(), nameserver.Config{
		Kind: kind, Dir: t.TempDir(), At: netip.AddrPortFrom(dnstest.Address(), 53),
		Zone: "bed.example.", Domain: "c1.bed.example.", Clients: netip.MustParsePrefix("127.0.0.0/8"),
	})
	must(t, err)
	t.Cleanup(s.Kill)
	return s
}

func TestServers(t *testing.T) {
	for _, kind := range nameserver.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			s := primary(t, kind)
			begun := time.Now()
			must(t, s.Start(t.Context()))
			t.Logf("answers after %s", time.Since(begun).Round(time.Millisecond))
			if err := s.Start(t.Context()); err == nil {
				t.Error("it starts a second time")
			}
			check(t, s, kind)
			for name, end := range map[string]func() error{"stopped": s.Stop, "killed": func() error { s.Kill(); return nil }} {
				must(t, end())
				if serial, err := s.Serial(t.Context()); err == nil {
					t.Errorf("%s, and answers with serial %d", name, serial)
				}
				if listed(t, s.Addr().Addr()) {
					t.Errorf("%s, and its address is still here", name)
				}
				if err := s.Stop(); err != nil {
					t.Errorf("%s, and then stopped: %v", name, err)
				}
				must(t, s.Start(t.Context()))
				wantAddress(t, s, "m1.c1.bed.example.", "192.0.2.1")
			}
			if strings.Contains(s.Log(), secret(t, s)) {
				t.Error("the log has the secret")
			}
		})
	}
}

// listed is whether an interface has the address.
func listed(t *testing.T, addr netip.Addr) bool {
	t.Helper()
	all, err := net.InterfaceAddrs()
	must(t, err)
	return slices.ContainsFunc(all, func(a net.Addr) bool { return strings.HasPrefix(a.String(), addr.String()+"/") })
}

// check looks at what the key may do and what others may not.
func check(t *testing.T, s *nameserver.Server, kind nameserver.Kind) {
	t.Helper()
	wantAddress(t, s, "ns1.bed.example.", s.Addr().Addr().String())
	if out, err := update(t, s, s.KeyFile(), "add m1.c1.bed.example. 60 A 192.0.2.1"); err != nil {
		t.Fatalf("a granted update: %v %s\n%s", err, out, s.Log())
	}
	wantAddress(t, s, "m1.c1.bed.example.", "192.0.2.1")
	for what, try := range map[string]struct{ key, command string }{
		"no key":            {"", "add m2.c1.bed.example. 60 A 192.0.2.2"},
		"outside the grant": {s.KeyFile(), "add m2.bed.example. 60 A 192.0.2.2"},
		"a type not ours":   {s.KeyFile(), "add m2.c1.bed.example. 60 MX 0 www.bed.example."},
	} {
		wide := kind == nameserver.PowerDNS && try.key != ""
		if out, err := update(t, s, try.key, try.command); (err == nil) != wide {
			t.Errorf("%s: %v %s", what, err, out)
		}
	}
}

func secret(t *testing.T, s *nameserver.Server) string {
	t.Helper()
	text, err := os.ReadFile(s.KeyFile())
	must(t, err)
	return strings.Split(string(text), `"`)[3]
}

// A secondary of each kind stays behind its primary until it is told.
func TestSecondaryLagsUntilToldToCatchUp(t *testing.T) {
	for _, kind := range nameserver.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			s := primary(t, kind)
			must(t, s.Start(t.Context()))
			secondary, err := nameserver.NewSecondary(s, t.TempDir(), netip.AddrPortFrom(dnstest.Address(), 53))
			must(t, err)
			must(t, secondary.Start(t.Context()))
			t.Cleanup(secondary.Kill)
			for name, address := range map[string]string{"m1.c1.bed.example.": "192.0.2.1", "m2.c1.bed.example.": "192.0.2.2"} {
				if out, err := update(t, s, s.KeyFile(), "add "+name+" 60 A "+address); err != nil {
					t.Fatalf("%v %s", err, out)
				}
				wantAddress(t, s, name, address)
				wantAddress(t, secondary.Server, name, "")
				must(t, secondary.CatchUp(t.Context()))
				wantAddress(t, secondary.Server, name, address)
			}
			if err := secondary.CatchUp(t.Context()); err != nil {
				t.Errorf("nothing to catch up with: %v", err)
			}
			must(t, secondary.Stop())
			must(t, s.Stop())
		})
	}
}

// On a bed each server has an address of its own and port 53, and hosts see
// its zone through the controller's forwarder, or from itself.
func TestOnBed(t *testing.T) {
	b := bed.Up(t, 1)
	h := b.Hosts[0]
	var last *nameserver.Server
	for _, kind := range nameserver.Kinds() {
		at, err := b.Address(t.Context())
		must(t, err)
		s, err := nameserver.New(t.Context(), nameserver.Config{
			Kind: kind, Dir: t.TempDir(), At: netip.AddrPortFrom(at, 53),
			Zone: "bed.example.", Domain: "c1.bed.example.", Clients: netip.PrefixFrom(at, 24).Masked(),
			Command: b.Command, Dial: b.Dial,
		})
		must(t, err)
		must(t, s.Start(t.Context()))
		t.Cleanup(s.Kill)
		must(t, b.Forward(t.Context(), "bed.example.", at))
		if out, err := h.Exec(t.Context(), "getent hosts ns1.bed.example"); err != nil || !strings.HasPrefix(out, at.String()+" ") {
			t.Errorf("%s through the forwarder: %q %v", kind, out, err)
		}
		last = s
	}
	must(t, h.SetResolver(t.Context(), last.Addr().Addr()))
	if out, err := h.Exec(t.Context(), "getent hosts www.bed.example"); err != nil || !strings.HasPrefix(out, "192.0.2.80 ") {
		t.Errorf("asked directly: %q %v", out, err)
	}
	must(t, last.Stop())
	if out, err := h.Exec(t.Context(), "getent hosts www.bed.example"); err == nil {
		t.Errorf("the only name server is down, but the host sees %q", out)
	}
}
