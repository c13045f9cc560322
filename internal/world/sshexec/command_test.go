package sshexec_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/system/shell"
	"github.com/pleiad-etcd/pleiad/internal/world/sshexec"
	"github.com/pleiad-etcd/pleiad/internal/world/sshexec/sshexectest"
)

const address = "192.0.2.1"

// machine is the machine behind a server, reached with c, whose SSHConfig is
// set here.
func machine(t *testing.T, s *sshexectest.Server, c sshexec.Config) *sshexec.Machine {
	t.Helper()
	c.SSHConfig = sshexectest.Config(t, s)
	return pool(t, c).Machine(netip.MustParseAddr(address))
}

// pool gives time enough to log in on a busy machine, unless c says otherwise.
func pool(t *testing.T, c sshexec.Config) *sshexec.Pool {
	t.Helper()
	c.Connect = cmp.Or(c.Connect, 30*time.Second)
	p := sshexec.New(c)
	t.Cleanup(func() { p.Close() })
	return p
}

// users are the two ways to be root.
var users = []string{"root", "admin"}

func each(t *testing.T, f func(t *testing.T, s *sshexectest.Server, m *sshexec.Machine)) {
	for _, user := range users {
		t.Run(user, func(t *testing.T) {
			t.Parallel()
			s := sshexectest.Start(t, sshexectest.Options{Address: address, Users: []string{user}})
			f(t, s, machine(t, s, sshexec.Config{}))
		})
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *sshexectest.Server, m *sshexec.Machine) {
		for name, test := range map[string]struct {
			command, stdin, stdout, stderr string
			status                         int
		}{
			"output":        {command: "echo out; echo err >&2", stdout: "out\n"},
			"input":         {command: "cat", stdin: "in", stdout: "in"},
			"no input":      {command: "cat; echo end", stdout: "end\n"},
			"input unread":  {command: "echo end", stdin: strings.Repeat("x", 8<<20), stdout: "end\n"},
			"failure":       {command: "echo out; echo err >&2; exit 7", stdout: "out\n", stderr: "err\n", status: 7},
			"signal":        {command: "kill -9 $$", status: 137},
			"not a command": {command: "if", status: 2, stderr: "yntax"},
			"nasty":         {command: "printf '%s|' " + shell.Quote(`it's "$HOME"`) + " 'a\nb'", stdout: "it's \"$HOME\"|a\nb|"},
			"long stderr":   {command: "i=0; while [ $i -lt 3000 ]; do echo line $i >&2; i=$((i+1)); done; exit 1", status: 1, stderr: "line 2999\n"},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				var stdin io.Reader
				if test.stdin != "" {
					stdin = strings.NewReader(test.stdin)
				}
				out, err := m.Run(t.Context(), test.command, stdin)
				if string(out) != test.stdout {
					t.Errorf("stdout %q, want %q", out, test.stdout)
				}
				var exit *sshexec.ExitError
				if errors.As(err, &exit) != (test.status != 0) || err != nil && exit == nil {
					t.Fatalf("error %v, want status %d", err, test.status)
				}
				if exit != nil && (exit.Status != test.status || !strings.Contains(exit.Stderr, test.stderr) || len(exit.Stderr) > 4<<10) {
					t.Errorf("status %d, stderr %q; want %d with %q", exit.Status, exit.Stderr, test.status, test.stderr)
				}
				if exit != nil && strings.Contains(exit.Stderr, "pleiad:") {
					t.Errorf("stderr %q shows our mark", exit.Stderr)
				}
			})
		}
	})
}

