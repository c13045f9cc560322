// Package durable replaces files atomically, so that they survive a power
// cut: whoever reads sees the old content or the new one, whole, and after a
// nil error the new one stays.
//
// What can still go wrong: a crash may leave the file beside, which the next
// write of the same file removes; and of two writers at once the last one
// wins, so there should be one.
package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/pleiad-etcd/pleiad/internal/system/bound"
	"github.com/pleiad-etcd/pleiad/internal/system/untrusted"
)

// File is what a file is to be.
type File struct {
	Path    string
	Content []byte
	Mode    fs.FileMode
	// UID and GID are its owner's; -1 leaves them as they are made.
	UID, GID int
}

// ErrNotSynced says that a file is the new one, but perhaps not yet on disk.
var ErrNotSynced = errors.New("written, but perhaps not yet on disk")

// Beside is where the new content of a file is written, before it takes the
// file's place. A crash may leave it.
func Beside(path string) string { return path + ".new" }

// Replace makes a file what it is to be, if it is not, and says whether it had
// to. The folder must exist. After an error that is not [ErrNotSynced] the file
// is the old one.
func Replace(f File) (changed bool, err error) {
	same, err := f.Holds()
	if err != nil {
		return false, err
	}
	if same { // but who wrote it may have ended before its name was on the disk
		return false, SyncFolders(filepath.Dir(f.Path))
	}
	beside := Beside(f.Path)
	if err := f.write(beside); err != nil {
		return false, errors.Join(err, os.RemoveAll(beside)) // it may be what filled the disk
	}
	if err := os.Rename(beside, f.Path); err != nil {
		return false, errors.Join(err, os.RemoveAll(beside))
	}
	if err := SyncFolders(filepath.Dir(f.Path)); err != nil {
		return true, fmt.Errorf("%w: %w", ErrNotSynced, err)
	}
	return true, nil
}

// Create makes a file that is not there yet, as a whole or not at all. The error
// is fs.ErrExist if anything is in its place, be it a link to nowhere.
func Create(f File) error {
	folder := filepath.Dir(f.Path)
	w, err := os.CreateTemp(folder, ".pleiad-*") // readable by us alone
	if err != nil {
		return err
	}
	defer os.Remove(w.Name())
	_, err = w.Write(f.Content)
	if err == nil {
		err = w.Chmod(f.Mode)
	}
	if err = errors.Join(err, w.Sync(), w.Close()); err != nil {
		return err
	}
	if err := os.Link(w.Name(), f.Path); err != nil { // unlike a rename it replaces nothing
		return err
	}
	return SyncFolders(folder)
}

// Like is a file with the mode and owner of the one that is there, for new
// content. A link stands for what it leads to.
func Like(path string) (File, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return File{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return File{}, err
	}
	uid, gid := owner(info)
	return File{Path: path, Mode: info.Mode().Perm(), UID: uid, GID: gid}, nil
}

// Holds says whether the file is what it is to be.
func (f File) Holds() (bool, error) {
	info, err := os.Lstat(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	uid, gid := owner(info)
	otherMode := info.Mode() != f.Mode && runtime.GOOS != "windows" // which knows no such modes
	if otherMode || f.UID >= 0 && uid != f.UID || f.GID >= 0 && gid != f.GID {
		return false, nil
	}
	if info.Size() != int64(len(f.Content)) { // it may be of any size
		return false, nil
	}
	b, err := untrusted.Read(f.Path, int64(len(f.Content)))
	if errors.Is(err, bound.ErrTooLong) || errors.Is(err, untrusted.ErrIrregular) {
		return false, nil
	}
	return bytes.Equal(b, f.Content), err
}

func (f File) write(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f.Path = path
	return Write(f)
}

// Write writes a file where none is, and syncs it, but not its name. After an
// error part of it may be there; see [Create] and [Replace] for the whole.
func Write(f File) error {
	// O_EXCL: what lies there was not written by us now, and may be a link.
	w, err := os.OpenFile(f.Path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = w.Write(f.Content)
	if err == nil && (f.UID >= 0 || f.GID >= 0) {
		err = w.Chown(f.UID, f.GID)
	}
	if err == nil {
		err = w.Chmod(f.Mode)
	}
	return errors.Join(err, w.Sync(), w.Close())
}

// Private is a file that only whoever writes it may read.
func Private(path string, content []byte) File {
	return File{Path: path, Content: content, Mode: 0o600, UID: -1, GID: -1}
}

// Remove removes a file, and says whether there was one.
func Remove(path string) (changed bool, err error) {
	err = os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, SyncFolders(filepath.Dir(path))
}

// SyncFolders waits until the names in some folders are on the disk. Windows
// has no such call and orders renames itself.
func SyncFolders(paths ...string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	for _, path := range paths {
		d, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("sync folder: %w", err)
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			return fmt.Errorf("sync folder: %w", err)
		}
	}
	return nil
}
