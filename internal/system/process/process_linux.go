package process

import (
	"fmt"
	"os"
	"strings"
)

// startOf reads the start time of a process in clock ticks since boot, with
// the boot's own ID (proc(5): field 22 of /proc/PID/stat), and whether it has
// ended and only waits to be reaped. The command name in field 2 may hold
// spaces and parentheses, so fields count from the last one.
//
// A process of several threads is a zombie as soon as its first thread has
// ended. While others end (field 20 counts them) its files are still open, its
// locks held and its ports bound: it has not ended yet.
func startOf(pid int) (started string, ended bool, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", false, err
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 {
		return "", false, fmt.Errorf("/proc/%d/stat is short: %q", pid, stat)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", false, err
	}
	state, threads := fields[0], fields[17]
	ended = state == "X" || state == "Z" && threads == "1"
	return strings.TrimSpace(string(boot)) + "/" + fields[19], ended, nil
}
