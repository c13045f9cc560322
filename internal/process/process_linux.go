package process

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

var errZombie = errors.New("has ended")

// startOf reads the start time of a process in clock ticks since boot, with
// the boot's own ID (proc(5): field 22 of /proc/PID/stat). The command name in
// field 2 may hold spaces and parentheses, so fields count from the last one.
func startOf(pid int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 {
		return "", fmt.Errorf("/proc/%d/stat is short: %q", pid, stat)
	}
	if state := fields[0]; state == "Z" || state == "X" {
		return "", errZombie
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(boot)) + "/" + fields[19], nil
}
