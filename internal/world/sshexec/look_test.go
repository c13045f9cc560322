package sshexec_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/world/sshexec"
	"github.com/pleiad-etcd/pleiad/internal/world/sshexec/sshexectest"
)

// However often a machine is looked at, and whatever comes next, it costs
// becoming root once.
func TestLookOnce(t *testing.T) {
	t.Parallel()
	for next, call := range map[string]func(ctx context.Context, m *sshexec.Machine) (string, error){
		"Run": func(ctx context.Context, m *sshexec.Machine) (string, error) {
			out, err := m.Run(ctx, "cat", strings.NewReader("in"))
			return string(out), err
		},
		"Send": func(ctx context.Context, m *sshexec.Machine) (string, error) {
			return "in", m.Send(ctx, `[ "$(cat)" = in ]`, []byte("in"))
		},
		"Follow": func(ctx context.Context, m *sshexec.Machine) (string, error) {
			var out strings.Builder
			err := m.Follow(ctx, "printf in", &out)
			return out.String(), err
		},
		"Open": func(ctx context.Context, m *sshexec.Machine) (string, error) {
			stream, err := m.Open(ctx, "head -c 2")
			if err != nil {
				return "", err
			}
			_, sent := io.WriteString(stream, "in")
			out, err := io.ReadAll(stream)
			return string(out), errors.Join(sent, err, stream.Close())
		},
	} {
		t.Run(next, func(t *testing.T) {
			each(t, func(t *testing.T, s *sshexectest.Server, m *sshexec.Machine) {
				for range 3 {
					if out, err := m.Look(t.Context(), `printf '%s\n' "it's \0041"; echo none of it >&2; cat`); err != nil || string(out) != "it's \\0041\n" {
						t.Fatalf("Look: %q, %v", out, err)
					}
				}
				if out, err := call(t.Context(), m); err != nil || out != "in" {
					t.Errorf("%q, %v", out, err)
				}
				if n := len(s.Lines()); n != 1 {
					t.Errorf("%d times root, want once", n)
				}
				if out, err := m.Look(t.Context(), "echo again"); err != nil || string(out) != "again\n" {
					t.Errorf("Look: %q, %v", out, err)
				}
			})
		})
	}
}

// A look that fails says why, as a command does, and leaves nothing that waits.
func TestLookFails(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *sshexectest.Server, m *sshexec.Machine) {
		for range 2 {
			if _, err := m.Look(t.Context(), "echo fine; echo before >&2"); err != nil {
				t.Fatal(err)
			}
			out, err := m.Look(t.Context(), "echo out; echo why >&2; exit 7")
			var exit *sshexec.ExitError
			if string(out) != "out\n" || !errors.As(err, &exit) || exit.Status != 7 || exit.Stderr != "why\n" {
				t.Errorf("%q, %v, want out, and status 7 with why", out, err)
			}
		}
		if n := len(s.Lines()); n != 2 {
			t.Errorf("%d times root, want twice", n)
		}
		if _, err := m.Look(t.Context(), "cat /dev/zero"); !errors.Is(err, sshexec.ErrLost) || !strings.Contains(err.Error(), "MiB of output") {
			t.Errorf("endless output: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := m.Look(ctx, "sleep 60"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("no answer in time: %v", err)
		}
		if out, err := m.Look(t.Context(), "echo again"); err != nil || string(out) != "again\n" {
			t.Errorf("Look: %q, %v", out, err)
		}
	})
}

// Those who look at once do not share a shell.
func TestLooksAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *sshexectest.Server, m *sshexec.Machine) {
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if out, err := m.Look(t.Context(), "echo one; sleep 0.02; echo two"); err != nil || string(out) != "one\ntwo\n" {
					t.Errorf("%q, %v", out, err)
				}
			})
		}
		all.Wait()
	})
}

// A shell that ended while it waited is no shell that waits.
func TestLookAfterLoss(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *sshexectest.Server, m *sshexec.Machine) {
		if _, err := m.Look(t.Context(), "true"); err != nil {
			t.Fatal(err)
		}
		s.Drop()
		var lines []string
		for end := time.Now().Add(10 * time.Second); len(lines) < 2 && time.Now().Before(end); lines = s.Lines() {
			if _, err := m.Run(t.Context(), "true", nil); err != nil && !errors.Is(err, sshexec.ErrLost) { // nobody has heard of it yet
				t.Fatal(err)
			}
		}
		if out, err := m.Look(t.Context(), "echo again"); err != nil || string(out) != "again\n" {
			t.Errorf("Look: %q, %v", out, err)
		}
	})
}

// How long it takes to become root is that of the login and sudo, whatever a
// shell that waited saved.
func TestDelay(t *testing.T) {
	t.Parallel()
	const slow = 300 * time.Millisecond
	for _, user := range users {
		s := sshexectest.Start(t, sshexectest.Options{Address: address, Users: []string{user}, Login: "sleep 0.3"})
		m := machine(t, s, sshexec.Config{})
		if d := m.Delay(); d != 0 {
			t.Errorf("%s before anything was asked", d)
		}
		if _, err := m.Look(t.Context(), "true"); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Run(t.Context(), "true", nil); err != nil {
			t.Fatal(err)
		}
		if d := m.Delay(); d < slow || len(s.Lines()) != 1 {
			t.Errorf("%s after %d commands, want at least %s after one", d, len(s.Lines()), slow)
		}
	}
}
