package sshexec_test

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/system/process/processtest"
	"github.com/pleiad-etcd/pleiad/internal/system/shell"
	"github.com/pleiad-etcd/pleiad/internal/world/sshexec"
	"github.com/pleiad-etcd/pleiad/internal/world/sshexec/sshexectest"
)

// logins is every user with every way of a login to be noisy.
func logins(t *testing.T, f func(t *testing.T, m *sshexec.Machine)) {
	for _, user := range users {
		for name, login := range map[string]string{
			"a line":        "echo welcome",
			"no line end":   "printf welcome",
			"much":          "i=0; while [ $i -lt 2000 ]; do echo '{\"pleiadAgent\":1}' line $i; i=$((i+1)); done",
			"one long line": "head -c 100000 /dev/zero",
			"errors":        "echo 'welcome: not found' >&2",
		} {
			t.Run(user+"/"+name, func(t *testing.T) {
				t.Parallel()
				s := sshexectest.Start(t, sshexectest.Options{Address: address, Users: []string{user}, Login: login})
				f(t, machine(t, s, sshexec.Config{}))
			})
		}
	}
}

// What a login prints is no part of an answer, before or after it.
func TestNoisyLogin(t *testing.T) {
	t.Parallel()
	logins(t, func(t *testing.T, m *sshexec.Machine) {
		for _, want := range []string{"", "out", "out\n", "\nout\n\n"} {
			out, err := m.Run(t.Context(), "printf '%s' "+shell.Quote(want), nil)
			if err != nil || string(out) != want {
				t.Errorf("Run: %q, %v, want %q", out, err, want)
			}
			if out, err := m.Look(t.Context(), "printf '%s' "+shell.Quote(want)); err != nil || string(out) != want {
				t.Errorf("Look: %q, %v, want %q", out, err, want)
			}
		}
		var exit *sshexec.ExitError
		out, err := m.Run(t.Context(), "echo half; exit 7", nil)
		if string(out) != "half\n" || !errors.As(err, &exit) || exit.Status != 7 || exit.Stderr != "" {
			t.Errorf("Run: %q, %v, want status 7 and nothing of the login's", out, err)
		}
		arrived := filepath.Join(t.TempDir(), "arrived")
		if err := m.Send(t.Context(), "cat >"+arrived, []byte("data")); err != nil {
			t.Error(err)
		}
		if b, err := os.ReadFile(arrived); string(b) != "data" {
			t.Errorf("Send: %q arrived, %v", b, err)
		}
	})
}

// What stands between sshd and the command may say something after it too, and
// keep its exit status for itself.
func TestProgramBetween(t *testing.T) {
	t.Parallel()
	s := sshexectest.Start(t, sshexectest.Options{Address: address, Rewrite: func(_, line string) string {
		return "sh -c " + shell.Quote(line) + "; printf farewell; exit 0"
	}})
	m := machine(t, s, sshexec.Config{})
	if out, err := m.Run(t.Context(), "echo out", nil); err != nil || string(out) != "out\n" {
		t.Errorf("%q, %v", out, err)
	}
	var exit *sshexec.ExitError
	if _, err := m.Run(t.Context(), "echo why >&2; exit 7", nil); !errors.As(err, &exit) || exit.Status != 7 || exit.Stderr != "why\n" {
		t.Errorf("%v, want status 7", err)
	}
	if out, err := m.Run(t.Context(), "echo half; kill -9 $PPID", nil); !errors.Is(err, sshexec.ErrShell) {
		t.Errorf("half an answer: %q, %v", out, err)
	}
}

