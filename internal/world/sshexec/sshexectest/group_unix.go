//go:build unix

package sshexectest

import (
	"os"
	"os/exec"
	"syscall"
)

// ownGroup starts a command in a group of its own, as sshd does.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// signalGroup sends a signal to all of a command.
func signalGroup(cmd *exec.Cmd, name string) {
	signals := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL}
	if n, ok := signals[name]; ok {
		syscall.Kill(-cmd.Process.Pid, n) // an error means that it is gone
	}
}

func exitStatus(s *os.ProcessState) int {
	if w := s.Sys().(syscall.WaitStatus); w.Signaled() {
		return 128 + int(w.Signal())
	}
	return s.ExitCode()
}
