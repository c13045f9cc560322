//go:build unix

package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/converge/spec"
)

// fifo is a pipe that delivers a text to whoever opens it first, if there is
// one.
func fifo(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if text == "" {
		return path
	}
	wrote := make(chan error, 1)
	go func() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteString(text)
		}
		wrote <- errors.Join(err, f.Close())
	}()
	t.Cleanup(func() {
		if err := <-wrote; err != nil {
			t.Error(err)
		}
	})
	return path
}

// Only the limit and the end of the command matter: a spec may come through a
// pipe, once, and one that never comes or never ends holds nobody.
func TestSpecThatIsNoRegularFile(t *testing.T) {
	find := func(ctx context.Context, g *globals) (string, error) {
		found, err := g.find(ctx, &System{Streams: Streams{Env: os.Getenv}})
		return string(found.Spec.Cluster), err
	}
	g := &globals{flags: spec.Flags{File: fifo(t, "cluster: blue\ndomain: b.example\n")}, stateDir: t.TempDir()}
	for range 2 { // up looks again under its lock
		if name, err := find(t.Context(), g); name != "blue" {
			t.Errorf("%q, %v", name, err)
		}
	}

	g = &globals{flags: spec.Flags{File: "/dev/zero"}, stateDir: t.TempDir()}
	_, err := find(t.Context(), g)
	if f := explain(t.Context(), g, cannot("find it", err)); Exit(f.Exit) != BadSpec || !strings.Contains(f.Error, "/dev/zero: too long: more than 16384 bytes") {
		t.Errorf("/dev/zero: exit %s: %s", f.Name, f.Error)
	}

	g = &globals{flags: spec.Flags{File: fifo(t, "")}, stateDir: t.TempDir()}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := find(ctx, g)
		ended <- err
	}()
	cancel() // as the first SIGTERM does
	if f := explain(ctx, g, cannot("find it", <-ended)); Exit(f.Exit) != Interrupted {
		t.Errorf("a pipe that nobody opens: exit %s: %s", f.Name, f.Error)
	}
}
