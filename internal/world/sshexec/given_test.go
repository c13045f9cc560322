//go:build unix

package sshexec_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/world/sshexec"
	"github.com/pleiad-etcd/pleiad/internal/world/sshexec/sshexectest"
)

// What an operator names may be a pipe that nobody opens, or never end: no file
// holds a login longer than the timeout, or takes more than its limit.
func TestFilesThatAreNoRegularFiles(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{"a pipe": pipe, "no end": "/dev/zero"} {
		for what, config := range map[string]sshexec.Config{
			"sshConfig":    {SSHConfig: file},
			"identityFile": {IdentityFile: file},
			"knownHosts":   {KnownHosts: file},
		} {
			t.Run(what+", "+name, func(t *testing.T) {
				t.Parallel()
				s := sshexectest.Start(t, sshexectest.Options{Address: address})
				if config.SSHConfig == "" {
					config.SSHConfig = sshexectest.Config(t, s)
				}
				config.Login = 2 * time.Second
				began := time.Now()
				_, err := pool(t, config).Machine(addr(address)).Run(t.Context(), "true", nil)
				if !errors.Is(err, sshexec.ErrUnreachable) && !errors.Is(err, sshexec.ErrDenied) && !errors.Is(err, sshexec.ErrSetup) || time.Since(began) > 20*time.Second {
					t.Errorf("after %s: %v", time.Since(began), err)
				}
				if err != nil && (what != "identityFile" || name == "no end") && !strings.Contains(err.Error(), file) {
					t.Errorf("it does not name the file: %v", err)
				}
			})
		}
	}
}

// A key may come through a pipe, as ssh takes it.
func TestKeyThroughAPipe(t *testing.T) {
	t.Parallel()
	s := sshexectest.Start(t, sshexectest.Options{Address: address})
	key, err := os.ReadFile(s.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	wrote := make(chan error, 1)
	go func() {
		f, err := os.OpenFile(pipe, os.O_WRONLY, 0)
		if err == nil {
			_, err = f.Write(key)
		}
		wrote <- errors.Join(err, f.Close())
	}()
	if _, err := machine(t, s, sshexec.Config{IdentityFile: pipe}).Run(t.Context(), "true", nil); err != nil {
		t.Error(err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}
