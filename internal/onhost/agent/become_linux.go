package agent

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// as runs do with a user's rights over files. The member owns the folders of its
// files, so it could put a link where root is about to write; with the member's
// own rights, a link leads nowhere that the member could not write itself. The
// file system IDs belong to the thread (setfsuid(2)); root's rights over files go
// with them. Where there is no such user, do has the rights of this process.
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
