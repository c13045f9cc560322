//go:build unix

package disk

import (
	"fmt"
	"syscall"
)

// Free is how much an unprivileged process may still write below dir, in bytes.
func Free(dir string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("ask for free space below %s: %w", dir, err)
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}
