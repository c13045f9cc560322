package statedir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
)

// TestMain lets this binary be another command: with PLEIAD_TEST_LOCK set it
// takes the lock of cluster dev in that root, says so, and holds it until its
// standard input ends.
func TestMain(m *testing.M) {
	root := os.Getenv("PLEIAD_TEST_LOCK")
	if root == "" {
		os.Exit(m.Run())
	}
	h, err := Open(root, "dev")
	if err == nil {
		_, err = h.Lock("pleiad up")
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("held")
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0) // without giving the lock back
}

// another starts a command that holds the lock, and returns its process.
func another(t *testing.T, root string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "PLEIAD_TEST_LOCK="+root)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait() // some tests kill it
	})
	said := make([]byte, 5)
	if _, err := io.ReadFull(out, said); err != nil || string(said) != "held\n" {
		t.Fatalf("the other command said %q, %v", said, err)
	}
	return cmd
}

func TestAnotherCommandIsAtWork(t *testing.T) {
	root := t.TempDir()
	h := newHome(t, root)
	other := another(t, root)
	_, err := h.Lock("pleiad destroy")
	var held *HeldError
	if !errors.As(err, &held) || !errors.Is(err, process.ErrHeld) {
		t.Fatalf("Lock: %v, want a HeldError", err)
	}
	host, _ := os.Hostname()
	if who := held.Holder; who.PID != other.Process.Pid || who.Command != "pleiad up" || who.Host != host || time.Since(who.Since) > time.Minute {
		t.Errorf("holder is %+v, want process %d of pleiad up on %s", who, other.Process.Pid, host)
	}
	if want := fmt.Sprintf("cluster dev: pleiad up (process %d on %s, since ", other.Process.Pid, host); !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %q, want %s…", err, want)
	}
}