// A command and its input are whole, however large, and one connection carries
// all of them.
func TestRunMany(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *sshexectest.Server, m *sshexec.Machine) {
		large := bytes.Repeat([]byte("0123456789abcdef"), 1<<14)
		var all sync.WaitGroup
		for i := range 30 {
			all.Go(func() {
				out, err := m.Run(t.Context(), fmt.Sprintf("echo %d; wc -c", i), bytes.NewReader(large))
				if err != nil || strings.Join(strings.Fields(string(out)), " ") != fmt.Sprint(i, len(large)) {
					t.Errorf("%d: %q, %v", i, out, err)
				}
			})
		}
		all.Wait()
		if n := s.Dialled(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

// Whatever its size, the command gets all of it and then the end.
func TestSend(t *testing.T) {
	t.Parallel()
	const mouthful = 1 << 20
	each(t, func(t *testing.T, s *sshexectest.Server, m *sshexec.Machine) {
		for _, size := range []int{0, 1, mouthful - 1, mouthful, mouthful + 1, 3*mouthful + 5} {
			data := bytes.Repeat([]byte("0123456789abcdefg"), size/17+1)[:size]
			arrived := filepath.Join(t.TempDir(), "arrived")
			if err := m.Send(t.Context(), "echo dropped; cat >"+arrived, data); err != nil {
				t.Errorf("%d bytes: %v", size, err)
			}
			if got, err := os.ReadFile(arrived); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes arrived of %d, %v", len(got), size, err)
			}
		}
	})
}

// A command that does not want it all ends the sending, well or not.
func TestSendUnread(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *sshexectest.Server, m *sshexec.Machine) {
		data := make([]byte, 5<<20+1)
		for _, command := range []string{"true", "head -c 1500000 >/dev/null", "exec <&-; echo 'all is well'"} {
			if err := m.Send(t.Context(), command, data); err != nil {
				t.Errorf("%s: %v, want nil", command, err)
			}
			var exit *sshexec.ExitError
			if err := m.Send(t.Context(), command+"; echo disk full >&2; exit 7", data); !errors.As(err, &exit) || exit.Status != 7 || exit.Stderr != "disk full\n" {
				t.Errorf("%s: %v, want status 7 with what it said", command, err)
			}
		}
	})
}

// Neither a machine that swallows nothing nor one that is gone holds it up. A
// command that is told to end can clear away what it has begun.
func TestSendCutShort(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *sshexectest.Server, m *sshexec.Machine) {
		for name, cut := range map[string]func(context.CancelCauseFunc){
			"cancelled": func(cancel context.CancelCauseFunc) { cancel(errors.New("enough")) },
			"lost":      func(context.CancelCauseFunc) { s.Drop() },
		} {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			began, half := filepath.Join(t.TempDir(), "began"), filepath.Join(t.TempDir(), "half")
			ended := make(chan error, 1)
			go func() {
				ended <- m.Send(ctx, "trap 'rm -f "+half+"' EXIT; echo >"+half+"; echo $$ >"+began+"; cat >/dev/null; :", make([]byte, 3<<20))
			}()
			started(t, began)
			cut(cancel)
			if err := <-ended; !errors.Is(err, sshexec.ErrLost) {
				t.Errorf("%s: %v, want that it is lost", name, err)
			}
			if name == "lost" {
				continue // nobody is there to tell it
			}
			gone(t, began)
			if _, err := os.Stat(half); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("what it had begun: %v, want it cleared away", err)
			}
		}
	})
}

// Secrets go through stdin: the command line holds what the caller wrote alone.
func TestCommandLines(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *sshexectest.Server, m *sshexec.Machine) {
		if _, err := m.Run(t.Context(), "cat >/dev/null", strings.NewReader("secret")); err != nil {
			t.Fatal(err)
		}
		if err := m.Send(t.Context(), "cat >/dev/null", []byte("secret")); err != nil {
			t.Fatal(err)
		}
		lines := s.Lines()
		if len(lines) != 2 {
			t.Errorf("%d command lines, want 2", len(lines))
		}
		for _, line := range lines {
			if !strings.Contains(line, "cat >/dev/null") || strings.Contains(line, "secret") {
				t.Errorf("%q", line)
			}
		}
	})
}

func TestInputThatFails(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, _ *sshexectest.Server, m *sshexec.Machine) {
		in, out := io.Pipe()
		broken := errors.New("disk broken")
		out.CloseWithError(broken)
		if _, err := m.Run(t.Context(), "cat", in); !errors.Is(err, broken) || !errors.Is(err, sshexec.ErrLost) {
			t.Error(err)
		}
	})
}

// started waits until a command has made a file.
func started(t *testing.T, file string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if b, err := os.ReadFile(file); err == nil && len(b) > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not appear", file)
		}
	}
}

