package systemd

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/onhost/program"
	"github.com/pleiad-etcd/pleiad/internal/system/untrusted"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver"
)

// Builds finds the pleiad that runs on a machine: this very program, where the
// machine is like this one; else a path from the spec, or what lies beside this
// program under the name pleiad-linux-ARCH. Each is read and packed once.
type Builds struct {
	self    string
	named   map[string]string
	section string // of the spec that names them

	mu    sync.Mutex // guards what follows
	ready map[string]*once
}

type once struct {
	sync.Once
	build Build
	err   error
}

// Build is pleiad for one architecture.
type Build struct {
	Digest string // SHA-256 of the program, in hexadecimal
	Packed []byte // the program, by gzip
}

// NewBuilds takes the path of the running program, and paths of others by
// architecture, as Go names it, with the section of the spec that names them, such as
// "hosts.ssh".
func NewBuilds(self string, named map[string]string, section string) *Builds {
	return &Builds{self: self, named: named, section: section, ready: map[string]*once{}}
}

// architecture is what Go calls a machine of `uname -m`; empty if etcd does not
// support it fully (etcd, "Supported platforms").
func architecture(machine string) string {
	return map[string]string{"x86_64": "amd64", "aarch64": "arm64"}[machine]
}

// For is the build for a machine, as `uname -s` and `uname -m` describe it.
func (b *Builds) For(system, machine string) (Build, error) {
	arch := architecture(machine)
	if system != "Linux" || arch == "" {
		return Build{}, fmt.Errorf("%s on %s: %w; members run on Linux, on x86_64 or aarch64", system, machine, deliver.ErrUnsupported)
	}
	b.mu.Lock()
	o := b.ready[arch]
	if o == nil {
		o = &once{}
		b.ready[arch] = o
	}
	b.mu.Unlock()
	o.Do(func() { o.build, o.err = b.pack(arch) })
	return o.build, o.err
}

// Program is the build for an architecture as Go names it; zero if there is none that
// can be read.
func (b *Builds) Program(arch string) cluster.Program {
	real, err := filepath.EvalSymlinks(b.path(arch))
	if err != nil || arch == "" {
		return cluster.Program{}
	}
	p, err := program.Of(real)
	if err != nil {
		return cluster.Program{}
	}
	return p
}

// maxBuild is more than any build of pleiad has, in bytes.
const maxBuild = 1 << 30

func (b *Builds) pack(arch string) (Build, error) {
	path := b.path(arch)
	real, err := filepath.EvalSymlinks(path) // a person may well name a link
	var program []byte
	if err == nil {
		program, err = untrusted.Read(real, maxBuild)
	}
	if errors.Is(err, os.ErrNotExist) {
		return Build{}, fault.WithRemedy(fmt.Errorf("pleiad for linux/%s: %w: there is none at %s", arch, deliver.ErrUnsupported, path), b.remedy(arch)...)
	}
	if err != nil {
		return Build{}, fmt.Errorf("pleiad for linux/%s: %w", arch, err)
	}
	if err := fits(program, arch); err != nil {
		return Build{}, fault.WithRemedy(fmt.Errorf("%s is not a pleiad for linux/%s: %w: %w", path, arch, deliver.ErrUnsupported, err), b.remedy(arch)...)
	}
	sum := sha256.Sum256(program)
	digest := hex.EncodeToString(sum[:])
	packed, err := pack(program, digest)
	if err != nil {
		return Build{}, fmt.Errorf("pack %s: %w", path, err)
	}
	return Build{digest, packed}, nil
}

// remedy says how to get a build. One that the spec names is not looked for
// elsewhere.
func (b *Builds) remedy(arch string) []string {
	name := fmt.Sprintf("name it in the spec under %s: binaries: {%s: PATH}", b.section, arch)
	if b.named[arch] == "" {
		name = "put it beside this program, or " + name
	}
	return []string{
		fmt.Sprintf("build one, in the source of pleiad: CGO_ENABLED=0 GOOS=linux GOARCH=%s go build -o pleiad-linux-%s ./cmd/pleiad", arch, arch),
		"then " + name,
	}
}

func (b *Builds) path(arch string) string {
	switch {
	case b.named[arch] != "":
		return b.named[arch]
	case runtime.GOOS == "linux" && runtime.GOARCH == arch:
		return b.self
	}
	return filepath.Join(filepath.Dir(b.self), "pleiad-linux-"+arch)
}

// fits checks that a program is for an architecture, and needs nothing but a
// kernel there. A program that is linked with a C library fails on a machine with
// an older one.
func fits(program []byte, arch string) error {
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return err
	}
	want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[arch]
	if f.Machine != want {
		return fmt.Errorf("it is for %s", f.Machine)
	}
	if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return errors.New("it needs the C library that it was built with")
	}
	return nil
}

// pack compresses a program, or takes it from the cache. A damaged cache is
// noticed on the machine, by the digest.
func pack(program []byte, digest string) ([]byte, error) {
	var cache string
	if dir, err := os.UserCacheDir(); err == nil {
		cache = filepath.Join(dir, "pleiad", digest+".gz")
	}
	if packed, err := os.ReadFile(cache); cache != "" && err == nil && whole(packed, program) {
		return packed, nil
	}
	packed, err := compress(program)
	if err != nil {
		return nil, err
	}
	if cache != "" && os.MkdirAll(filepath.Dir(cache), 0o700) == nil {
		remember(cache, packed)
	}
	return packed, nil
}

// piece is how much of a program makes one member of the gzip file.
const piece = 1 << 20

// compress makes a gzip file of several members (RFC 1952, section 2.2), on all
// processors: on one it would take longer than the rest of a delivery.
func compress(program []byte) ([]byte, error) {
	pieces := slices.Collect(slices.Chunk(program, piece))
	members, errs := make([]bytes.Buffer, len(pieces)), make([]error, len(pieces))
	var next atomic.Int64
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(pieces)); i = next.Add(1) - 1 {
				errs[i] = member(&members[i], pieces[i])
			}
		})
	}
	all.Wait()
	var packed []byte
	for i := range members {
		packed = append(packed, members[i].Bytes()...)
	}
	return packed, errors.Join(errs...)
}

func member(w io.Writer, content []byte) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	_, err = z.Write(content)
	return errors.Join(err, z.Close())
}

// whole says whether a packed program ends as it should: a member of a gzip
// file ends with the size of what it holds (RFC 1952, section 2.3.1).
func whole(packed, program []byte) bool {
	last := (len(program)-1)%piece + 1
	return len(packed) >= 18 && binary.LittleEndian.Uint32(packed[len(packed)-4:]) == uint32(last)
}

// remember keeps a packed program for the next command, and forgets those of
// other builds. Errors do not matter: it is only a cache.
func remember(cache string, packed []byte) {
	old, _ := filepath.Glob(filepath.Join(filepath.Dir(cache), "*.gz")) // the pattern is well formed
	for _, path := range old {
		_ = os.Remove(path)
	}
	beside := fmt.Sprintf("%s.%d", cache, os.Getpid())
	if os.WriteFile(beside, packed, 0o600) == nil {
		_ = os.Rename(beside, cache)
	}
}
