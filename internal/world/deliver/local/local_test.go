package local_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/onhost/member"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
	"github.com/pleiad-etcd/pleiad/internal/system/process/processtest"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver/delivertest"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver/delivertest/fakemember"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver/local"
	hostslocal "github.com/pleiad-etcd/pleiad/internal/world/hosts/local"
)

// TestMain lets this binary play a member, real or fake: "member --dir CONFIG"
// and "fake --dir CONFIG".
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[2] == "--dir" {
		run := func(config string) error { return fakemember.Run(config, behaviourFile(config)) }
		if os.Args[1] == "member" {
			run = realMember
		}
		if err := run(os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func command(kind string) func(string) []string {
	return func(config string) []string {
		self, err := os.Executable()
		if err != nil {
			panic(err) // members are started from /, where os.Args[0] may mean nothing
		}
		return []string{self, kind, "--dir", config}
	}
}

const token = cluster.Token("8f2c6a0e8f2c6a0e")

// newHost makes a local host as its provider does.
func newHost(t *testing.T, root string, name cluster.MemberName) cluster.Host {
	t.Helper()
	p, err := hostslocal.New(root, "dev")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Launch(t.Context(), name, token); err != nil {
		t.Fatal(err)
	}
	l, err := p.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range l.Hosts {
		if h.Name == name {
			return h
		}
	}
	t.Fatalf("host %s is not in List", name)
	return cluster.Host{}
}

// behaviourFile tells a fake member what to do; it lies beside its config folder.
func behaviourFile(config string) string {
	return filepath.Join(filepath.Dir(config), "behaviour.json")
}

func behave(t *testing.T, h cluster.Host, b fakemember.Behaviour) {
	t.Helper()
	if err := fakemember.Behave(behaviourFile(h.Paths.Config), b); err != nil {
		t.Fatal(err)
	}
}

func status(t *testing.T, h cluster.Host) member.Status {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(h.Paths.Config, member.StatusFile))
	if err != nil {
		t.Fatal(err)
	}
	s, err := member.DecodeStatus(b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func answers(h cluster.Host, port uint16) bool {
	c, err := net.Dial("tcp", netip.AddrPortFrom(h.Address, port).String())
	if err != nil {
		return false
	}
	c.Close()
	return true
}

func listen(t *testing.T, h cluster.Host, port uint16) (release func()) {
	t.Helper()
	l, err := net.Listen("tcp", netip.AddrPortFrom(h.Address, port).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return func() {
		if err := processtest.Close(l); err != nil {
			t.Error(err)
		}
	}
}

func TestConformance(t *testing.T) {
	delivertest.Run(t, func(t *testing.T) delivertest.World {
		root := filepath.Join(t.TempDir(), "dev")
		return delivertest.World{
			Deliverer: func() deliver.Deliverer { return local.New(command("fake"), cluster.Program{}) },
			Host:      func(n cluster.MemberName) cluster.Host { return newHost(t, root, n) },
			Behave:    func(h cluster.Host, b delivertest.Behaviour) { behave(t, h, fakemember.Behaviour{Behaviour: b}) },
			Answers:   func(h cluster.Host) bool { return answers(h, h.Ports.Peer) },
			Kill: func(h cluster.Host) {
				p := status(t, h).Process
				if err := errors.Join(p.Signal(syscall.SIGKILL), p.Wait(t.Context())); err != nil {
					t.Fatal(err)
				}
			},
			Occupy: func(h cluster.Host, port uint16) func() { return listen(t, h, port) },
		}
	})
}

// stage is one host with a fake member.
func stage(t *testing.T, b fakemember.Behaviour) (*local.Deliverer, cluster.Host) {
	t.Helper()
	d := local.New(command("fake"), cluster.Program{})
	h := newHost(t, filepath.Join(t.TempDir(), "dev"), "etcd-k3v9qd2")
	behave(t, h, b)
	if err := d.Install(t.Context(), h, rendered(h), nil, false); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(t, h) })
	return d, h
}

// end kills what may run on a host.
func end(t *testing.T, h cluster.Host) {
	b, err := os.ReadFile(filepath.Join(h.Paths.Config, member.StatusFile))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	s, err := member.DecodeStatus(b)
	if err == nil && s.Process.PID != os.Getpid() {
		err = errors.Join(s.Process.Signal(syscall.SIGKILL), s.Process.Wait(context.Background()))
	}
	if err != nil {
		t.Error(err)
	}
}

func rendered(h cluster.Host) node.Node {
	spec := cluster.Spec{Cluster: "dev", Domain: "dev.test", Members: 1}
	return node.Render(spec, cluster.Marker{Token: token, Phase: cluster.Bootstrapping}, []cluster.Host{h}, h, "")
}

// A process that ends before it could say who it is is explained from what it
// printed, and not from what the log said before.
func TestStartThatDiesAtOnce(t *testing.T) {
	t.Parallel()
	d, h := stage(t, fakemember.Behaviour{Die: "exec format error or so"})
	if err := os.WriteFile(h.Paths.Log, []byte("an old line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := d.Start(t.Context(), h)
	if err == nil || !strings.Contains(err.Error(), "its process ended: exec format error or so") {
		t.Errorf("Start: %v, want what the process printed", err)
	}
	if err := local.New(func(string) []string { return []string{"/does/not/exist"} }, cluster.Program{}).Start(t.Context(), h); err == nil || !strings.Contains(err.Error(), "/does/not/exist") {
		t.Errorf("Start of a program that does not exist: %v, want its path", err)
	}
}

// etcd ends the process itself, without a word in the status.
func TestStartThatEndsLater(t *testing.T) {
	t.Parallel()
	d, h := stage(t, fakemember.Behaviour{Crash: "cannot open the database"})
	// It may be caught listening; then the start was good as far as it went.
	if err := d.Start(t.Context(), h); err != nil && !strings.Contains(err.Error(), "cannot open the database") {
		t.Errorf("Start: %v, want the reason in the log", err)
	}
	if err := status(t, h).Process.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := d.Inspect(t.Context(), h); err != nil || n.Process.Running || n.Process.Exit != "cannot open the database" {
		t.Errorf("Inspect = %+v, %v, want the reason in the log", n.Process, err)
	}
}

// Between lock and status a process runs that nobody can name.
func TestProcessThatHasNotSaidWhoItIs(t *testing.T) {
	t.Parallel()
	d, h := stage(t, fakemember.Behaviour{LateStatus: 200 * time.Millisecond})
	started := make(chan error, 1)
	go func() { started <- d.Start(t.Context(), h) }()
	for held := false; !held && len(started) == 0; {
		l, err := os.Open(filepath.Join(h.Paths.Config, member.LockFile))
		if err == nil {
			held = true
			l.Close()
		}
	}
	// The lock file is there; its process takes the lock about now. Another
	// Start and a Stop both wait for it.
	if err := local.New(command("fake"), cluster.Program{}).Start(t.Context(), h); err != nil {
		t.Errorf("second Start: %v", err)
	}
	if err := <-started; err != nil {
		t.Errorf("Start: %v", err)
	}
	if err := d.Stop(t.Context(), h, 10*time.Second); err != nil {
		t.Error(err)
	}
	if answers(h, h.Ports.Peer) {
		t.Error("after Stop somebody still answers")
	}
}

// A Stop must not end while such a process runs: it would come up afterwards.
func TestStopWaitsForTheStatusOfAProcess(t *testing.T) {
	t.Parallel()
	d, h := stage(t, fakemember.Behaviour{})
	l, err := process.Acquire(filepath.Join(h.Paths.Config, member.LockFile))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := d.Stop(ctx, h, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Stop under a held lock: %v, want it to wait", err)
	}
}

// A pid that belongs to another process by now is neither running nor
// signalled: here it is this test's own.
func TestRecycledPID(t *testing.T) {
	t.Parallel()
	d, h := stage(t, fakemember.Behaviour{})
	self, err := process.Self()
	if err != nil {
		t.Fatal(err)
	}
	self.Started += "0"
	old := member.Status{Version: member.StatusVersion, Process: self, Since: time.Now().Add(-time.Hour)}
	b, err := json.Marshal(old)
	if err == nil {
		err = os.WriteFile(filepath.Join(h.Paths.Config, member.StatusFile), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if n, err := d.Inspect(t.Context(), h); err != nil || n.Process.Running {
		t.Errorf("Inspect = %+v, %v, want no running process", n.Process, err)
	}
	if err := d.Stop(t.Context(), h, 10*time.Second); err != nil { // would end this test
		t.Error(err)
	}
	if err := d.Start(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	if s := status(t, h); s.Process.PID == os.Getpid() || !s.Process.Alive() {
		t.Errorf("after Start the status is %+v, want a new process", s.Process)
	}
}

func TestOccupiedNamesItsOwner(t *testing.T) {
	t.Parallel()
	d, h := stage(t, fakemember.Behaviour{})
	listen(t, h, h.Ports.Client)
	err := d.Start(t.Context(), h)
	if !errors.Is(err, deliver.ErrOccupied) {
		t.Fatalf("Start: %v, want ErrOccupied", err)
	}
	if _, e := os.Stat("/proc/net/tcp"); e == nil && !strings.Contains(err.Error(), fmt.Sprintf("by process %d (", os.Getpid())) {
		t.Errorf("Start: %v, want process %d named", err, os.Getpid())
	}
	if _, e := os.Stat(h.Paths.Log); !errors.Is(e, fs.ErrNotExist) {
		t.Errorf("a process was started: log: %v", e)
	}
}

func TestEnvironmentOfMembers(t *testing.T) {
	// Not parallel: t.Setenv.
	for name, value := range map[string]string{"HTTP_PROXY": "p", "https_proxy": "p", "No_Proxy": "p", "ETCD_NAME": "x", "ETCDCTL_API": "3",
		"ETCD_UNSUPPORTED_ARCH": "riscv64", "AWS_SECRET_ACCESS_KEY": "1"} {
		t.Setenv(name, value)
	}
	file := filepath.Join(t.TempDir(), "environment")
	d, h := stage(t, fakemember.Behaviour{Environment: file})
	if err := d.Start(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for entry := range strings.SplitSeq(string(b), "\n") {
		name, _, _ := strings.Cut(entry, "=")
		if upper := strings.ToUpper(name); strings.Contains(upper, "PROXY") || strings.HasPrefix(upper, "ETCD") || strings.HasPrefix(upper, "AWS") {
			got = append(got, name)
		}
	}
	if len(got) != 1 || got[0] != "ETCD_UNSUPPORTED_ARCH" {
		t.Errorf("members see %v, want ETCD_UNSUPPORTED_ARCH alone", got)
	}
}

// A Start whose command is interrupted leaves its process; the next one finds it.
func TestStartThatIsInterrupted(t *testing.T) {
	t.Parallel()
	d, h := stage(t, fakemember.Behaviour{Behaviour: delivertest.Behaviour{Gate: "R3: something"}})
	ctx, cancel := cancelWhen(t, func() bool { _, err := os.Stat(filepath.Join(h.Paths.Config, member.StatusFile)); return err == nil })
	defer cancel()
	err := d.Start(ctx, h)
	if err != nil && !errors.Is(err, ctx.Err()) {
		t.Errorf("Start: %v, want %v", err, ctx.Err())
	}
	before := status(t, h).Process
	if !before.Alive() {
		t.Error("the process was ended")
	}
	if err := d.Start(t.Context(), h); err != nil {
		t.Error(err)
	}
	if after := status(t, h).Process; after != before {
		t.Errorf("the next Start made process %+v, want %+v found", after, before)
	}
}

// freeHost is a host value without a provider, for what needs none.
func freeHost(t *testing.T) cluster.Host {
	folder := filepath.Join(t.TempDir(), "etcd-k3v9qd2")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	return cluster.Host{Name: "etcd-k3v9qd2", Token: token,
		Address: netip.AddrFrom4([4]byte{127, byte(1 + rand.IntN(250)), byte(rand.IntN(250)), 2}), Ports: cluster.StandardPorts(),
		Paths: cluster.Paths{Config: filepath.Join(folder, "config"), Data: filepath.Join(folder, "data"), Log: filepath.Join(folder, "etcd.log")}}
}
