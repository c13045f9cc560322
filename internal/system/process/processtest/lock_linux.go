package processtest

import (
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Unlocked returns when nobody holds a lock of etcd's on a file, which are locks of
// an open file (F_OFD_SETLK): a child that is just being started holds those of all
// files that were open, until it executes its program.
func Unlocked(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return until(path+" is not locked", func() (bool, error) {
		holder := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
		if err := syscall.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &holder); err != nil {
			return false, fmt.Errorf("look for a lock on %s: %w", path, err)
		}
		return holder.Type == syscall.F_UNLCK, nil
	})
}
