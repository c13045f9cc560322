package program_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/onhost/program"
)

func write(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, content, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// The process and its file are one program, under whatever name; what comes after it in
// the file does not count, since the linker has not written that.
func TestSelf(t *testing.T) {
	self, err := program.Self()
	if err != nil || self.Build == "" {
		t.Fatalf("%+v, %v", self, err)
	}
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := program.Of(write(t, content)); err != nil || p != self {
		t.Errorf("its file is %+v, %v; want %+v", p, err, self)
	}
}

// A file that Go has not built is known by what it holds.
func TestOtherFiles(t *testing.T) {
	a, err := program.Of(write(t, []byte("#!/bin/sh\n")))
	if err != nil {
		t.Fatal(err)
	}
	b, err := program.Of(write(t, []byte("#!/bin/sh\n#")))
	if err != nil {
		t.Fatal(err)
	}
	if !a.Differs(b) || a.Version != "" {
		t.Errorf("%+v and %+v; want two builds without a version", a, b)
	}
	if p, err := program.Of(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Errorf("a file that is not there is %+v", p)
	}
}
