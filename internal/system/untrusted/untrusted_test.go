//go:build unix

package untrusted

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pleiad-etcd/pleiad/internal/system/bound"
)

// Whatever stands under a name, reading it ends, and only a regular file is
// read.
func TestOnlyRegularFiles(t *testing.T) {
	t.Parallel()
	folder, err := os.MkdirTemp("", "") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	secret := filepath.Join(folder, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, put := range map[string]func(path string) error{
		"FIFO": func(path string) error { return unix.Mkfifo(path, 0o600) },
		"link": func(path string) error { return os.Symlink(secret, path) },
		"link to a FIFO": func(path string) error {
			return errors.Join(unix.Mkfifo(path+".fifo", 0o600), os.Symlink(path+".fifo", path))
		},
		"link to /dev/zero": func(path string) error { return os.Symlink("/dev/zero", path) },
		"folder":            func(path string) error { return os.Mkdir(path, 0o700) },
		"socket": func(path string) error {
			l, err := net.Listen("unix", path)
			if err == nil {
				t.Cleanup(func() { l.Close() })
			}
			return err
		},
	} {
		path := filepath.Join(folder, strings.ReplaceAll(name, "/", "-"))
		if err := put(path); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); !errors.Is(err, ErrIrregular) {
			t.Errorf("Open of a %s: %v, want %v", name, err, ErrIrregular)
		}
		if b, err := Read(path, 100); !errors.Is(err, ErrIrregular) || len(b) > 0 {
			t.Errorf("Read of a %s: %q, %v, want %v", name, b, err, ErrIrregular)
		}
		if _, err := Append(path); !errors.Is(err, ErrIrregular) {
			t.Errorf("Append to a %s: %v, want %v", name, err, ErrIrregular)
		}
		if b, err := Tail(path, 100); !errors.Is(err, ErrIrregular) || len(b) > 0 {
			t.Errorf("Tail of a %s: %q, %v, want %v", name, b, err, ErrIrregular)
		}
		if name != "folder" {
			if got, err := Names(path, Few, func(string) bool { return true }); err == nil {
				t.Errorf("Names of a %s: %q, want an error", name, got)
			}
		}
	}
	if _, err := Read(filepath.Join(folder, "absent"), 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Read of what is not there: %v", err)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := Read(path, 10); err != nil || string(b) != "0123456789" {
		t.Errorf("Read up to its size: %q, %v", b, err)
	}
	if b, err := Read(path, 9); !errors.Is(err, bound.ErrTooLong) || b != nil {
		t.Errorf("Read of a file that is one byte larger: %q, %v, want %v", b, err, bound.ErrTooLong)
	}
	for n, want := range map[int64]string{3: "789", 10: "0123456789", 99: "0123456789"} {
		if b, err := Tail(path, n); err != nil || string(b) != want {
			t.Errorf("Tail of %d bytes: %q, %v, want %q", n, b, err, want)
		}
	}
	// A file that is all hole costs nothing to make and must cost nothing to read.
	if err := os.Truncate(path, 1<<40); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path, 10); !errors.Is(err, bound.ErrTooLong) {
		t.Errorf("Read of a file of a terabyte: %v", err)
	}
	if b, err := Tail(path, 3); err != nil || !bytes.Equal(b, make([]byte, 3)) {
		t.Errorf("Tail of a file of a terabyte: %q, %v", b, err)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for _, name := range []string{"b", "c", "a"} {
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all := func(string) bool { return true }
	if got, err := Names(folder, 3, all); err != nil || !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("Names: %q, %v", got, err)
	}
	if got, err := Names(folder, 3, func(name string) bool { return name != "b" }); err != nil || !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("Names but b: %q, %v", got, err)
	}
	if _, err := Names(filepath.Join(folder, "absent"), Few, all); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Names of what is not there: %v", err)
	}
	for i := range Few {
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprint(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := Names(folder, Many, all); err != nil || len(got) != Few+3 || !slices.IsSorted(got) {
		t.Errorf("Names of a large folder: %d, %v, want %d", len(got), err, Few+3)
	}
	// What is not kept counts as well.
	if _, err := Names(folder, Few, func(string) bool { return false }); !errors.Is(err, bound.ErrTooLong) {
		t.Errorf("Names of a full folder: %v, want %v", err, bound.ErrTooLong)
	}
}

func TestExisting(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x")
	if _, err := Existing(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Existing of what is not there: %v", err)
	}
	if err := os.WriteFile(path, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Existing(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString("x")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "xbc" {
		t.Errorf("file is %q, %v, want its first byte written", b, err)
	}
	if _, err := Existing(filepath.Dir(path)); !errors.Is(err, ErrIrregular) {
		t.Errorf("Existing of a folder: %v, want %v", err, ErrIrregular)
	}
}
