//go:build unix

package cli

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/real"
	"github.com/pleiad-etcd/pleiad/internal/world/statedir"
)

// onWait does something the first time that a command says that it waits.
type onWait struct{ act func() }

func (w *onWait) Write(b []byte) (int, error) {
	if act := w.act; act != nil {
		w.act = nil
		act()
	}
	return len(b), nil
}

// Of two copies that take over from one home at the same time, one does: what the
// other knows from before it got the lock is no longer true.
func TestTakeOverLooksAgainOnceItHoldsTheLock(t *testing.T) {
	root := t.TempDir()
	put(t, filepath.Join(root, "a"), "cluster: blue\ndomain: b.example\n")
	for _, to := range []string{"b", "c"} {
		if err := os.CopyFS(filepath.Join(root, to), os.DirFS(filepath.Join(root, "a"))); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(root, to, "blue"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	open := func(at string) *statedir.Home {
		t.Helper()
		h, err := statedir.Open(filepath.Join(root, at), "blue")
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	for _, at := range []string{"a", "c"} { // the one it is a copy of, and itself
		before := open("c").Copied()
		lock, err := open(at).Lock("another take-over")
		if err != nil {
			t.Fatal(err)
		}
		o := &takeOverOptions{globals: &globals{stateDir: filepath.Join(root, "c"), command: "take-over"}, yes: true}
		o.flags.Cluster = ptr("blue")
		waited := false
		o.system = &System{
			Streams: Streams{Out: io.Discard, Env: os.Getenv, Err: &onWait{act: func() {
				waited = true
				if at == "a" {
					err = open("b").TakeOver(open("a"))
				} else {
					err = open("c").TakeOver(open("b"))
				}
				if released := lock.Release(); err != nil || released != nil {
					t.Error(err, released)
				}
			}}},
			Open: func(context.Context, cluster.Spec, *statedir.Home, real.Trace) (real.World, error) {
				return real.World{}, nil
			},
		}
		err = o.run(t.Context())
		if refused := err != nil; !waited || refused != (at == "a") {
			t.Errorf("while %s was locked, waited %v, and then: %v", at, waited, err)
		}
		var acting []string
		for _, one := range []string{"a", "b", "c"} {
			if open(one).Copied() == "" {
				acting = append(acting, one)
			}
		}
		if len(acting) != 1 {
			t.Errorf("these act (c was a copy of %s): %v", before, acting)
		}
	}
}
