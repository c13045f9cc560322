package processtest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// gone says whether a process has ended; one that only waits to be reaped has,
// if it is the last of its threads. The count is asked for, because a list that
// is read while threads end may lack some that have not.
func gone(pid int) (bool, error) {
	state, threads, err := read(fmt.Sprintf("/proc/%d/stat", pid))
	return state == "" || (state == "Z" || state == "X") && threads == "1", err
}

// stopped says whether all threads of a process are stopped.
func stopped(pid int) (bool, error) {
	_, threads, err := read(fmt.Sprintf("/proc/%d/stat", pid))
	if err == nil && threads == "" {
		err = fmt.Errorf("process %d is gone", pid)
	}
	if err != nil {
		return false, err
	}
	list, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil {
		return false, err
	}
	for _, file := range list {
		if state, _, err := read(file); state != "T" {
			return false, err
		}
	}
	return fmt.Sprint(len(list)) == threads, nil
}

// read returns the state of a process or thread and how many threads its
// process has, nothing if it is gone (proc(5): fields 3 and 20). The command
// name in field 2 may hold spaces and parentheses, so fields count from the
// last one.
func read(file string) (state, threads string, err error) {
	stat, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return "", "", nil
	}
	if err != nil {
		return "", "", err
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 18 {
		return "", "", fmt.Errorf("%s is short: %q", file, stat)
	}
	return fields[0], fields[17], nil
}
