//go:build !unix

package sshexectest

import (
	"os"
	"os/exec"
)

func ownGroup(*exec.Cmd) {}

func signalGroup(cmd *exec.Cmd, _ string) { cmd.Process.Kill() }

func exitStatus(s *os.ProcessState) int { return s.ExitCode() }