// The streams begin where the command does.
func TestNoisyLoginStreams(t *testing.T) {
	t.Parallel()
	logins(t, func(t *testing.T, m *sshexec.Machine) {
		stream, err := m.Open(t.Context(), "exec cat")
		if err != nil {
			t.Fatal(err)
		}
		defer stream.Close()
		if _, err := io.WriteString(stream, "ping"); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 4)
		if _, err := io.ReadFull(stream, got); err != nil || string(got) != "ping" {
			t.Errorf("Open: %q, %v", got, err)
		}
		var out strings.Builder
		if err := m.Follow(t.Context(), "echo one", &out); err != nil || !strings.HasPrefix(out.String(), "one\n") {
			t.Errorf("Follow: %q, %v", out.String(), err)
		}
	})
}

// A login that does not run the command is an error, whatever status it ends
// with; it never passes for a command that printed nothing.
func TestLoginWithoutCommand(t *testing.T) {
	t.Parallel()
	for _, user := range users {
		for _, login := range []string{"exit 0", "echo 'This account is currently not available.'; exit 0", "exec true"} {
			t.Run(user+"/"+login, func(t *testing.T) {
				t.Parallel()
				s := sshexectest.Start(t, sshexectest.Options{Address: address, Users: []string{user}, Login: login})
				m := machine(t, s, sshexec.Config{})
				stream, err := m.Open(t.Context(), "cat")
				if err == nil {
					err = stream.Close()
				}
				_, run := m.Run(t.Context(), "echo out", nil)
				_, look := m.Look(t.Context(), "echo out")
				for what, err := range map[string]error{"Run": run, "Look": look, "Open": err, "Send": m.Send(t.Context(), "cat", nil), "Follow": m.Follow(t.Context(), "echo out", io.Discard)} {
					if !errors.Is(err, sshexec.ErrShell) || !fault.Lasting(err) || fault.Remedy(err) == nil {
						t.Errorf("%s: %v, want that the login does not run the command", what, err)
					}
				}
			})
		}
	}
}

