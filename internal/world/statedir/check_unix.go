//go:build unix

package statedir

import (
	"io/fs"
	"os"
	"syscall"
)

// self is our user.
func self() int { return os.Geteuid() }

// ownerOf is the user a file belongs to, if that is known.
func ownerOf(info fs.FileInfo) (int, bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(st.Uid), true
}

func permissions(info fs.FileInfo) fs.FileMode { return info.Mode().Perm() }
