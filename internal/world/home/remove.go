package home

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
)

// Remove removes the home of a cluster that has been forgotten, and ends the
// lock. What others keep in the folder stays, and the folder with it; Remove
// returns the names of that. It refuses while there is an owner or a CA: only
// Forget ends those.
func (h *Home) Remove(l *Lock) (left []string, err error) {
	h.write.Lock()
	defer h.write.Unlock()
	if err := h.removeFiles(); err != nil {
		return nil, errors.Join(err, l.Release())
	}
	if runtime.GOOS == "windows" { // a file cannot be removed while it is open
		err = l.lock.Release()
	} else {
		defer func() { err = errors.Join(err, l.lock.Release()) }()
	}
	left, removing := h.removeFolder()
	return left, errors.Join(err, removing)
}

// removeFiles removes home.json last, so that a home is a home until all else
// is gone.
func (h *Home) removeFiles() error {
	m, err := h.meta()
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

// removeFolder removes the lock and, if nothing is left in it, the folder.
func (h *Home) removeFolder() ([]string, error) {
	if err := discard(h.disk, h.path(lockFile)); err != nil {
		return nil, unwritable(h.path(lockFile), err)
	}
	entries, err := os.ReadDir(h.dir)
	if err != nil {
		return nil, unreadable(h.dir, err)
	}
	var left []string
	for _, e := range entries {
		switch name := e.Name(); {
		case name == lockFile: // made just now by a command that waited for us; it takes it away
			left = append(left, name)
		case slices.Contains(theirs(), name) && h.disk.remove(h.path(name)) == nil: // was empty
		default:
			left = append(left, name)
		}
	}
	if len(left) > 0 {
		return slices.DeleteFunc(left, func(name string) bool { return name == lockFile }), nil
	}
	if err := discard(h.disk, h.dir); err != nil {
		return nil, unwritable(h.dir, err)
	}
	return nil, nil
}
