package bed_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
)

func TestMain(m *testing.M) { os.Exit(bed.Main(m)) }

// patience is how long to wait for what should come, and for what should not.
func patience(should bool) time.Duration {
	if should {
		return 20 * time.Second
	}
	return time.Second
}

// sees says whether one host reaches another's ssh port, as it should or not.
func sees(t *testing.T, from, to *bed.Host, should bool) bool {
	t.Helper()
	out, err := from.Enter(t.Context(), fmt.Sprintf("timeout %d bash -c '</dev/tcp/%s/22' 2>/dev/null && echo yes || echo no",
		int(patience(should).Seconds()), to.Addr))
	if err != nil {
		t.Fatal(err)
	}
	return out == "yes\n"
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// reaches says whether the controller reaches a host's sshd, as it should or not.
func reaches(t *testing.T, b *bed.Bed, h *bed.Host, should bool) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience(should))
	defer cancel()
	conn, err := b.Dial(ctx, "tcp", net.JoinHostPort(h.Addr.String(), "22"))
	if err != nil {
		return false
	}
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(patience(should))))
	banner, _ := io.ReadAll(io.LimitReader(conn, 4))
	return string(banner) == "SSH-"
}

func TestFaults(t *testing.T) {
	b := bed.Up(t, 3)
	h1, h2, h3 := b.Hosts[0], b.Hosts[1], b.Hosts[2]
	want := func(when string, from, to *bed.Host, yes bool) {
		t.Helper()
		if got := sees(t, from, to, yes); got != yes {
			t.Errorf("%s: %s sees %s: %t", when, from.Name, to.Name, got)
		}
	}
	wantReached := func(when string, h *bed.Host, yes bool) {
		t.Helper()
		if got := reaches(t, b, h, yes); got != yes {
			t.Errorf("%s: the controller reaches %s: %t", when, h.Name, got)
		}
	}
	want("at first", h1, h2, true)

	must(t, h1.Partition(t.Context()))
	want("h1 apart", h1, h2, false)
	want("h1 apart", h2, h3, true)
	wantReached("h1 apart", h1, true)
	must(t, h1.Heal(t.Context()))
	want("healed", h1, h2, true)

	must(t, h1.Partition(t.Context(), h2))
	want("h1 and h2 apart", h2, h1, false)
	want("h1 and h2 apart", h1, h3, true)
	must(t, b.Heal(t.Context()))
	want("healed", h1, h2, true)

	must(t, h2.PullCable(t.Context()))
	wantReached("cable pulled", h2, false)
	must(t, h2.Heal(t.Context()))
	wantReached("cable back", h2, true)

	must(t, h3.Pause(t.Context()))
	wantReached("paused", h3, false)
	must(t, h3.Resume(t.Context()))
	wantReached("resumed", h3, true)
}

// A disk outlives reboot, shutdown and power cut; what is in memory does not.
func TestPower(t *testing.T) {
	b := bed.Up(t, 1)
	h := b.Hosts[0]
	run := func(command string) string {
		t.Helper()
		out, err := h.Exec(t.Context(), command)
		must(t, err)
		return out
	}
	for name, cycle := range map[string]func() error{
		"reboot": func() error { return h.Reboot(t.Context()) },
		"stop": func() error {
			if err := h.Stop(t.Context()); err != nil {
				return err
			}
			return h.Start(t.Context())
		},
		"kill": func() error {
			if err := h.Kill(t.Context()); err != nil {
				return err
			}
			return h.Start(t.Context())
		},
	} {
		run("echo " + name + " | tee /root/kept >/run/lost")
		begun := time.Now()
		must(t, cycle())
		t.Logf("%s and back: %s", name, time.Since(begun).Round(10*time.Millisecond))
		if got := run("cat /root/kept; ls /run/lost 2>&1 | grep -c 'No such'"); got != name+"\n1\n" {
			t.Errorf("after %s: %q", name, got)
		}
	}
}

