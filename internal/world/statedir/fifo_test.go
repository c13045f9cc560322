//go:build unix

package statedir

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"
)

// A FIFO under the name of a file of ours, or a file without end, is an error at
// once: nobody waits for who may hold its other end.
func TestOddFilesAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	spec := func(h *Home) error { _, err := h.Spec(); return err }
	lock := func(h *Home) error { _, err := h.Lock("pleiad up"); return err }
	for name, act := range map[string]func(*Home) error{specFile: spec, lockFile: lock, holderFile: lock} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHome(t, t.TempDir())
			if err := os.Remove(h.path(name)); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			if err := syscall.Mkfifo(h.path(name), 0o600); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- act(h) }()
			select {
			case err := <-done:
				var e *Error
				if !errors.As(err, &e) {
					t.Errorf("%v, want an error of this package", err)
				}
			case <-time.After(10 * time.Second):
				t.Error("it waits")
			}
		})
	}
	t.Run("endless", func(t *testing.T) {
		h := newHome(t, t.TempDir())
		if err := errors.Join(h.SaveSpec(nil), os.Truncate(h.path(specFile), 1<<40)); err != nil {
			t.Fatal(err)
		}
		if err := spec(h); err == nil {
			t.Error("a spec of a terabyte is read")
		}
	})
}
