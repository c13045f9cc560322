package folder

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Of is the ID of the folder at path.
func Of(path string) (ID, error) {
	var s unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_INO|unix.STATX_BTIME, &s)
	if err != nil {
		return "", fmt.Errorf("identify folder: %w", &os.PathError{Op: "statx", Path: path, Err: err})
	}
	if s.Mask&unix.STATX_BTIME == 0 || s.Btime.Sec == 0 {
		return ID(fmt.Sprintf("inode %d on device %d:%d", s.Ino, s.Dev_major, s.Dev_minor)), nil
	}
	return ID(fmt.Sprintf("inode %d made at %d.%09d", s.Ino, s.Btime.Sec, s.Btime.Nsec)), nil
}
