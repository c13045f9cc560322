//go:build unix

package member

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// Another etcd takes the place of the member's process: it is the one in the
// status, it holds the lock, and no second member starts beside it.
func TestAnotherEtcd(t *testing.T) {
	t.Parallel()
	n := render(cluster.Bootstrapping, "", newHost(t, "etcd-a"))
	makeWAL(t, n.Paths.Data, n.Member, n.ID, []byte("x"))
	install(t, n)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	m := launchProgram(t, n, []string{self}, "ETCD_NAME=evil", "PLAY_GROW="+n.Paths.Data)
	until(t, "the other etcd", func() bool {
		b, err := os.ReadFile(n.Paths.Log)
		return err == nil && strings.Contains(string(b), "another etcd was given "+strings.Join(n.Args, " "))
	})
	if p := m.inspect().Process; !p.Running || p.PID != m.cmd.Process.Pid || p.Flags != n.Flags() || p.Gate != "" {
		t.Errorf("status of the other etcd: %+v, want it running as process %d", p, m.cmd.Process.Pid)
	}
	second := launchProgram(t, n, []string{self})
	if got := second.ended().ExitStatus(); got != exitRunning {
		t.Errorf("second member exits with %d, want %d", got, exitRunning)
	}
	// A second process marks what the other etcd writes, and after its end for
	// the last time.
	until(t, "the other etcd to write", func() bool {
		b, err := os.ReadFile(n.Paths.Log)
		return err == nil && strings.Contains(string(b), "another etcd has written")
	})
	if d := m.inspect().Data; !d.Present || d.Older {
		t.Errorf("data of the other etcd: %+v", d)
	}
	m.signal(syscall.SIGTERM)
	if got := m.ended().ExitStatus(); got != exitOther {
		t.Errorf("ended with %d, want the other etcd's own end, %d", got, exitOther)
	}
	if p := m.inspect().Process; p.Running {
		t.Errorf("status after its end: %+v", p)
	}
	until(t, "the last mark", func() bool { return marked(t, n).Reach.Index == 11 })
	until(t, "the birth to be noted", func() bool { return m.inspect().Data.Born })
}

// A program that cannot be run is the reason of the end.
func TestAnotherEtcdThatIsNotThere(t *testing.T) {
	t.Parallel()
	n := render(cluster.Bootstrapping, "", newHost(t, "etcd-a"))
	makeWAL(t, n.Paths.Data, n.Member, n.ID)
	install(t, n)
	m := launchProgram(t, n, []string{"/does/not/exist"})
	if got := m.ended().ExitStatus(); got != exitRefused {
		t.Errorf("exits with %d, want %d", got, exitRefused)
	}
	if p := m.inspect().Process; p.Running || !strings.Contains(p.Exit, "run /does/not/exist: no such file or directory") {
		t.Errorf("status %+v, want the reason", p)
	}
}

// systemd shows what the start gate waits for.
func TestGateIsToldToSystemd(t *testing.T) {
	t.Parallel()
	h := newHost(t, "etcd-a")
	dns := newNameServer(t)
	n := render(cluster.Bootstrapping, dns.addr, h)
	install(t, n)
	socket := notifySocket(t)
	launch(t, n, "NOTIFY_SOCKET="+socket.LocalAddr().String())
	next := func() string {
		t.Helper()
		b := make([]byte, 4<<10)
		read, err := socket.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:read])
	}
	waits := next()
	if !strings.HasPrefix(waits, "STATUS=waits at its start gate: R3: ") || !strings.Contains(waits, n.Gate.Service+" has no SRV records") || strings.Contains(waits, "\n") {
		t.Errorf("systemd hears %q, want one line of what the gate waits for", waits)
	}
	dns.set(t, publish([]cluster.Host{h})...)
	for heard := waits; !strings.HasPrefix(heard, "STATUS=the start gate has opened"); heard = next() {
		if strings.HasPrefix(heard, "READY") {
			t.Fatalf("systemd hears %q before the gate is open", heard)
		}
	}
}