// A killed command has no lock, and what it wrote is not believed.
func TestKilledHolder(t *testing.T) {
	root := t.TempDir()
	h := newHome(t, root)
	other := another(t, root)
	var waited []Holder
	lock, err := h.LockWait(t.Context(), "pleiad up", func(who Holder) {
		waited = append(waited, who)
		if err := other.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = other.Wait()
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(waited) != 1 || waited[0].PID != other.Process.Pid {
		t.Errorf("waited for %+v, want process %d once", waited, other.Process.Pid)
	}
	if who := h.holder(); who.PID != os.Getpid() {
		t.Errorf("holder is %+v, want us", who)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(h.path(holderFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("lock.json after Release: %v", err)
	}
}

func TestHolderThatHasNotSignedYet(t *testing.T) {
	h := newHome(t, t.TempDir())
	bare, err := process.Acquire(h.path(lockFile))
	if err != nil {
		t.Fatal(err)
	}
	defer bare.Release()
	host, _ := os.Hostname()
	for _, text := range []string{"", "{", fmt.Sprintf(`{"pid": %d, "started": "long ago", "command": "pleiad up", "host": %q}`, os.Getpid(), host)} {
		if text != "" {
			write(t, h.path(holderFile), text)
		}
		if _, err := h.Lock("pleiad up"); err == nil || err.Error() != "cluster dev: another pleiad is at work on it" {
			t.Errorf("with lock.json %q: %v", text, err)
		}
	}
	write(t, h.path(holderFile), `{"pid": 1, "started": "long ago", "command": "pleiad up", "host": "elsewhere"}`)
	if _, err := h.Lock("pleiad up"); err == nil || !strings.Contains(err.Error(), "pleiad up (process 1 on elsewhere") {
		t.Errorf("with a holder on another machine: %v", err)
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	h := newHome(t, t.TempDir())
	lock, err := h.Lock("pleiad up")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	ctx, cancel := context.WithCancel(t.Context())
	var held *HeldError
	if _, err := h.LockWait(ctx, "pleiad destroy", func(Holder) { cancel() }); !errors.As(err, &held) || held.Holder.Command != "pleiad up" {
		t.Errorf("LockWait: %v, want a HeldError by pleiad up", err)
	}
}

// The home goes while somebody waits for it; then nothing is there, and
// nothing is made, whether the folder goes too or is kept for others' data.
func TestWaitingForAHomeThatGoes(t *testing.T) {
	for _, kept := range []string{"", "hosts/etcd-k3v9qd2m/kept"} {
		h := newHome(t, t.TempDir())
		if kept != "" {
			write(t, h.path(kept), "x")
		}
		lock := locked(t, h)
		waiting := make(chan struct{})
		done := make(chan error)
		go func() {
			_, err := h.LockWait(t.Context(), "pleiad up", func(Holder) { close(waiting) })
			done <- err
		}()
		<-waiting
		if left, err := h.Remove(lock); err != nil || (len(left) > 0) != (kept != "") {
			t.Fatalf("Remove: %v, %v", left, err)
		}
		if err := <-done; !errors.Is(err, ErrNone) {
			t.Errorf("LockWait: %v, want ErrNone", err)
		}
		entries, err := os.ReadDir(h.Dir())
		if kept == "" && !errors.Is(err, fs.ErrNotExist) || kept != "" && len(entries) != 1 {
			t.Errorf("afterwards: %v, %v", entries, err)
		}
	}
}

func TestRemove(t *testing.T) {
	h := newHome(t, t.TempDir())
	if err := h.Create(t.Context(), owner, true); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"hosts/etcd-k3v9qd2m/kept", "notes", "home.json.new", "pki.new/peer-ca.key", "pki.gone/peer-ca.key"} {
		write(t, h.path(name), "x")
	}
	if err := os.Mkdir(h.path("dns"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Remove(locked(t, h)); err == nil || !strings.Contains(err.Error(), "has not been forgotten") {
		t.Errorf("Remove of an owned home: %v", err)
	}
	if err := h.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	left, err := h.Remove(locked(t, h))
	if err != nil || strings.Join(left, " ") != "hosts notes" {
		t.Errorf("Remove: %v, %v, want hosts and notes left", left, err)
	}
	if have := strings.Join(tree(t, h.Dir()), "\n"); strings.Contains(have, "pki") || strings.Contains(have, "home") || strings.Contains(have, "lock") || strings.Contains(have, "dns") {
		t.Errorf("files:\n%s", have)
	}
}

func locked(t *testing.T, h *Home) *Lock {
	t.Helper()
	l, err := h.Lock("pleiad destroy")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Commands that make, claim and remove the same home at the same time: one
// works at a time, nobody's owner is lost, and nothing is left.
func TestManyCommandsAtOnce(t *testing.T) {
	root := t.TempDir()
	var working atomic.Int32
	var done sync.WaitGroup
	for i := range 6 {
		done.Go(func() {
			for range 10 {
				if err := life(t.Context(), root, cluster.Owner(fmt.Sprint("owner-", i)), &working); err != nil && !errors.Is(err, ErrNone) {
					t.Error(err)
				}
			}
		})
	}
	done.Wait()
	if have := tree(t, root); len(have) != 1 {
		t.Errorf("left: %v", have)
	}
}

// life is an up and a destroy.
func life(ctx context.Context, root string, who cluster.Owner, working *atomic.Int32) error {
	h, err := Create(ctx, root, "dev", seatOf("dev.test"))
	if err != nil {
		return err
	}
	l, err := h.LockWait(ctx, "pleiad up", func(Holder) {})
	if err != nil {
		return err
	}
	if n := working.Add(1); n != 1 {
		return fmt.Errorf("%d commands at work", n)
	}
	c, err := h.Inspect(ctx)
	if err == nil && c.Owner != "" {
		err = fmt.Errorf("left by %s", c.Owner)
	}
	err = errors.Join(err, h.Create(ctx, who, false))
	if c, err2 := h.Inspect(ctx); err2 != nil || c.Owner != who {
		err = errors.Join(err, err2, fmt.Errorf("owner is %s, not %s", c.Owner, who))
	}
	err = errors.Join(err, h.Forget(ctx))
	working.Add(-1)
	left, removing := h.Remove(l)
	if len(left) > 0 {
		err = errors.Join(err, fmt.Errorf("left %v", left))
	}
	return errors.Join(err, removing)
}
