// Package untrusted reads files that somebody else can replace at any
// moment: files of a member, which a compromised one may exchange, and
// files in folders of other users.
//
// [Read] and [Tail] return content, [Open], [Create], [Existing] and [Append] an open file, [Names]
// what is in a folder. All of them take only a regular file (or a folder), never wait for
// whoever has the other end of a FIFO, do not follow a link in the last element
// of a path, and have a limit. Links in the elements before it are followed: a
// reader with more rights than whoever owns the folder must give them up first
// (package agent does).
package untrusted

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/pleiad-etcd/pleiad/internal/system/bound"
)

// ErrIrregular says that a path does not name a regular file.
var ErrIrregular = errors.New("not a regular file")

// Limits on the files that are read as a whole, in bytes.
const (
	// Small is enough for the files that pleiad writes: they hold some hundred
	// bytes, or a list of members or pins.
	Small = 1 << 20
	// Few is enough for the names in a folder that holds a handful.
	Few = 2000
	// Many is more than any folder holds that etcd fills: it may be told to keep
	// all segments of its log, for years.
	Many = 1_000_000
)

// Open opens a regular file for reading.
func Open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|careful, 0)
	return regular(f, path, err)
}

// regular is f if it is a regular file.
func regular(f *os.File, path string, err error) (*os.File, error) {
	if err != nil {
		if info, wrong := os.Lstat(path); wrong == nil && !info.Mode().IsRegular() {
			err = &fs.PathError{Op: "open", Path: path, Err: ErrIrregular}
		}
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: ErrIrregular}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Append opens a regular file for appending, and makes it if it is absent.
func Append(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND|careful, 0o600)
	return regular(f, path, err)
}

// Create opens a regular file for reading and writing, makes it if it is absent,
// and leaves what it holds.
func Create(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|careful, 0o600)
	return regular(f, path, err)
}

// Existing opens a regular file that is there for writing, and leaves what it
// holds.
func Existing(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|careful, 0)
	return regular(f, path, err)
}

// Read is the content of a regular file of at most limit bytes; the error for a
// longer one is [bound.ErrTooLong].
func Read(path string, limit int64) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := bound.ReadAll(f, limit)
	if errors.Is(err, bound.ErrTooLong) {
		err = &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return b, err
}

// Tail is the end of a regular file, at most n bytes of it.
func Tail(path string, n int64) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-n), n))
}

// Names are the sorted names in a folder of at most limit that keep wants.
func Names(folder string, limit int, keep func(name string) bool) ([]string, error) {
	// With a slash at its end the path names a folder or nothing: a FIFO is
	// not opened.
	d, err := os.OpenFile(folder+string(os.PathSeparator), os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	const chunk = 1024
	var names []string
	for seen := 0; ; {
		some, err := d.Readdirnames(chunk)
		if seen += len(some); seen > limit {
			return nil, &fs.PathError{Op: "read", Path: folder, Err: fmt.Errorf("%w: more than %d names", bound.ErrTooLong, limit)}
		}
		names = append(names, slices.DeleteFunc(some, func(name string) bool { return !keep(name) })...)
		if errors.Is(err, io.EOF) {
			slices.Sort(names)
			return names, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
