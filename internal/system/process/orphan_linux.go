package process

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// removed is what the kernel appends to the path of a file that has no name any
// more (proc(5), /proc/PID/fd).
const removed = " (deleted)"

// Orphans finds the processes that hold a lock on a file below a folder that was
// removed, by the path that the file had. Nobody else can hold it: the file has
// no name by which it could be opened. So whoever holds it took it while it was
// there, and is what the lock was for.
//
// What is not proven is left out: processes of other users or in other mount
// namespaces, where a path means something else, and files that were moved
// rather than removed. That nothing is found says nothing.
func Orphans(folder string) (map[string]Stamp, error) {
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("find processes: %w", err)
	}
	here, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return nil, fmt.Errorf("find processes: %w", err)
	}
	out := map[string]Stamp{}
	for _, p := range processes {
		pid, err := strconv.Atoi(p.Name())
		if err != nil || !ours(pid, here) {
			continue
		}
		// Before its files: a process that takes its pid later has another start.
		started, ended, err := startOf(pid)
		if err != nil || ended {
			continue
		}
		for _, path := range lostLocks(pid, folder) {
			out[path] = Stamp{PID: pid, Started: started}
		}
	}
	return out, nil
}

// ours says whether a process is one of this user, and sees the paths that we
// see.
func ours(pid int, namespace string) bool {
	info, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		return false
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); !ok || int(owner.Uid) != os.Geteuid() {
		return false
	}
	there, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", pid))
	return err == nil && there == namespace
}

// lostLocks are the former paths of removed files below a folder on which a
// process holds an exclusive lock. What cannot be read of it has just been
// closed, or its process has ended.
func lostLocks(pid int, folder string) []string {
	at := fmt.Sprintf("/proc/%d", pid)
	files, err := os.ReadDir(filepath.Join(at, "fd"))
	if err != nil {
		return nil
	}
	var out []string
	for _, f := range files {
		target, err := os.Readlink(filepath.Join(at, "fd", f.Name()))
		path, gone := strings.CutSuffix(target, removed)
		if err != nil || !gone || !strings.HasPrefix(path, folder+"/") {
			continue
		}
		// A file may be called so and be there.
		if info, err := os.Stat(filepath.Join(at, "fd", f.Name())); err != nil || info.Sys().(*syscall.Stat_t).Nlink != 0 {
			continue
		}
		if locked(filepath.Join(at, "fdinfo", f.Name())) {
			out = append(out, path)
		}
	}
	return out
}

// locked says whether an open file holds an exclusive lock (proc(5),
// /proc/PID/fdinfo: "lock: 1: FLOCK  ADVISORY  WRITE 359 00:13:11691 0 EOF").
func locked(info string) bool {
	f, err := os.Open(info)
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) >= 5 && fields[0] == "lock:" && fields[2] == "FLOCK" && fields[4] == "WRITE" {
			return true
		}
	}
	return false
}