// gone waits until the process whose number is in a file is gone.
func gone(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid := strings.TrimSpace(string(b))
	for deadline := time.Now().Add(10 * time.Second); exec.Command("kill", "-0", pid).Run() == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %s still runs", pid)
		}
	}
}

func TestRunEndsWithContext(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, _ *sshexectest.Server, m *sshexec.Machine) {
		file := filepath.Join(t.TempDir(), "pid")
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error)
		go func() {
			// It heeds neither the end of its input nor SIGTERM.
			_, err := m.Run(ctx, "trap '' TERM; echo $$ >"+file+"; sleep 1000 & wait; wait", nil)
			result <- err
		}()
		started(t, file)
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) || !errors.Is(err, sshexec.ErrLost) || fault.Lasting(err) {
			t.Error(err)
		}
		if _, err := m.Run(t.Context(), "true", nil); err != nil {
			t.Errorf("the next command: %v", err)
		}
	})
}

// A command that heeds SIGTERM is ended where sshd may send it.
func TestRunIsSignalled(t *testing.T) {
	t.Parallel()
	s := sshexectest.Start(t, sshexectest.Options{Address: address})
	m := machine(t, s, sshexec.Config{})
	file := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() {
		_, err := m.Run(ctx, "echo $$ >"+file+"; exec sleep 1000", nil)
		result <- err
	}()
	started(t, file)
	cancel()
	<-result
	gone(t, file)
}

func TestFollow(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, _ *sshexectest.Server, m *sshexec.Machine) {
		file := filepath.Join(t.TempDir(), "pid")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		in, out := io.Pipe()
		result := make(chan error)
		go func() {
			result <- m.Follow(ctx, "echo one; echo two; sleep 1000 & echo $! >"+file+"; wait", out)
			out.Close()
		}()
		got := make([]byte, len("one\ntwo\n"))
		if _, err := io.ReadFull(in, got); err != nil || string(got) != "one\ntwo\n" {
			t.Fatalf("%q, %v", got, err)
		}
		started(t, file)
		cancel()
		if err := <-result; err != nil {
			t.Error(err)
		}
		gone(t, file) // what the command started has ended with it
	})
}

func TestFollowToTheEnd(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, _ *sshexectest.Server, m *sshexec.Machine) {
		var out strings.Builder
		if err := m.Follow(t.Context(), "echo one", &out); err != nil || out.String() != "one\n" {
			t.Errorf("%q, %v", out.String(), err)
		}
		var exit *sshexec.ExitError
		if err := m.Follow(t.Context(), "echo why >&2; exit 4", &out); !errors.As(err, &exit) || exit.Status != 4 || exit.Stderr != "why\n" {
			t.Error(err)
		}
	})
}

func TestOpen(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, _ *sshexectest.Server, m *sshexec.Machine) {
		opening, cancel := context.WithCancel(t.Context())
		stream, err := m.Open(opening, "cat")
		cancel() // bounds the opening alone
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"ping\n", strings.Repeat("pong", 1<<16)} {
			got := make([]byte, len(word))
			sent := make(chan error, 1)
			go func() { _, err := io.WriteString(stream, word); sent <- err }()
			if _, err := io.ReadFull(stream, got); err != nil || string(got) != word {
				t.Fatalf("%q, %v", got, err)
			}
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
		}
		if err := stream.Close(); err != nil {
			t.Error(err)
		}
		if _, err := stream.Read(make([]byte, 1)); err == nil {
			t.Error("a closed stream can be read")
		}
		if _, err := stream.Write([]byte("x")); err == nil {
			t.Error("a closed stream can be written")
		}
	})
}

func TestOpenCommandFails(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, _ *sshexectest.Server, m *sshexec.Machine) {
		stream, err := m.Open(t.Context(), "echo last; echo 'no such thing' >&2; exit 3")
		if err != nil {
			t.Fatal(err)
		}
		var exit *sshexec.ExitError
		if out, err := io.ReadAll(stream); string(out) != "last\n" || !errors.As(err, &exit) || exit.Status != 3 || !strings.Contains(err.Error(), "no such thing") {
			t.Errorf("%q, %v", out, err)
		}
		if err := stream.Close(); !errors.As(err, &exit) || exit.Status != 3 {
			t.Error(err)
		}
	})
}

