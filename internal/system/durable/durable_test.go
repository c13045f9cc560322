package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReplace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	f := File{Path: path, Content: []byte("one"), Mode: 0o644, UID: -1, GID: -1}
	for i, step := range []struct {
		do   func()
		want bool
	}{
		{func() {}, true},
		{func() {}, false},
		{func() { f.Content = []byte("two") }, true},
		{func() { f.Mode = 0o600 }, true},
		{func() {
			os.WriteFile(filepath.Join(filepath.Dir(path), "file.new"), []byte("of a crash"), 0o644)
			f.Content = nil
		}, true},
		{func() {}, false},
	} {
		step.do()
		changed, err := Replace(f)
		if err != nil || changed != step.want {
			t.Fatalf("step %d: changed %t, %v, want %t", i, changed, err, step.want)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != string(f.Content) {
			t.Fatalf("step %d: holds %q, %v, want %q", i, b, err, f.Content)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != f.Mode {
			t.Fatalf("step %d: mode %v, %v, want %v", i, info.Mode(), err, f.Mode)
		}
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("left %v, %v, want the file alone", left, err)
	}
}

// A link in the file's place is replaced, never followed.
func TestReplaceLink(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "file")
	if err := os.Symlink(other, path); err != nil {
		t.Fatal(err)
	}
	if changed, err := Replace(File{Path: path, Content: []byte("theirs"), Mode: 0o600, UID: -1, GID: -1}); err != nil || !changed {
		t.Errorf("changed %t, %v, want the link replaced", changed, err)
	}
	if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
		t.Errorf("it is %v, %v, want a file", info.Mode(), err)
	}
}

func TestReplaceErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "absent", "file")
	if _, err := Replace(File{Path: path, Mode: 0o600, UID: -1, GID: -1}); err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("Replace in an absent folder: %v", err)
	}
	if changed, err := Remove(path); changed || err != nil {
		t.Errorf("Remove of what is not there: %t, %v", changed, err)
	}
}

// Create replaces nothing, not even a link to nowhere, and leaves nothing beside.
func TestCreate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := Create(Private(path, []byte("one"))); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"file", "link"} {
		if err := Create(Private(filepath.Join(dir, name), []byte("two"))); !errors.Is(err, fs.ErrExist) {
			t.Errorf("Create over %s: %v", name, err)
		}
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "one" {
		t.Errorf("holds %q, %v", b, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Errorf("left %v, %v, want the file and the link", left, err)
	}
	if err := Create(Private(filepath.Join(dir, "absent", "file"), nil)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Create in an absent folder: %v", err)
	}
}

// Write neither follows nor replaces what is there.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := Write(Private(path, []byte("one"))); err != nil {
		t.Fatal(err)
	}
	if same, err := Private(path, []byte("one")).Holds(); err != nil || !same {
		t.Errorf("holds it: %t, %v", same, err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"file", "link"} {
		if err := Write(Private(filepath.Join(dir, name), []byte("two"))); !errors.Is(err, fs.ErrExist) {
			t.Errorf("Write over %s: %v", name, err)
		}
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "one" {
		t.Errorf("holds %q, %v", b, err)
	}
}

// Like keeps a file's mode and owner, and follows a link to it.
func TestLike(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, []byte("one"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	f, err := Like(filepath.Join(dir, "link"))
	if err != nil {
		t.Fatal(err)
	}
	f.Content = []byte("two")
	if _, err := Replace(f); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != 0o640 {
		t.Errorf("mode %v, %v, want a file as it was", info.Mode(), err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "two" {
		t.Errorf("holds %q, %v", b, err)
	}
}
