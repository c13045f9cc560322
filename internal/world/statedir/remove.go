package statedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
)

// Remove removes the home of a cluster that has been forgotten, and releases the
// lock. What providers keep in the folder stays, and so does the folder; Remove
// returns the names. It refuses while there is an owner or a CA, which only Forget
// removes.
func (h *Home) Remove(l *Lock) (left []string, err error) {
	h.write.Lock()
	defer h.write.Unlock()
	if err := h.removeFiles(); err != nil {
		return nil, errors.Join(err, l.Release())
	}
	left, err = h.others() // while we hold the lock: afterwards a next home may be here
	if err != nil {
		return nil, errors.Join(err, l.lock.Release())
	}
	if runtime.GOOS == "windows" { // a file cannot be removed while it is open
		err = l.lock.Release()
	} else {
		defer func() { err = errors.Join(err, l.lock.Release()) }()
	}
	return left, errors.Join(err, h.removeFolder(len(left) == 0))
}

// removeFiles removes home.json last: until all else is gone, it is still a home.
func (h *Home) removeFiles() error {
	m, err := h.meta()
	if err == nil {
		err = h.checkOriginal()
	}
	if err != nil {
		return err
	}
	if there, err := exists(h.path(pkiFolder)); err != nil || there || m.Owner != "" {
		return errors.Join(fmt.Errorf("remove home of cluster %s: the cluster has not been forgotten", h.cluster), err)
	}
	for _, name := range []string{pkiFolder + fresh, pkiFolder + gone} {
		if err := h.empty(h.path(name)); err != nil {
			return unwritable(h.path(name), err)
		}
	}
	for _, name := range []string{specFile + fresh, specFile, metaFile + fresh, metaFile, holderFile} {
		if err := discard(h.disk, h.path(name)); err != nil {
			return unwritable(h.path(name), err)
		}
	}
	return nil
}

// others are the names of what others keep in the folder. Their empty folders
// hold nothing, and are removed.
func (h *Home) others() ([]string, error) {
	entries, err := os.ReadDir(h.dir)
	if err != nil {
		return nil, unreadable(h.dir, err)
	}
	var left []string
	for _, e := range entries {
		name := e.Name()
		if name != lockFile && !(slices.Contains(theirs(), name) && h.disk.remove(h.path(name)) == nil) {
			left = append(left, name)
		}
	}
	return left, nil
}

// removeFolder removes the lock file and, if nothing else is left, the folder. A
// command that waited for the lock may run in between: it may have removed the
// folder, or made a lock file or a home in it, which then keeps the folder.
func (h *Home) removeFolder(empty bool) error {
	if err := discard(h.disk, h.path(lockFile)); err != nil {
		return unwritable(h.path(lockFile), err)
	}
	if !empty {
		return nil
	}
	if err := discard(h.disk, h.dir); err != nil && !errors.Is(err, fs.ErrExist) { // as Go calls a folder that is not empty
		return unwritable(h.dir, err)
	}
	return nil
}
