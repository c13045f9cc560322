package folder

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Of is the ID of the folder at path.
func Of(path string) (ID, error) {
	var s unix.Stat_t
	if err := unix.Stat(path, &s); err != nil {
		return "", fmt.Errorf("identify folder: %w", &os.PathError{Op: "stat", Path: path, Err: err})
	}
	return ID(fmt.Sprintf("inode %d made at %d.%09d", s.Ino, s.Btim.Sec, s.Btim.Nsec)), nil
}