// A full disk takes nothing more, and keeps what it has.
func TestFullDisk(t *testing.T) {
	b := bed.Up(t, 1, bed.Disk("64M"))
	h := b.Hosts[0]
	_, err := h.Exec(t.Context(), "echo first >/root/kept")
	must(t, err)
	must(t, h.Fill(t.Context()))
	if out, err := h.Exec(t.Context(), "head -c 1M /dev/zero >/root/more"); err == nil || !strings.Contains(err.Error(), "No space left") {
		t.Errorf("on a full disk: %v, %s", err, out)
	}
	must(t, h.Kill(t.Context()))
	must(t, h.Start(t.Context()))
	must(t, h.Free(t.Context()))
	if out, err := h.Exec(t.Context(), "cat /root/kept; head -c 1M /dev/zero >/root/more"); err != nil || out != "first\n" {
		t.Errorf("with space again: %v, %s", err, out)
	}
}

// The test itself, its programs and the hosts share one network, in which
// names are asked of the forwarder, and of whoever it is told to ask.
func TestNames(t *testing.T) {
	b := bed.Up(t, 1)
	h := b.Hosts[0]
	addrs, err := b.Resolver().LookupHost(t.Context(), "h1.bed.test")
	if err != nil || len(addrs) != 1 || addrs[0] != h.Addr.String() {
		t.Errorf("h1.bed.test is %v, %v", addrs, err)
	}
	out, err := b.Command(t.Context(), "getent", "hosts", "h1.bed.test").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), h.Addr.String()) {
		t.Errorf("a program on the controller sees %q, %v", out, err)
	}

	here := netip.MustParseAddr("192.0.2.7")
	var answer atomic.Pointer[netip.Addr]
	answer.Store(&here)
	server := serve(t, b, answer.Load)
	if out, err := h.Exec(t.Context(), "getent hosts a.zone.example"); err == nil {
		t.Errorf("nobody knows the zone yet, but the host sees %q", out)
	}
	must(t, b.Forward(t.Context(), "zone.example.", server))
	if out, err := h.Exec(t.Context(), "getent hosts a.zone.example"); err != nil || !strings.HasPrefix(out, here.String()) {
		t.Errorf("through the forwarder the host sees %q, %v", out, err)
	}
	must(t, b.Forward(t.Context(), "zone.example."))
	if out, err := h.Exec(t.Context(), "getent hosts a.zone.example"); err == nil {
		t.Errorf("the zone is nobody's again, but the host sees %q", out)
	}
	must(t, h.SetResolver(t.Context(), server))
	if out, err := h.Exec(t.Context(), "getent hosts a.zone.example"); err != nil || !strings.HasPrefix(out, here.String()) {
		t.Errorf("asking directly the host sees %q, %v", out, err)
	}

	must(t, h.SetResolver(t.Context(), b.Controller()))
	must(t, b.Silence(t.Context()))
	if out, err := h.Exec(t.Context(), "getent hosts h1.bed.test"); err == nil {
		t.Errorf("nobody answers, but the host sees %q", out)
	}
	must(t, b.Forward(t.Context(), "zone.example.", server))
	if out, err := h.Exec(t.Context(), "getent hosts a.zone.example"); err != nil || !strings.HasPrefix(out, here.String()) {
		t.Errorf("after the silence the host sees %q, %v", out, err)
	}

	// The forwarder does not remember an answer for as long as it might.
	there := netip.MustParseAddr("192.0.2.8")
	answer.Store(&there)
	for end := time.Now().Add(ttl / 2); ; {
		out, err := h.Exec(t.Context(), "getent hosts a.zone.example")
		if err == nil && strings.HasPrefix(out, there.String()) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%s after the change the host still sees %q, %v", ttl/2, out, err)
		}
	}
}

// ttl of all answers of [serve].
const ttl = time.Minute