// Close comes back from a command that does not heed the end of its input, and
// wakes up who reads.
func TestCloseStubborn(t *testing.T) {
	t.Parallel()
	s := sshexectest.Start(t, sshexectest.Options{Address: address})
	m := machine(t, s, sshexec.Config{Keepalive: 200 * time.Millisecond})
	file := filepath.Join(t.TempDir(), "pid")
	stream, err := m.Open(t.Context(), "trap '' TERM; echo $$ >"+file+"; sleep 1000 & wait; wait")
	if err != nil {
		t.Fatal(err)
	}
	started(t, file)
	read := make(chan error)
	go func() { _, err := stream.Read(make([]byte, 1)); read <- err }()
	if err := stream.Close(); !errors.Is(err, sshexec.ErrLost) {
		t.Error(err)
	}
	if err := <-read; err == nil {
		t.Error("Read goes on")
	}
}

// Each thing that keeps a user from becoming root has a remedy of its own.
func TestSudo(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		sudo, login string // what sudo does, and what runs before it
		kind        error
		text        string
		remedy      string
		not         string // no remedy
	}{
		"password": {sudo: "password", kind: sshexec.ErrSudo, text: "a password is required", remedy: "as root there: echo 'admin ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/zz-pleiad", not: "sudo tee"},
		"missing":  {sudo: "missing", kind: sshexec.ErrSudo, text: "No such file", remedy: "apt-get install sudo", not: "sudo tee"},
		"terminal": {sudo: "terminal", kind: sshexec.ErrSudo, text: "must have a tty", remedy: "as root there: echo 'Defaults:admin !requiretty' >/etc/sudoers.d/zz-pleiad-tty", not: "NOPASSWD"},
		"nobody":   {sudo: "nobody", kind: sshexec.ErrSudo, text: "not in the sudoers file", remedy: "as root there: echo 'admin ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/zz-pleiad", not: "sudo tee"},
		"broken":   {sudo: "broken", kind: sshexec.ErrSudo, text: "setuid bit", remedy: "see what sudo says: ssh admin@192.0.2.1 sudo -n true", not: "NOPASSWD"},
		"no sudo":  {login: "exit 3", kind: sshexec.ErrShell, text: "exit status 3", remedy: "ssh admin@192.0.2.1 'echo ok; exit 3'", not: "NOPASSWD"},
		"refused":  {login: "echo 'Your account has expired' >&2; exit 1", kind: sshexec.ErrShell, text: "has expired", remedy: "log in there", not: "NOPASSWD"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sshexectest.Start(t, sshexectest.Options{Address: address, Users: []string{"admin"}, Sudo: test.sudo, Login: test.login})
			c := sshexec.Config{LoginCommand: func(a netip.Addr) []string { return []string{"ssh", "admin@" + a.String()} }}
			_, err := machine(t, s, c).Run(t.Context(), "true", nil)
			var exit *sshexec.ExitError
			if !errors.Is(err, test.kind) || !fault.Lasting(err) || errors.As(err, &exit) || !strings.Contains(err.Error(), test.text) || !strings.Contains(err.Error(), "admin") {
				t.Error(err)
			}
			r := strings.Join(fault.Remedy(err), "\n")
			if !strings.Contains(r, test.remedy) || test.not != "" && strings.Contains(r, test.not) || errors.Is(err, sshexec.ErrSudo) && !strings.Contains(r, "user: root under hosts.ssh") {
				t.Errorf("remedy %q", r)
			}
		})
	}
}

// What a command itself does with sudo's status and words is no fault of sudo.
func TestCommandLikeSudo(t *testing.T) {
	t.Parallel()
	s := sshexectest.Start(t, sshexectest.Options{Address: address, Users: []string{"admin"}})
	_, err := machine(t, s, sshexec.Config{}).Run(t.Context(), "echo 'sudo: a password is required' >&2; exit 1", nil)
	var exit *sshexec.ExitError
	if errors.Is(err, sshexec.ErrSudo) || !errors.As(err, &exit) {
		t.Error(err)
	}
}