// However much a machine prints, before the command or in its place, the call
// ends and says so.
func TestEndlessOutput(t *testing.T) {
	t.Parallel()
	const endless = "cat /dev/zero"
	began := time.Now()
	each(t, func(t *testing.T, _ *sshexectest.Server, m *sshexec.Machine) {
		if _, err := m.Run(t.Context(), endless, nil); !errors.Is(err, sshexec.ErrLost) || !strings.Contains(err.Error(), "MiB of output") {
			t.Errorf("output: %v", err)
		}
		if _, err := m.Run(t.Context(), endless+" >&2 & sleep 0.2; kill $!; exit 3", nil); err == nil || !strings.Contains(err.Error(), "status 3") {
			t.Errorf("errors: %v", err)
		}
	})
	t.Run("login", func(t *testing.T) {
		s := sshexectest.Start(t, sshexectest.Options{Address: address, Login: endless})
		m := machine(t, s, sshexec.Config{})
		stream, err := m.Open(t.Context(), "cat")
		if err == nil {
			_, err = stream.Read(make([]byte, 1))
			stream.Close()
		}
		_, run := m.Run(t.Context(), "true", nil)
		for what, err := range map[string]error{"Run": run, "Open": err, "Send": m.Send(t.Context(), "cat", make([]byte, 3<<20)), "Follow": m.Follow(t.Context(), "true", io.Discard)} {
			if !errors.Is(err, sshexec.ErrShell) {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
}

// A server that sends without end before the login costs the timeout at most.
func TestEndlessBanner(t *testing.T) {
	t.Parallel()
	for name, piece := range map[string]string{
		"one line":        strings.Repeat("x", 1<<16),
		"lines":           strings.Repeat("welcome\r\n", 1<<12),
		"after a version": "SSH-2.0-OpenSSH_9.2\r\n" + strings.Repeat("\x00\x00\xff\xff", 1<<14),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var serving sync.WaitGroup
			serving.Go(func() {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				for err == nil {
					_, err = io.WriteString(conn, piece)
				}
			})
			defer serving.Wait()
			defer l.Close()
			c := sshexec.Config{SSHConfig: "none", Port: uint16(l.Addr().(*net.TCPAddr).Port), KnownHosts: "none", Login: time.Second}
			if _, err := pool(t, c).Machine(addr("127.0.0.1")).Run(t.Context(), "true", nil); !errors.Is(err, sshexec.ErrUnreachable) {
				t.Errorf("%v, want that it is unreachable", err)
			}
		})
	}
}

// picky is a login shell that is no sh: like fish and csh it takes plain words and words
// in single quotes, and refuses whatever they do not read as sh does.
func picky(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "picky")
	err := processtest.Program(file, `#!/bin/sh
plain=$(printf %s "$2" | sed "s/'[^']*'//g")
case $plain in *[!A-Za-z0-9_=./\ -]*) echo "picky: Unknown command: $plain" >&2; exit 127 ;; esac
case $2 in *\\\\* | *!*) echo "picky: another reading" >&2; exit 127 ;; esac
exec sh -c "$2"
`)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// Whatever shell users have, commands run in sh: nothing of them is for their shell.
func TestOtherLoginShell(t *testing.T) {
	t.Parallel()
	for _, user := range users {
		t.Run(user, func(t *testing.T) {
			t.Parallel()
			s := sshexectest.Start(t, sshexectest.Options{Address: address, Users: []string{user}, Shell: picky(t)})
			m := machine(t, s, sshexec.Config{})
			const script = `set -e
n=$(cat | wc -c); if [ $((n)) -gt 0 ]; then echo "it's \$n!"; fi
for i in 1 2; do trap 'exit 0' EXIT; done`
			if out, err := m.Run(t.Context(), script, strings.NewReader("in")); err != nil || string(out) != "it's $n!\n" {
				t.Errorf("Run: %q, %v", out, err)
			}
			if out, err := m.Look(t.Context(), "for i in 1 2; do echo $((i)); done"); err != nil || string(out) != "1\n2\n" {
				t.Errorf("Look: %q, %v", out, err)
			}
			arrived := filepath.Join(t.TempDir(), "arrived")
			for range 2 { // by the shell that Look left, and by one of its own
				if err := m.Send(t.Context(), "set -e\ncat >"+arrived, []byte("data")); err != nil {
					t.Errorf("Send: %v", err)
				}
			}
			stream, err := m.Open(t.Context(), "if true; then echo $((1)); fi")
			if err != nil {
				t.Fatal(err)
			}
			if out, err := io.ReadAll(stream); string(out) != "1\n" || err != nil {
				t.Errorf("Open: %q, %v", out, err)
			}
			if err := stream.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			var out strings.Builder
			if err := m.Follow(t.Context(), "echo $((1))", &out); err != nil || out.String() != "1\n" {
				t.Errorf("Follow: %q, %v", out.String(), err)
			}
		})
	}
}

// A command line is the same to sh, fish and csh: none of what they read in
// different ways is in it, and what the command holds arrives unchanged.
func TestAnyShell(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *sshexectest.Server, m *sshexec.Machine) {
		for _, text := range []string{"", "plain", "two words", "a\nb\r\n", `\'"`, `it's "$HOME" \x`, "`id`", "!!", "a;b|c&d", "*?[a]{b,c}", "~", "%s", "ü€\U0001F600", "\x01\x7f\xff"} {
			out, err := m.Run(t.Context(), "printf %s "+shell.Quote(text), nil)
			if err != nil || string(out) != text {
				t.Errorf("%q arrives as %q, %v", text, out, err)
			}
		}
		for _, line := range s.Lines() {
			_, script, ok := strings.Cut(line, `/bin/sh -c 'eval "$(printf %b "$0")"' '`)
			plain := strings.NewReplacer(`\0134`, "", `\0047`, "", `\0041`, "", `\0012`, "", `\0015`, "").Replace(script)
			if !ok || strings.ContainsAny(plain, "\\!\n\r") || strings.Count(plain, "'") != 1 {
				t.Errorf("%q is not the same to all shells", line)
			}
		}
	})
}
