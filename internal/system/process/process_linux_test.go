package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const leaderless = "leaderless"

// init keeps the main goroutine of a helper process on its first thread.
func init() {
	if len(os.Args) > 1 && os.Args[1] == leaderless {
		runtime.LockOSThread()
	}
}

// TestMain lets this binary be a process whose first thread ends while others
// run.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == leaderless {
		syscall.RawSyscall(syscall.SYS_EXIT, 0, 0, 0)
	}
	os.Exit(m.Run())
}

func state(t *testing.T, pid int) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))[0]
}

// A killed process of several threads shows as a zombie while some of them
// still hold its locks and ports.
func TestProcessWithoutItsFirstThreadIsAlive(t *testing.T) {
	c, err := Spawn([]string{os.Args[0], leaderless}, nil, filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(c.Stamp.PID, syscall.SIGKILL) // it has ended if all is well
		<-c.Exited
	})
	for state(t, c.Stamp.PID) != "Z" {
	}
	if !c.Stamp.Alive() {
		t.Error("a process of which threads run counts as gone")
	}
	if err := c.Stamp.Stop(t.Context(), 0); err != nil {
		t.Error(err)
	}
}

// A child that ends before Spawn has looked at it is still known.
func TestZombieIsKnownButNotAlive(t *testing.T) {
	cmd := exec.Command("/bin/true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for state(t, cmd.Process.Pid) != "Z" {
	}
	started, ended, err := startOf(cmd.Process.Pid)
	if started == "" || !ended || err != nil {
		t.Errorf("startOf a zombie = %q, %v, %v, want when it was started, and that it has ended", started, ended, err)
	}
	if (Stamp{PID: cmd.Process.Pid, Started: started}).Alive() {
		t.Error("a zombie counts as alive")
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
