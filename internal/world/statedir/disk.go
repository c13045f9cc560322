package statedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pleiad-etcd/pleiad/internal/system/durable"
	"github.com/pleiad-etcd/pleiad/internal/system/untrusted"
)

// disk is every effect that a home has on its folder, so that tests can let
// each of them fail, or end there.
type disk interface {
	// create writes a new file with data, readable by us alone, and syncs it.
	create(path string, data []byte) error
	// mkdir makes a folder for us alone.
	mkdir(path string) error
	// rename moves a file over another, or a folder to where none is.
	rename(from, to string) error
	// remove deletes a file or an empty folder.
	remove(path string) error
	// syncDir makes what was created, renamed and removed in a folder last.
	syncDir(path string) error
}

type osDisk struct{}

func (osDisk) create(path string, data []byte) error {
	return durable.Write(durable.Private(path, data))
}
func (osDisk) mkdir(path string) error      { return os.Mkdir(path, 0o700) }
func (osDisk) rename(from, to string) error { return os.Rename(from, to) }
func (osDisk) remove(path string) error     { return os.Remove(path) }
func (osDisk) syncDir(path string) error    { return durable.SyncFolders(path) }

// replace gives a file new contents: after an error the old ones are still
// there, and nothing lies beside them unless even removing it failed.
func replace(d disk, path string, data []byte) error {
	if err := discard(d, path+fresh); err != nil {
		return unwritable(path, err)
	}
	err := d.create(path+fresh, data)
	if err == nil {
		err = d.rename(path+fresh, path)
	}
	if err != nil {
		_ = discard(d, path+fresh) // err is what matters
		return unwritable(path, err)
	}
	if err := d.syncDir(filepath.Dir(path)); err != nil {
		return unwritable(path, err)
	}
	return nil
}

// discard removes a file or an empty folder that may not be there.
func discard(d disk, path string) error {
	if err := d.remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// readOwn reads a file that must be a file: not a link to one elsewhere.
func readOwn(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, unreadable(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, &Error{Path: path, Problem: fmt.Sprintf("want a file, not a %s", kind(info)), Hint: restore, Kind: ErrForeign}
	}
	b, err := untrusted.Read(path, untrusted.Small)
	if errors.Is(err, fs.ErrNotExist) { // removed since we looked
		return nil, err
	}
	if err != nil {
		return nil, unreadable(path, err)
	}
	return b, nil
}
