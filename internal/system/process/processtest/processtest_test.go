//go:build unix

package processtest

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// TestMain lets this binary be a process whose threads count as fast as they
// can, in a file.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "count" {
		counter, err := open(os.Args[2])
		if err != nil {
			panic(err)
		}
		if !locks(os.Args[2]) {
			panic("it is locked")
		}
		for range 3 {
			go count(counter)
		}
		count(counter)
	}
	os.Exit(m.Run())
}

func count(n *atomic.Uint64) {
	for {
		n.Add(1)
	}
}

// open shares a number in a file with whoever else opens it.
func open(file string) (*atomic.Uint64, error) {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Truncate(8); err != nil {
		return nil, err
	}
	m, err := syscall.Mmap(int(f.Fd()), 0, 8, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return (*atomic.Uint64)(unsafe.Pointer(&m[0])), nil
}

// locks takes the lock of a file, until the process ends.
func locks(file string) bool {
	fd, err := syscall.Open(file, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	return err == nil && syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

// counting starts a process that holds the lock of a file and counts in it.
func counting(t *testing.T) (cmd *exec.Cmd, file string, counter *atomic.Uint64) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "count")
	counter, err := open(file)
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(os.Args[0], "count", file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended if all is well
		_ = cmd.Wait()
	})
	for counter.Load() == 0 {
		runtime.Gosched()
	}
	return cmd, file, counter
}

// wantStill wants that nobody counts any more.
func wantStill(t *testing.T, counter *atomic.Uint64) {
	t.Helper()
	before := counter.Load()
	for end := time.Now().Add(2 * time.Millisecond); time.Now().Before(end); {
		if now := counter.Load(); now != before {
			t.Fatalf("it counted from %d to %d", before, now)
		}
	}
}

func TestStoppedProcessDoesNothing(t *testing.T) {
	for range 20 {
		cmd, _, counter := counting(t)
		if err := Stop(cmd.Process.Pid); err != nil {
			t.Fatal(err)
		}
		wantStill(t, counter)
		if err := Kill(cmd.Process.Pid); err != nil {
			t.Fatal(err)
		}
	}
	if err := Stop(os.Getpid() + 1<<22); err == nil {
		t.Error("a process that does not exist was stopped")
	}
}

// Here nobody has waited for it yet.
func TestKilledProcessIsGone(t *testing.T) {
	for range 20 {
		cmd, file, counter := counting(t)
		if err := Kill(cmd.Process.Pid); err != nil {
			t.Fatal(err)
		}
		if !locks(file) {
			t.Fatal("killed, it still holds its lock")
		}
		wantStill(t, counter)
		if err := cmd.Wait(); err == nil {
			t.Error("it ended by itself")
		}
		if err := Kill(cmd.Process.Pid); err != nil {
			t.Errorf("a second time: %v", err)
		}
	}
	for _, pid := range []int{-1, 0, 1} {
		if err := Kill(pid); err == nil {
			t.Errorf("process %d was killed", pid)
		}
	}
}

// While others start children all the time, a closed listener's address is
// free at once.
func TestClosedListenerIsFree(t *testing.T) {
	var starting sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		starting.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := exec.Command("/bin/true").Run(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	defer starting.Wait()
	defer close(stop)
	for _, network := range []string{"tcp", "udp"} {
		l, err := listen(network, "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		for range 500 {
			addr := address(l)
			if err := Close(l); err != nil {
				t.Fatal(err)
			}
			if l, err = listen(network, addr); err != nil {
				t.Fatalf("closed, and its address is taken: %v", err)
			}
		}
		l.Close()
	}
}

// Others are started all the time while programs are written and run.
func TestProgramRuns(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	for range 4 {
		all.Go(func() {
			for ctx.Err() == nil {
				_ = exec.CommandContext(ctx, "true").Run() // its end is not what is asked
			}
		})
	}
	for range 50 {
		path := filepath.Join(t.TempDir(), "program")
		if err := Program(path, "#!/bin/sh\nexit 0\n"); err != nil {
			t.Fatal(err)
		}
		if err := exec.Command(path).Run(); err != nil {
			t.Fatal(err)
		}
	}
}

func listen(network, addr string) (io.Closer, error) {
	if network == "udp" {
		return net.ListenPacket(network, addr)
	}
	return net.Listen(network, addr)
}

func address(l io.Closer) string {
	if p, ok := l.(net.PacketConn); ok {
		return p.LocalAddr().String()
	}
	return l.(net.Listener).Addr().String()
}
