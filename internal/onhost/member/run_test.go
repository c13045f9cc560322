package member

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
)

// One member's life with a real etcd: it waits at the gate, is born, stops,
// starts again without DNS, and never starts without its own data.
func TestLifeOfAMember(t *testing.T) {
	t.Parallel()
	h := newHost(t, "etcd-a")
	members := []cluster.Host{h}
	dns := newNameServer(t, publish(members, "etcd-a.dev.test.")...)
	n := render(cluster.Bootstrapping, dns.addr, h)
	install(t, n)

	// Flags in the environment would end etcd or change it; a proxy would
	// take its traffic.
	ready := notifySocket(t)
	m := launch(t, n, "NOTIFY_SOCKET="+ready.LocalAddr().String(), "ETCD_NAME=evil", "ETCD_FORCE_NEW_CLUSTER=true", "HTTP_PROXY=http://127.0.0.1:1", "https_proxy=http://127.0.0.1:1")
	waiting := fmt.Sprintf("R3: etcd-a.dev.test. has no address, want %s", h.Address)
	until(t, "the gate to say what it waits for", func() bool { return m.inspect().Process.Gate != "" })
	atGate := cluster.Node{Installed: n.Digest(), Made: n.Made(), Next: cluster.Startup{Flags: n.Flags()}, Process: cluster.Process{Running: true, PID: m.cmd.Process.Pid, Flags: n.Flags(), Program: ourselves(t), Gate: waiting}}
	diffNode(t, "at the gate", atGate, m.inspect())
	if _, err := os.Stat(n.Paths.Data); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data directory was touched before the gate: %v", err)
	}

	second := launch(t, n)
	if got := second.ended().ExitStatus(); got != exitRunning {
		t.Errorf("second member exits with %d, want %d", got, exitRunning)
	}
	diffNode(t, "after a second member", atGate, m.inspect())

	dns.set(t, publish(members)...)
	until(t, "health", m.healthy)
	until(t, "the birth to be noted", func() bool { return m.inspect().Data.Born })
	alive := cluster.Node{Installed: n.Digest(), Made: n.Made(), Next: cluster.Startup{Flags: n.Flags()}, Data: cluster.Data{Present: true, Born: true, Member: n.Member, Cluster: n.ID},
		Process: cluster.Process{Running: true, PID: m.cmd.Process.Pid, Flags: n.Flags(), Program: ourselves(t)}}
	diffNode(t, "serving", alive, m.inspect())

	// etcd tells systemd that it is ready once it has its own signal handlers.
	// Before that it was told what the gate waited for.
	var said []string
	for !slices.Contains(said, "READY=1") {
		word := make([]byte, 1000)
		n, err := ready.Read(word)
		if err != nil {
			t.Fatalf("not ready: %v, only %q", err, said)
		}
		said = append(said, string(word[:n]))
	}
	if want := "STATUS=waits at its start gate: " + waiting; said[0] != want {
		t.Errorf("systemd was told %q, want %q first", said, want)
	}
	m.signal(syscall.SIGTERM)
	if got := m.ended(); got.Signal() != syscall.SIGTERM {
		t.Errorf("ended with %v, want etcd's own end by the signal", got)
	}
	stopped := alive
	stopped.Process.Running, stopped.Process.Exit = false, "received signal terminated"
	diffNode(t, "stopped", stopped, m.inspect())

	// Sealed, it starts with DNS silent, and does not even ask (rule R9).
	dns.set(t)
	asked := len(dns.questions())
	n = render(cluster.Sealed, dns.addr, h)
	install(t, n)
	m = launch(t, n)
	until(t, "health without DNS", m.healthy)
	if now := dns.questions(); len(now) != asked {
		t.Errorf("a sealed member asked DNS: %q", now[asked:])
	}
	m.signal(syscall.SIGKILL)
	m.ended()
	if p := m.inspect().Process; p.Running || p.Exit != "" {
		t.Errorf("killed: %+v, want not running, without a word", p)
	}

	// Its data under another token is another member's (rule R6).
	foreign := node.Render(spec(1), cluster.Marker{Token: "another", Phase: cluster.Sealed}, members, h, dns.addr)
	refused(t, foreign, "R6: data directory "+n.Paths.Data, "member "+n.Member.String(), "member "+foreign.Member.String())

	// Without its data it never starts again, sealed or not.
	if err := os.Rename(n.Paths.Data, n.Paths.Data+".aside"); err != nil {
		t.Fatal(err)
	}
	for _, phase := range []cluster.Phase{cluster.Sealed, cluster.Bootstrapping} {
		refused(t, render(phase, dns.addr, h), "R6: its data directory is empty but the member once had data", n.Member.String())
	}
	if _, err := os.Stat(n.Paths.Data); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a refused start touched the data directory: %v", err)
	}
	if err := os.Rename(n.Paths.Data+".aside", n.Paths.Data); err != nil {
		t.Fatal(err)
	}
	install(t, n)
	m = launch(t, n)
	until(t, "health with the data back", m.healthy)
}

