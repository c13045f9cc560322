package process

import (
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// A process is known by the lock that it holds on a file that was removed, and
// by nothing less.
func TestOrphans(t *testing.T) {
	if runtime.GOOS != "linux" {
		if found, err := Orphans(t.TempDir()); found != nil || err != nil {
			t.Errorf("Orphans = %v, %v, want none", found, err)
		}
		return
	}
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	self, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	lock := func(path string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		l, err := Acquire(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Release() })
	}
	remove := func(path string) {
		t.Helper()
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	ours := filepath.Join(root, "hosts")
	lock(filepath.Join(ours, "there", "lock"))
	lock(filepath.Join(ours, "called (deleted)"))
	lock(filepath.Join(root, "hosts-of-others", "lock"))
	lock(filepath.Join(ours, "moved", "lock"))
	if err := os.Rename(filepath.Join(ours, "moved"), filepath.Join(ours, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(ours, "read"), 0o700); err != nil {
		t.Fatal(err)
	}
	unlocked, err := os.Create(filepath.Join(ours, "read", "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer unlocked.Close()
	gone := filepath.Join(ours, "gone", "lock")
	lock(gone)
	remove(filepath.Join(ours, "gone"))
	remove(filepath.Join(ours, "read"))
	remove(filepath.Join(root, "hosts-of-others"))
	got, err := Orphans(ours)
	if want := map[string]Stamp{gone: self}; err != nil || !maps.Equal(got, want) {
		t.Errorf("Orphans = %v, %v, want %v", got, err, want)
	}
	if !got[gone].Alive() {
		t.Error("what was found is not alive")
	}
	remove(ours) // all of it
	if got, err := Orphans(ours); err != nil || len(got) != 4 || got[gone] != self {
		t.Errorf("without the folder: %v, %v, want four, %s among them", got, err, gone)
	}
}
