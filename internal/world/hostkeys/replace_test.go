//go:build unix

package hostkeys_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/pleiad-etcd/pleiad/internal/system/process/processtest"
	"github.com/pleiad-etcd/pleiad/internal/world/hostkeys"
)

// machine has the files of one, and runs commands with the tools that it finds in its
// own folder of programs.
type machine struct {
	t      *testing.T
	dir    string
	public string // its first key
	// cut, if not 0, ends the nth command before it is run (negative: after).
	cut, ran int
}

var errCut = errors.New("connection lost")

// newMachine has the first key that a store gives.
func newMachine(t *testing.T, s *hostkeys.Store) *machine {
	private, public, err := s.First(name)
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, dir: t.TempDir(), public: public}
	if err := os.Mkdir(m.path("bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	m.write("key", private)
	m.write("key.pub", public+" root@image")
	m.program("systemctl", "[ \"$*\" = 'reload ssh.service' ] || exit 1\ncp "+m.path("key.pub")+" "+m.path("shown"))
	m.program("ssh-keygen", "for last; do :; done\necho private >\"$last\"\necho '"+line(t)+"' >\"$last.pub\"")
	m.write("shown", public)
	return m
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

func (m *machine) write(name, content string) {
	m.t.Helper()
	if err := os.WriteFile(m.path(name), []byte(content+"\n"), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) program(name, script string) {
	m.t.Helper()
	if err := processtest.Program(m.path("bin/"+name), "#!/bin/sh\n"+script+"\n"); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) Run(ctx context.Context, command string, _ io.Reader) ([]byte, error) {
	if m.ran++; m.ran == m.cut {
		return nil, errCut
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", strings.ReplaceAll(command, "/etc/ssh/ssh_host_ed25519_key", m.path("key")))
	cmd.Env = []string{"PATH=" + m.path("bin") + ":" + os.Getenv("PATH")}
	out, err := cmd.Output()
	if m.ran == -m.cut {
		return nil, errCut
	}
	return out, err
}

// shown is the key that the machine's sshd shows.
func (m *machine) shown() ssh.PublicKey {
	m.t.Helper()
	raw, err := os.ReadFile(m.path("shown"))
	if err != nil {
		m.t.Fatal(err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(raw)
	if err != nil {
		m.t.Fatal(err)
	}
	return key
}

func accepts(t *testing.T, s *hostkeys.Store, key ssh.PublicKey) bool {
	t.Helper()
	keys, err := s.Vouch(name)
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(keys.Keys, func(k ssh.PublicKey) bool { return bytes.Equal(k.Marshal(), key.Marshal()) })
}

// A machine gets a key of its own, wherever that is cut off: its key of the moment is
// always accepted, and at the end no other.
func TestReplace(t *testing.T) {
	t.Parallel()
	for _, cut := range []int{0, 1, -1, 2, -2} {
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			t.Parallel()
			s := hostkeys.In(t.TempDir())
			m := newMachine(t, s)
			first := m.shown()
			m.cut = cut
			if err := s.Replace(t.Context(), name, m); (err != nil) != (cut != 0) {
				t.Errorf("Replace: %v", err)
			}
			if !accepts(t, s, m.shown()) {
				t.Error("the key that the machine shows is not accepted")
			}
			m.cut = 0
			for range 2 {
				if err := s.Replace(t.Context(), name, m); err != nil {
					t.Fatal(err)
				}
				if own := m.shown(); !accepts(t, s, own) || accepts(t, s, first) {
					t.Errorf("its own key is accepted: %t, the first one: %t", accepts(t, s, own), accepts(t, s, first))
				}
			}
			if err := s.Forget(name); err != nil {
				t.Fatal(err)
			}
			if err := s.Remove(); err != nil || accepts(t, s, first) {
				t.Errorf("after the end: %v, the first key is accepted: %t", err, accepts(t, s, first))
			}
		})
	}
}

// A machine that only repeats its first key has none of its own.
func TestNoNewKey(t *testing.T) {
	t.Parallel()
	for what, printed := range map[string]func(public string) string{
		"the first one": func(public string) string { return public },
		"nothing":       func(string) string { return "" },
		"nonsense":      func(string) string { return "ssh-ed25519 x" },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := hostkeys.In(t.TempDir())
			m := newMachine(t, s)
			m.program("ssh-keygen", "for last; do :; done\necho private >\"$last\"\necho '"+printed(m.public)+"' >\"$last.pub\"")
			if err := s.Replace(t.Context(), name, m); err == nil {
				t.Error("it is taken")
			}
			if !accepts(t, s, m.shown()) {
				t.Error("the machine cannot be reached any more")
			}
		})
	}
}
