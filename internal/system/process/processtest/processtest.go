//go:build unix

package processtest

import (
	"errors"
	"fmt"
	"syscall"
)

// Kill kills a process and returns when it is gone with all its threads. One
// that does not run is no error.
func Kill(pid int) error {
	if err := signal(pid, syscall.SIGKILL); err != nil {
		return err
	}
	return Ended(pid)
}

// Ended returns when a process is gone with all its threads.
func Ended(pid int) error {
	return until(fmt.Sprintf("process %d is gone", pid), func() (bool, error) { return gone(pid) })
}

// Stop stops a process with SIGSTOP and returns when none of its threads runs.
func Stop(pid int) error {
	if err := signal(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	return until(fmt.Sprintf("process %d is stopped", pid), func() (bool, error) { return stopped(pid) })
}

func signal(pid int, sig syscall.Signal) error {
	if pid <= 1 {
		return fmt.Errorf("signal process %d: not a child of a test", pid)
	}
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal process %d: %w", pid, err)
	}
	return nil
}