// serve starts a name server in the test that has one answer to everything at a
// time.
func serve(t *testing.T, b *bed.Bed, answer func() *netip.Addr) netip.Addr {
	t.Helper()
	at, err := b.Address(t.Context())
	must(t, err)
	conn, err := b.ListenPacket(t.Context(), netip.AddrPortFrom(at, 53))
	must(t, err)
	server := &wire.Server{PacketConn: conn, Handler: wire.HandlerFunc(func(w wire.ResponseWriter, asked *wire.Msg) {
		m := new(wire.Msg).SetReply(asked)
		if q := asked.Question[0]; q.Qtype == wire.TypeA {
			m.Answer = []wire.RR{&wire.A{Hdr: wire.RR_Header{Name: q.Name, Rrtype: wire.TypeA, Class: wire.ClassINET, Ttl: uint32(ttl.Seconds())}, A: answer().AsSlice()}}
		}
		_ = w.WriteMsg(m)
	})}
	done := make(chan error, 1)
	go func() { done <- server.ActivateAndServe() }()
	t.Cleanup(func() {
		must(t, conn.Close())
		<-done
	})
	return at
}

func TestTraffic(t *testing.T) {
	b := bed.Up(t, 2)
	h := b.Hosts[0]
	before, err := h.Traffic(t.Context())
	must(t, err)
	const size = 1 << 20
	cmd := b.Command(t.Context(), "ssh", "-F", b.SSHConfig(), "h1", "wc -c")
	cmd.Stdin = io.LimitReader(zeros{}, size)
	if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "1048576" {
		t.Fatalf("%q, %v", out, err)
	}
	after, err := h.Traffic(t.Context())
	must(t, err)
	if got := after.Received - before.Received; got < size || got > size*5/4 {
		t.Errorf("received %d bytes for %d", got, size)
	}
	if got := after.Pushed - before.Pushed; got < size || got > after.Received-before.Received {
		t.Errorf("pushed %d bytes for %d, received %d", got, size, after.Received-before.Received)
	}
	if got := after.Sent - before.Sent; got > size/4 {
		t.Errorf("sent %d bytes for a few", got)
	}

	const pings, pingSize = 20, 50_000
	_, err = b.Hosts[1].Enter(t.Context(), fmt.Sprintf("ping -q -c %d -i 0.01 -s %d %s", pings, pingSize, h.Addr))
	must(t, err)
	between, err := h.Traffic(t.Context())
	must(t, err)
	if got := between.Received - after.Received; got < pings*pingSize {
		t.Errorf("received %d bytes from the other host for %d", got, pings*pingSize)
	}
	if got := between.Pushed - after.Pushed; got > size/4 {
		t.Errorf("what the other host sent counts as pushed: %d bytes", got)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Two beds at once have the same addresses and do not see each other. What a
// killed owner leaves is swept up by the next bed, what a living one has is not.
func TestBedsKeepApart(t *testing.T) {
	owner := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOwner$")
	owner.Env = append(os.Environ(), "BED_OWNER=1")
	said, err := owner.StdoutPipe()
	must(t, err)
	must(t, owner.Start())
	line := make([]byte, 64)
	n, err := said.Read(line)
	must(t, err)
	dir := strings.TrimSpace(string(line[:n]))

	b := bed.Up(t, 1)
	if b.Hosts[0].Addr != netip.MustParseAddr("10.231.0.11") {
		t.Errorf("h1 is %s", b.Hosts[0].Addr)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("the other's bed is gone while it lives: %v", err)
	}
	must(t, owner.Process.Signal(syscall.SIGKILL))
	_ = owner.Wait()

	bed.Up(t, 1)
	if _, err := os.Stat(dir); err == nil {
		t.Errorf("the dead owner's %s is still there", dir)
	}
	if _, err := b.Hosts[0].Exec(t.Context(), "true"); err != nil {
		t.Errorf("the first bed was swept up too: %v", err)
	}
}

// TestOwner is the other process of TestBedsKeepApart: it opens a bed, prints
// its folder, and is killed.
func TestOwner(t *testing.T) {
	if os.Getenv("BED_OWNER") == "" {
		return
	}
	b, err := bed.Open(t.Context(), 1)
	must(t, err)
	_, err = os.Stdout.WriteString(filepath.Dir(b.Key()) + "\n")
	must(t, err)
	select {}
}