// notifySocket is where systemd would hear of a service (sd_notify(3)). Its
// path must be short.
func notifySocket(t *testing.T) *net.UnixConn {
	t.Helper()
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(folder, "s"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

func diffNode(t *testing.T, when string, want, got cluster.Node) {
	t.Helper()
	if got.Process.Since.IsZero() || time.Since(got.Process.Since) > time.Minute {
		t.Errorf("%s: running since %s", when, got.Process.Since)
	}
	if got.Process.Args == nil || (got.Free == nil) == got.Data.Present {
		t.Errorf("%s: flags %q, free %v, data %t", when, got.Process.Args, got.Free, got.Data.Present)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(cluster.Process{}, "Since", "Args"), cmpopts.IgnoreFields(cluster.Node{}, "Free"), addresses); diff != "" {
		t.Errorf("%s: %s", when, diff)
	}
}

// refused starts a node and expects a refusal that says this in its exit code,
// its status and its log.
func refused(t *testing.T, n node.Node, says ...string) {
	t.Helper()
	install(t, n)
	m := launch(t, n)
	if got := m.ended().ExitStatus(); got != exitRefused {
		t.Errorf("exits with %d, want %d", got, exitRefused)
	}
	log, err := os.ReadFile(n.Paths.Log)
	if err != nil {
		t.Fatal(err)
	}
	p := m.inspect().Process
	for _, s := range says {
		if !strings.Contains(p.Exit, s) || !bytes.Contains(log, []byte(s)) {
			t.Errorf("status.exit %q or the log does not say %q", p.Exit, s)
		}
	}
	if p.Running || p.Gate != "" {
		t.Errorf("refused, but %+v", p)
	}
}

// Rule R9: a TLS cluster of three, killed at once, comes back with no DNS in
// the world.
func TestSealedClusterRestartsWithoutDNS(t *testing.T) {
	t.Parallel()
	s := spec(3)
	s.TLS = true
	var members []cluster.Host
	for _, name := range []cluster.MemberName{"etcd-a", "etcd-b", "etcd-c"} {
		members = append(members, newHost(t, name))
	}
	var records []string
	for _, r := range publish(members) {
		records = append(records, strings.ReplaceAll(r, "_etcd-server.", "_etcd-server-ssl."))
	}
	dns := newNameServer(t, records...)
	keys := newKeys(t, s.Cluster)
	m := marker(cluster.Bootstrapping)
	startAll := func(phase cluster.Phase) (all []*running) {
		m.Phase = phase
		for _, h := range members {
			n := node.Render(s, m, members, h, dns.addr)
			keys.issue(t, n)
			install(t, n)
			r := launch(t, n)
			all = append(all, r)
			// etcd checks its data against peers before it serves them, and
			// waits 7 s for one that listens but does not serve yet: members
			// that start together wait for each other.
			until(t, "the peer listener of "+string(n.Name), r.listens)
		}
		for _, r := range all {
			until(t, "health of "+string(r.node.Name), r.healthy)
		}
		return all
	}
	for _, r := range startAll(cluster.Bootstrapping) {
		r.signal(syscall.SIGKILL)
		r.ended()
		got := r.inspect()
		if got.Data.Cluster != r.node.ID || got.Certificate == nil {
			t.Errorf("%s: cluster %s, certificate %v, want cluster %s", r.node.Name, got.Data.Cluster, got.Certificate, r.node.ID)
		}
	}
	dns.close()
	startAll(cluster.Sealed)
}

// A first start that is killed before there is a log may be made again, with
// what etcd left of it. A peer that accepts and says nothing holds etcd there.
func TestKilledDuringItsFirstStart(t *testing.T) {
	t.Parallel()
	a, b := newHost(t, "etcd-a"), newHost(t, "etcd-b")
	mute, err := net.Listen("tcp", net.JoinHostPort(b.Address.String(), fmt.Sprint(b.Ports.Peer)))
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	dns := newNameServer(t, publish([]cluster.Host{a, b})...)
	n := render(cluster.Bootstrapping, dns.addr, a, b)
	install(t, n)
	m := launch(t, n)
	until(t, "etcd's database", func() bool {
		_, err := os.Stat(filepath.Join(memberFolder(n.Paths.Data), "snap", "db"))
		return err == nil
	})
	// Until etcd has its own handlers a signal ends the process at once.
	m.signal(syscall.SIGTERM)
	if got := m.ended(); got.Signal() != syscall.SIGTERM {
		t.Errorf("ended with %v, want the signal's default action", got)
	}
	if got := m.inspect().Data; got != (cluster.Data{}) {
		t.Fatalf("killed before its birth: %+v, want nothing", got)
	}
	m = launch(t, n)
	want := cluster.Data{Present: true, Born: true, Member: n.Member, Cluster: n.ID}
	until(t, "the birth", func() bool { return m.inspect().Data == want })
	m.signal(syscall.SIGKILL)
	m.ended()
	// And the crash between birth and its note: the next start makes up for it.
	if err := os.Remove(bornPath(n.Paths.Data)); err != nil {
		t.Fatal(err)
	}
	m = launch(t, n)
	until(t, "the birth to be noted", func() bool { return m.inspect().Data == want })
}

func TestSignalAtTheGate(t *testing.T) {
	t.Parallel()
	dns := newNameServer(t)
	n := render(cluster.Bootstrapping, dns.addr, newHost(t, "etcd-a"))
	install(t, n)
	for _, sig := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		m := launch(t, n)
		until(t, "the gate", func() bool { return m.inspect().Process.Gate != "" })
		m.signal(sig)
		if got := m.ended(); got.ExitStatus() != exitRefused {
			t.Errorf("%v: ended with %v", sig, got)
		}
		if p := m.inspect().Process; p.Running || p.Gate != "" || !strings.Contains(p.Exit, "ended while the start gate waited for R3: ") {
			t.Errorf("%v: %+v", sig, p)
		}
	}
}

// Whatever keeps a member from starting is in its status and its log.
func TestRunRefuses(t *testing.T) {
	for _, tt := range []struct {
		name  string
		setup func(t *testing.T, n node.Node)
		says  []string
	}{
		{name: "nothing installed", setup: func(*testing.T, node.Node) {}, says: []string{"read member file", node.FileName}},
		{name: "half a member file", says: []string{"config/" + node.FileName}, setup: func(t *testing.T, n node.Node) {
			write(t, filepath.Join(n.Paths.Config, node.FileName), n.Encode()[:100])
		}},
		{name: "a copied folder", says: []string{"R6", "describes the member in", "elsewhere"}, setup: func(t *testing.T, n node.Node) {
			n.Paths.Config = filepath.Join(filepath.Dir(n.Paths.Data), "elsewhere")
			mkdir(t, n.Paths.Config)
			write(t, filepath.Join(filepath.Dir(n.Paths.Data), "config", node.FileName), n.Encode())
		}},
		{name: "a relative data directory", says: []string{`data directory "data"`, "absolute"}, setup: func(t *testing.T, n node.Node) {
			n.Paths.Data = "data"
			install(t, n)
		}},
		{name: "data that cannot be read", says: []string{"R6", "unknown", "decode its head"}, setup: func(t *testing.T, n node.Node) {
			install(t, n)
			write(t, filepath.Join(walFolder(n.Paths.Data), "0000000000000000-0000000000000000.wal"), []byte("garbage"))
		}},
		{name: "a resolver that is a name", says: []string{"dns.dev.test:53", "want IP address and port"}, setup: func(t *testing.T, n node.Node) {
			n.Resolver = "dns.dev.test:53"
			install(t, n)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := render(cluster.Bootstrapping, nobody, newHost(t, "etcd-a"))
			tt.setup(t, n)
			ctx, cancel := context.WithTimeout(t.Context(), patience) // for a member that goes to the gate instead
			defer cancel()
			var log bytes.Buffer
			err := Run(ctx, n.Paths.Config, "", &log)
			if err == nil {
				t.Fatal("Run returned no error")
			}
			s, serr := ReadStatus(n.Paths.Config)
			if serr != nil || reflect.DeepEqual(s, Status{}) {
				t.Fatalf("status %v, %v", s, serr)
			}
			if self, err := process.Self(); err != nil || s.Process != self || s.Running() {
				t.Errorf("status %+v, want this process, ended", s)
			}
			for _, text := range tt.says {
				if !strings.Contains(err.Error(), text) || !strings.Contains(s.Exit, text) || !strings.Contains(strings.ReplaceAll(log.String(), `\"`, `"`), text) {
					t.Errorf("error %v, status %q or log %q does not say %q", err, s.Exit, &log, text)
				}
			}
		})
	}
}

func TestRunWithoutAFolder(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "absent")
	var log bytes.Buffer
	if err := Run(t.Context(), folder, "", &log); !errors.Is(err, os.ErrNotExist) || !strings.Contains(log.String(), folder) {
		t.Errorf("Run = %v, log %q", err, &log)
	}
}

func TestRunLeavesAnothersStatusAlone(t *testing.T) {
	t.Parallel()
	n := render(cluster.Sealed, nobody, newHost(t, "etcd-a"))
	install(t, n)
	l, err := process.Acquire(filepath.Join(n.Paths.Config, LockFile))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	var log bytes.Buffer
	if err := Run(t.Context(), n.Paths.Config, "", &log); !errors.Is(err, ErrRunning) {
		t.Errorf("Run = %v, want ErrRunning", err)
	}
	if s, err := ReadStatus(n.Paths.Config); !reflect.DeepEqual(s, Status{}) || err != nil {
		t.Errorf("status %+v, %v, want none", s, err)
	}
	if !strings.Contains(log.String(), "already running") {
		t.Errorf("log %q", &log)
	}
}

func TestUnwantedEnvironment(t *testing.T) {
	got := unwanted([]string{"PATH=/bin", "ETCD_NAME=x", "ETCD_UNSUPPORTED_ARCH=arm", "http_proxy=p", "HTTPS_PROXY=p", "ALL_PROXY=", "no_proxy=*",
		"NOTIFY_SOCKET=/run/s", "ETCDCTL_API=3", "odd"})
	want := []string{"ETCD_NAME", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "no_proxy"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
