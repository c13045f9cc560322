// Package program says which pleiad a file is. The process of a member says it of
// itself ([Self]), the agent of what a unit starts, and the controller of what it
// would deliver ([Of]), so that the plan can compare the three.
//
// It promises to be cheap: it reads what the linker has left in the file, and the
// whole of it only where there is nothing.
package program

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/system/untrusted"
)

// Of is the program in a file. It is an error if the file cannot be read; one that
// Go has not built has a Build alone.
func Of(path string) (cluster.Program, error) {
	f, err := untrusted.Open(path)
	if err != nil {
		return cluster.Program{}, fmt.Errorf("read program: %w", err)
	}
	defer f.Close()
	var p cluster.Program
	if info, err := buildinfo.Read(f); err == nil {
		p = described(info)
	}
	if p.Build, err = build(f); err != nil {
		return cluster.Program{}, fmt.Errorf("read program %s: %w", path, err)
	}
	return p, nil
}

// Self is the program that runs. Its file may have been removed or replaced since it
// began, which Linux sees through.
func Self() (cluster.Program, error) {
	path, err := os.Executable()
	if err != nil {
		return cluster.Program{}, fmt.Errorf("find the running program: %w", err)
	}
	if runtime.GOOS == "linux" {
		path = "/proc/self/exe"
	}
	f, err := os.Open(path)
	if err != nil {
		return cluster.Program{}, fmt.Errorf("read the running program: %w", err)
	}
	defer f.Close()
	var p cluster.Program
	if info, ok := debug.ReadBuildInfo(); ok {
		p = described(info)
	}
	if p.Build, err = build(f); err != nil {
		return cluster.Program{}, fmt.Errorf("read the running program: %w", err)
	}
	return p, nil
}

// etcd is the module of the etcd that is linked in.
const etcd = "go.etcd.io/etcd/server/v3"

func described(info *debug.BuildInfo) cluster.Program {
	p := cluster.Program{Version: info.Main.Version}
	for _, m := range info.Deps {
		if m.Path == etcd && len(m.Version) > 1 {
			p.Etcd = m.Version[1:] // without the v
		}
	}
	return p
}

// build is what two programs have in common only if they are the same: the linker's
// build ID, which is made of all that went into the file (cmd/go/internal/work,
// buildid.go), or else a sum of the file.
func build(f io.ReaderAt) (string, error) {
	if e, err := elf.NewFile(f); err == nil {
		if s := e.Section(".note.go.buildid"); s != nil && s.Size < 1<<10 {
			if note, err := s.Data(); err == nil && len(note) > noteHead {
				return sum(bytes.NewReader(note[noteHead:]))
			}
		}
	}
	return sum(io.NewSectionReader(f, 0, 1<<40))
}

// noteHead are the sizes, the type and the owner of an ELF note, "Go" and two zeros.
const noteHead = 16

func sum(r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}
