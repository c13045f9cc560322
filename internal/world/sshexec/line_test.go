package sshexec_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/system/process/processtest"
	"github.com/pleiad-etcd/pleiad/internal/world/sshexec"
	"github.com/pleiad-etcd/pleiad/internal/world/sshexec/sshexectest"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func TestOneMachineOneConnection(t *testing.T) {
	t.Parallel()
	s := sshexectest.Start(t, sshexectest.Options{Address: address})
	p := pool(t, sshexec.Config{SSHConfig: sshexectest.Config(t, s)})
	if s.Dialled() != 0 {
		t.Error("it dialled before anybody asked")
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			m := p.Machine(addr(address))
			if m != p.Machine(addr(address)) {
				t.Error("two machines of one address")
			}
			if _, err := m.Run(t.Context(), "true", nil); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := s.Dialled(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestDialsAgain(t *testing.T) {
	t.Parallel()
	s := sshexectest.Start(t, sshexectest.Options{Address: address})
	m := machine(t, s, sshexec.Config{})
	for i := range 20 {
		if _, err := m.Run(t.Context(), "true", nil); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		s.Drop() // the next call finds out, perhaps only when it sends
	}
}

// A server that takes connections and says nothing costs the timeout.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	s := sshexectest.Start(t, sshexectest.Options{Address: address, Silent: true})
	_, err := machine(t, s, sshexec.Config{Login: 50 * time.Millisecond}).Run(context.Background(), "true", nil)
	if !errors.Is(err, sshexec.ErrUnreachable) || fault.Lasting(err) || !strings.Contains(err.Error(), "no answer within 50ms") || strings.Contains(err.Error(), "unreachable") || len(fault.Remedy(err)) == 0 {
		t.Error(err)
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	c := sshexec.Config{SSHConfig: "none", Port: port, KnownHosts: "none"}
	answered := make(chan error)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			_, err = io.WriteString(conn, "HTTP/1.0 400 Bad Request\r\n\r\n")
			// To close it with input unread would reset the connection, and
			// could take the answer back.
			err = errors.Join(err, conn.(*net.TCPConn).CloseWrite())
			io.Copy(io.Discard, conn)
			conn.Close()
		}
		answered <- err
	}()
	_, err = pool(t, c).Machine(addr("127.0.0.1")).Run(t.Context(), "true", nil)
	if !errors.Is(err, sshexec.ErrUnreachable) || !strings.Contains(err.Error(), "SSH handshake failed") {
		t.Error(err)
	}
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	if err := processtest.Close(l); err != nil {
		t.Fatal(err)
	}
	_, err = pool(t, c).Machine(addr("127.0.0.1")).Run(t.Context(), "true", nil)
	if !errors.Is(err, sshexec.ErrUnreachable) || !strings.Contains(err.Error(), "refused") {
		t.Error(err)
	}
}

// The caller's own deadline is the machine's fault, a change of mind is not.
func TestContextWhileDialling(t *testing.T) {
	t.Parallel()
	s := sshexectest.Start(t, sshexectest.Options{Address: address, Silent: true})
	m := machine(t, s, sshexec.Config{Login: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := m.Run(ctx, "true", nil); !errors.Is(err, sshexec.ErrUnreachable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if _, err := m.Run(ctx, "true", nil); errors.Is(err, sshexec.ErrUnreachable) || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// asked starts calls of each kind and returns once all commands run.
func asked(t *testing.T, m *sshexec.Machine) (results map[string]chan error) {
	t.Helper()
	folder := t.TempDir()
	results = map[string]chan error{"run": make(chan error, 1), "follow": make(chan error, 1), "open": make(chan error, 1)}
	command := func(name string) string { return "echo $$ >" + folder + "/" + name + "; sleep 1000" }
	go func() { _, err := m.Run(context.Background(), command("run"), nil); results["run"] <- err }()
	go func() { results["follow"] <- m.Follow(context.Background(), command("follow"), io.Discard) }()
	go func() {
		stream, err := m.Open(context.Background(), command("open"))
		if err == nil {
			_, err = stream.Read(make([]byte, 1))
			stream.Close()
		}
		results["open"] <- err
	}()
	for name := range results {
		started(t, filepath.Join(folder, name))
	}
	return results
}

// A host that is paused in the middle of commands is noticed, and is used again
// when it goes on.
func TestFreeze(t *testing.T) {
	t.Parallel()
	s := sshexectest.Start(t, sshexectest.Options{Address: address})
	const keepalive = 300 * time.Millisecond
	m := machine(t, s, sshexec.Config{Keepalive: keepalive, Login: 500 * time.Millisecond})
	for deadline := time.Now().Add(10 * time.Second); ; {
		// Logging in may take longer than the timeout on a busy machine.
		_, err := m.Run(t.Context(), "true", nil)
		if err == nil {
			break
		}
		if !errors.Is(err, sshexec.ErrUnreachable) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	results := asked(t, m)
	s.Freeze()
	began := time.Now()
	for name, r := range results {
		if err := <-r; !errors.Is(err, sshexec.ErrLost) || errors.Is(err, sshexec.ErrUnreachable) || !strings.Contains(err.Error(), "no response") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if took := time.Since(began); took < 2*keepalive-keepalive/10 {
		t.Errorf("given up after %s", took)
	}
	if _, err := m.Run(context.Background(), "true", nil); !errors.Is(err, sshexec.ErrUnreachable) {
		t.Errorf("while frozen: %v", err)
	}
	s.Thaw()
	for deadline := time.Now().Add(10 * time.Second); ; {
		_, err := m.Run(t.Context(), "true", nil)
		if err == nil {
			break
		}
		if !errors.Is(err, sshexec.ErrUnreachable) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// A connection that was lost while a command ran: the outcome is not known, and
// the command is not sent again.
func TestDrop(t *testing.T) {
	t.Parallel()
	s := sshexectest.Start(t, sshexectest.Options{Address: address})
	m := machine(t, s, sshexec.Config{})
	results := asked(t, m)
	s.Drop()
	for name, r := range results {
		if err := <-r; !errors.Is(err, sshexec.ErrLost) || errors.Is(err, sshexec.ErrUnreachable) || fault.Lasting(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(s.Lines()); n != 3 {
		t.Errorf("%d commands were sent: %q", n, s.Lines())
	}
}

// A connection that died while idle is found out before a command is sent, so
// that the command may go by another.
func TestIdleConnectionDies(t *testing.T) {
	t.Parallel()
	s := sshexectest.Start(t, sshexectest.Options{Address: address})
	m := machine(t, s, sshexec.Config{Keepalive: 300 * time.Millisecond})
	if _, err := m.Run(t.Context(), "true", nil); err != nil {
		t.Fatal(err)
	}
	s.Freeze()
	result := make(chan error)
	go func() { _, err := m.Run(t.Context(), "echo again", nil); result <- err }()
	for s.Dialled() < 2 {
		time.Sleep(time.Millisecond) // until it dials anew
	}
	s.Thaw()
	if err := <-result; err != nil {
		t.Error(err)
	}
	n := 0
	for _, l := range s.Lines() {
		if strings.Contains(l, "echo again") {
			n++
		}
	}
	if n != 1 {
		t.Errorf("the command ran %d times", n)
	}
}

func TestCloseEndsAll(t *testing.T) {
	t.Parallel()
	s := sshexectest.Start(t, sshexectest.Options{Address: address})
	p := sshexec.New(sshexec.Config{SSHConfig: sshexectest.Config(t, s)})
	m := p.Machine(addr(address))
	results := asked(t, m)
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	for name, r := range results {
		if err := <-r; !errors.Is(err, sshexec.ErrLost) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := m.Run(t.Context(), "true", nil); !errors.Is(err, sshexec.ErrUnreachable) {
		t.Error(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestCloseWhileDialling(t *testing.T) {
	t.Parallel()
	s := sshexectest.Start(t, sshexectest.Options{Address: address, Silent: true})
	p := sshexec.New(sshexec.Config{SSHConfig: sshexectest.Config(t, s), Login: time.Hour})
	result := make(chan error)
	go func() { _, err := p.Machine(addr(address)).Run(context.Background(), "true", nil); result <- err }()
	for s.Dialled() == 0 {
		time.Sleep(time.Millisecond)
	}
	p.Close()
	if err := <-result; !errors.Is(err, sshexec.ErrUnreachable) {
		t.Error(err)
	}
}

const (
	bastion = "192.0.2.100"
	second  = "192.0.2.101"
)

func TestProxyJump(t *testing.T) {
	t.Parallel()
	outer := sshexectest.Start(t, sshexectest.Options{Address: bastion, Users: []string{"guest"}})
	inner := sshexectest.Start(t, sshexectest.Options{Address: second, Jump: outer})
	var servers []*sshexectest.Server
	for i := range 3 {
		servers = append(servers, sshexectest.Start(t, sshexectest.Options{Address: fmt.Sprintf("192.0.2.%d", i+1), Jump: inner, Users: []string{users[i%2]}}))
	}
	p := pool(t, sshexec.Config{SSHConfig: sshexectest.Config(t, append(servers, inner, outer)...)})
	var all sync.WaitGroup
	for i := range servers {
		all.Go(func() {
			out, err := p.Machine(addr(fmt.Sprintf("192.0.2.%d", i+1))).Run(t.Context(), "cat", strings.NewReader("hello"))
			if err != nil || string(out) != "hello" {
				t.Errorf("%q, %v", out, err)
			}
		})
	}
	all.Wait()
	if inner.Dialled() != 1 || outer.Dialled() != 1 {
		t.Errorf("%d and %d connections to the jump hosts", inner.Dialled(), outer.Dialled())
	}
	for i := range 20 {
		outer.Drop() // each of the three connections finds out in its own time
		if _, err := p.Machine(addr(address)).Run(t.Context(), "true", nil); err != nil {
			t.Errorf("%d: after the jump host hung up: %v", i, err)
		}
	}
}

// The connection to a jump host that died while idle is found out when it is
// asked for the next machine: the jump host is dialled anew, once.
func TestIdleJumpHostDies(t *testing.T) {
	t.Parallel()
	jump := sshexectest.Start(t, sshexectest.Options{Address: bastion})
	target := sshexectest.Start(t, sshexectest.Options{Address: address, Jump: jump})
	config := sshexec.Config{SSHConfig: sshexectest.Config(t, target, jump)}
	m := pool(t, config).Machine(addr(address))
	if _, err := m.Run(t.Context(), "true", nil); err != nil {
		t.Fatal(err)
	}
	target.Drop()
	jump.DropAtForward()
	if _, err := m.Run(t.Context(), "true", nil); err != nil || jump.Dialled() != 2 {
		t.Errorf("%v; %d connections to the jump host, want 2", err, jump.Dialled())
	}
	jump.DropAtForward()
	_, err := pool(t, config).Machine(addr(address)).Run(t.Context(), "true", nil)
	if !errors.Is(err, sshexec.ErrUnreachable) || jump.Dialled() != 3 {
		t.Errorf("a jump host that hangs up on a new connection: %v; %d connections, want 3", err, jump.Dialled())
	}
}

// A connection to a jump host that is silent, as behind a NAT that has forgotten it.
func TestIdleJumpHostIsSilent(t *testing.T) {
	t.Parallel()
	jump := sshexectest.Start(t, sshexectest.Options{Address: bastion})
	first := sshexectest.Start(t, sshexectest.Options{Address: address, Jump: jump})
	other := sshexectest.Start(t, sshexectest.Options{Address: "192.0.2.2", Jump: jump})
	p := pool(t, sshexec.Config{SSHConfig: sshexectest.Config(t, first, other, jump), Keepalive: 300 * time.Millisecond})
	if _, err := p.Machine(addr(address)).Run(t.Context(), "true", nil); err != nil {
		t.Fatal(err)
	}
	jump.Freeze()
	result := make(chan error, 1)
	go func() { _, err := p.Machine(addr("192.0.2.2")).Run(t.Context(), "echo again", nil); result <- err }()
	for jump.Dialled() < 2 && len(result) == 0 {
		time.Sleep(time.Millisecond) // until it dials anew
	}
	jump.Thaw()
	if err := <-result; err != nil || len(other.Lines()) != 1 {
		t.Errorf("%v; %d commands were sent", err, len(other.Lines()))
	}
}

func TestJumpHostFails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		jump  sshexectest.Options
		limit time.Duration
		spoil func(jump, target *sshexectest.Server)
		want  func(error) bool
		text  string
	}{
		"denied":        {spoil: func(jump, _ *sshexectest.Server) { jump.Forbid() }, want: func(err error) bool { return errors.Is(err, sshexec.ErrDenied) }, text: "jump host " + bastion},
		"no forwarding": {jump: sshexectest.Options{NoForwarding: true}, want: func(err error) bool { return errors.Is(err, sshexec.ErrSetup) }, text: "jump host " + bastion},
		"silent":        {jump: sshexectest.Options{Silent: true}, limit: 50 * time.Millisecond, want: func(err error) bool { return errors.Is(err, sshexec.ErrUnreachable) }, text: "jump host " + bastion},
		"frozen target": {limit: 2 * time.Second, spoil: func(_, target *sshexectest.Server) { target.Freeze() }, want: func(err error) bool { return errors.Is(err, sshexec.ErrUnreachable) }, text: "no answer within"},
		"unknown key": {spoil: func(jump, target *sshexectest.Server) { jump.KnownHosts = target.KnownHosts }, want: func(err error) bool {
			var e *sshexec.HostKeyError
			return errors.As(err, &e) && e.Problem == sshexec.KeyUnknown
		}, text: "jump host " + bastion},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.jump.Address = bastion
			jump := sshexectest.Start(t, test.jump)
			target := sshexectest.Start(t, sshexectest.Options{Address: address, Jump: jump})
			if test.spoil != nil {
				test.spoil(jump, target)
			}
			c := sshexec.Config{SSHConfig: sshexectest.Config(t, target, jump), Login: test.limit}
			_, err := pool(t, c).Machine(addr(address)).Run(t.Context(), "true", nil)
			if err == nil || !test.want(err) || !strings.Contains(err.Error(), test.text) {
				t.Error(err)
			}
			if len(target.Lines()) > 0 {
				t.Error("the command ran")
			}
		})
	}
}

func TestTrace(t *testing.T) {
	t.Parallel()
	s := sshexectest.Start(t, sshexectest.Options{Address: address})
	var mu sync.Mutex
	var calls []string
	m := machine(t, s, sshexec.Config{Trace: func(what, whom string, took time.Duration, err error) {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, fmt.Sprint(what, " ", whom, " ", took > 0, " ", err))
	}})
	m.Run(t.Context(), "true;\n  exit 3", nil)
	want := []string{"dial host 192.0.2.1 true <nil>", "run true; exit 3 host 192.0.2.1 true host 192.0.2.1: exit status 3"}
	mu.Lock()
	defer mu.Unlock()
	if fmt.Sprint(calls) != fmt.Sprint(want) {
		t.Errorf("%q, want %q", calls, want)
	}
}
