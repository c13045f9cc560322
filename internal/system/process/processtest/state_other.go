//go:build unix && !linux

package processtest

import (
	"fmt"
	"os/exec"
	"strings"
)

func gone(pid int) (bool, error) {
	s, err := state(pid)
	return s == "" || s[0] == 'Z', err
}

func stopped(pid int) (bool, error) {
	s, err := state(pid)
	if err == nil && s == "" {
		return false, fmt.Errorf("process %d is gone", pid)
	}
	return err == nil && s[0] == 'T', err
}

// state is what ps says of a process, empty if it is gone.
func state(pid int) (string, error) {
	out, err := exec.Command("ps", "-o", "state=", "-p", fmt.Sprint(pid)).Output()
	if _, exit := err.(*exec.ExitError); exit {
		return "", nil
	}
	return strings.TrimSpace(string(out)), err
}
