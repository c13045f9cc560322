package agent

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// as does something to files with the rights of a user. The member owns the
// folders of its files, so it could put a link where root is about to write;
// with the member's own rights the link leads nowhere that it could not go
// itself. The file system IDs are the thread's alone (setfsuid(2)), and with
// them go root's rights over files. Where there is no such user, the rights are
// this process's own.
func as(u User, do func() error) error {
	if u.UID <= 0 {
		return do()
	}
	runtime.LockOSThread() // for good if the way back fails: the thread then ends with its goroutine
	if err := setIDs(u.UID, u.GID); err != nil {
		return errors.Join(err, setIDs(unix.Geteuid(), unix.Getegid()))
	}
	err := do()
	if back := setIDs(unix.Geteuid(), unix.Getegid()); back != nil {
		return errors.Join(err, back)
	}
	runtime.UnlockOSThread()
	return err
}

// setIDs sets this thread's file system IDs. The calls do not say whether they
// could; asking for an impossible ID does.
func setIDs(uid, gid int) error {
	const impossible = -1
	if err := errors.Join(unix.Setfsgid(gid), unix.Setfsuid(uid)); err != nil {
		return fmt.Errorf("act with the rights of user %d: %w", uid, err)
	}
	u, wrong := unix.SetfsuidRetUid(impossible)
	g, wrong2 := unix.SetfsgidRetGid(impossible)
	if err := errors.Join(wrong, wrong2); err != nil || u != uid || g != gid {
		return fmt.Errorf("act with the rights of user %d, group %d: they are %d and %d: %w", uid, gid, u, g, errors.Join(err, unix.EPERM))
	}
	return nil
}
