package folder

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Of is the ID of the folder at path.
func Of(path string) (ID, error) {
	var s unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_INO|unix.STATX_BTIME, &s)
	return identify(path, s, err)
}

// identify is the ID by the answer of statx. An old kernel does not have that
// call, and some sandboxes refuse it, with EPERM; a folder that may not be
// searched is EACCES.
func identify(path string, s unix.Statx_t, err error) (ID, error) {
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("identify folder: %w", err)
		}
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("identify folder: %w", &os.PathError{Op: "statx", Path: path, Err: err})
	}
	if s.Mask&unix.STATX_BTIME == 0 || s.Btime.Sec == 0 {
		return "", nil
	}
	return ID(fmt.Sprintf("inode %d made at %d.%09d", s.Ino, s.Btime.Sec, s.Btime.Nsec)), nil
}
