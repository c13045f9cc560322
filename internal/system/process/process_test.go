//go:build unix

package process

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func spawn(t *testing.T, script string) (Child, string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	c, err := Spawn([]string{"/bin/sh", "-c", script}, nil, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Stamp.Signal(syscall.SIGKILL)
		<-c.Exited
	})
	return c, log
}

func TestChildLivesInASessionOfItsOwn(t *testing.T) {
	c, _ := spawn(t, "exec sleep 60")
	if !c.Stamp.Alive() {
		t.Fatal("child is not alive")
	}
	ours, _ := syscall.Getpgid(0)
	if theirs, err := syscall.Getpgid(c.Stamp.PID); err != nil || theirs == ours {
		t.Errorf("child is in process group %d (%v), we are in %d: Ctrl-C would reach it", theirs, err, ours)
	}
}

func TestRecycledPIDIsNotTheChild(t *testing.T) {
	c, _ := spawn(t, "exec sleep 60")
	other := Stamp{PID: c.Stamp.PID, Started: c.Stamp.Started + "0"}
	if other.Alive() {
		t.Error("a pid with another start time counts as alive")
	}
	if err := other.Stop(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
	if !c.Stamp.Alive() {
		t.Error("a process with another start time was signalled")
	}
}

func TestStopIsPoliteThenForces(t *testing.T) {
	polite, log := spawn(t, `trap 'echo bye; exit' TERM; echo up; while :; do sleep 0.01; done`)
	stubborn, stubbornLog := spawn(t, `trap '' TERM; echo up; while :; do sleep 0.01; done`)
	for _, l := range []string{log, stubbornLog} {
		for b, _ := os.ReadFile(l); len(b) == 0; b, _ = os.ReadFile(l) {
		}
	}
	if err := polite.Stamp.Stop(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(log); string(b) != "up\nbye\n" {
		t.Errorf("polite child was not left to end by itself: log %q", b)
	}
	if err := stubborn.Stamp.Stop(t.Context(), 20*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if stubborn.Stamp.Alive() {
		t.Error("stubborn child is still alive")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	alive, _ := spawn(t, `exec sleep 60`)
	if err := alive.Stamp.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait with a cancelled context: %v", err)
	}
}

func TestLockExcludesAndIsReleased(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	l, err := Acquire(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Acquire(path); !errors.Is(err, ErrHeld) {
		t.Errorf("second Acquire: %v, want ErrHeld", err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	l, err = Acquire(path)
	if err != nil {
		t.Fatal(err)
	}
	l.Release()
}

// A child that is just being started shares all open files.
func TestReleasedLockIsFreeForWhoeverSharesIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	l, err := Acquire(path)
	if err != nil {
		t.Fatal(err)
	}
	copied, err := syscall.Dup(int(l.file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(copied)
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	l, err = Acquire(path)
	if err != nil {
		t.Fatalf("released, but: %v", err)
	}
	l.Release()
}

func TestLockOfARemovedFileIsNoLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var holders atomic.Int32
	var done sync.WaitGroup
	for range 8 {
		done.Go(func() {
			for range 500 {
				l, err := Acquire(path)
				if errors.Is(err, ErrHeld) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d holders at once", n)
				}
				runtime.Gosched()
				holders.Add(-1)
				if err := os.Remove(path); err != nil { // the holder's last act
					t.Error(err)
				}
				l.Release()
			}
		})
	}
	done.Wait()
}
