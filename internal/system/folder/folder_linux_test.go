package folder

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// What changes with a reboot is not part of an ID; without a moment of birth
// there is none.
func TestIdentify(t *testing.T) {
	here := t.TempDir()
	born := unix.Statx_t{Mask: unix.STATX_INO | unix.STATX_BTIME, Ino: 7, Dev_major: 1, Btime: unix.StatxTimestamp{Sec: 5, Nsec: 6}}
	rebooted, unborn, epoch := born, born, born
	rebooted.Dev_major, unborn.Mask, epoch.Btime = 2, unix.STATX_INO, unix.StatxTimestamp{}
	for name, c := range map[string]struct {
		stat unix.Statx_t
		err  error
		want ID
	}{
		"a moment of birth":    {stat: born, want: "inode 7 made at 5.000000006"},
		"after a reboot":       {stat: rebooted, want: "inode 7 made at 5.000000006"},
		"no moment of birth":   {stat: unborn},
		"a moment of zero":     {stat: epoch},
		"statx is not there":   {err: unix.ENOSYS},
		"statx is not allowed": {err: unix.EPERM},
	} {
		if got, err := identify(here, c.stat, c.err); err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
	if id, err := identify(here, unix.Statx_t{}, unix.EACCES); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a folder that may not be looked at: %q, %v", id, err)
	}
	if id, err := identify(filepath.Join(here, "absent"), unix.Statx_t{}, unix.ENOSYS); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an absent folder: %q, %v", id, err)
	}
}
