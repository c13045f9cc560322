//go:build unix

package folder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func of(t *testing.T, path string) ID {
	t.Helper()
	id, err := Of(path)
	if err != nil || id == "" {
		t.Fatalf("Of(%s) = %q, %v", path, id, err)
	}
	return id
}

func TestID(t *testing.T) {
	root := t.TempDir()
	a := filepath.Join(root, "a")
	if err := os.Mkdir(a, 0o700); err != nil {
		t.Fatal(err)
	}
	id := of(t, a)
	if err := os.WriteFile(filepath.Join(a, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b := filepath.Join(root, "b")
	if err := os.Rename(a, b); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(root, "link")
	if err := os.Symlink(b, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{b, link, root + "/./b/"} {
		if got := of(t, path); got != id || !id.Is(path) {
			t.Errorf("%s after a rename is %q, was %q", path, got, id)
		}
	}
	if err := os.CopyFS(a, os.DirFS(b)); err != nil {
		t.Fatal(err)
	}
	if got := of(t, a); got == id || id.Is(a) {
		t.Errorf("a copy has the ID of the original, %q", got)
	}
}

// Unknown is not another: a folder that cannot be looked at, and one to which no
// ID was given, are no copies.
func TestUnknown(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent")
	if _, err := Of(absent); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Of what is not there: %v", err)
	}
	if !ID("inode 1").Is(absent) || !ID("").Is(t.TempDir()) {
		t.Error("what cannot be told is taken for a copy")
	}
}
