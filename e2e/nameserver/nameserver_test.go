package nameserver_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"
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

// addresses are the A records of a name, and whether the server answers at all.
func addresses(t *testing.T, s *nameserver.Server, name string) (list []string, answers bool) {
	t.Helper()
	client := wire.Client{Net: "tcp", Timeout: 2 * time.Second}
	m, _, err := client.ExchangeContext(t.Context(), new(wire.Msg).SetQuestion(name, wire.TypeA), s.Addr().String())
	if err != nil {
		return nil, false
	}
	for _, r := range m.Answer {
		list = append(list, r.(*wire.A).A.String())
	}
	return list, true
}

// freePort is a port that nobody listens on just now.
func freePort(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func TestServers(t *testing.T) {
	for _, kind := range nameserver.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			s, err := nameserver.New(t.Context(), nameserver.Config{
				Kind: kind, Dir: t.TempDir(), At: freePort(t),
				Zone: "bed.example.", Domain: "c1.bed.example.", Clients: netip.MustParsePrefix("127.0.0.0/8"),
			})
			must(t, err)
			begun := time.Now()
			must(t, s.Start(t.Context()))
			t.Cleanup(s.Kill)
			t.Logf("answers after %s", time.Since(begun).Round(time.Millisecond))
			check(t, s, kind)
			for name, end := range map[string]func(){"stopped": s.Stop, "killed": s.Kill} {
				end()
				if _, ok := addresses(t, s, "www.bed.example."); ok {
					t.Errorf("%s, and answers", name)
				}
				must(t, s.Start(t.Context()))
				if got, _ := addresses(t, s, "m1.c1.bed.example."); len(got) != 1 || got[0] != "192.0.2.1" {
					t.Errorf("after it was %s and started, m1 has %v", name, got)
				}
			}
			if strings.Contains(s.Log(), secret(t, s)) {
				t.Error("the log has the secret")
			}
		})
	}
}

// check looks at what the key may do and what others may not.
func check(t *testing.T, s *nameserver.Server, kind nameserver.Kind) {
	t.Helper()
	if got, _ := addresses(t, s, "ns1.bed.example."); len(got) != 1 || got[0] != s.Addr().Addr().String() {
		t.Errorf("ns1 has %v", got)
	}
	if out, err := update(t, s, s.KeyFile(), "add m1.c1.bed.example. 60 A 192.0.2.1"); err != nil {
		t.Fatalf("a granted update: %v %s\n%s", err, out, s.Log())
	}
	if got, _ := addresses(t, s, "m1.c1.bed.example."); len(got) != 1 || got[0] != "192.0.2.1" {
		t.Errorf("m1 has %v", got)
	}
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
	last.Stop()
	if out, err := h.Exec(t.Context(), "getent hosts www.bed.example"); err == nil {
		t.Errorf("the only name server is down, but the host sees %q", out)
	}
}
