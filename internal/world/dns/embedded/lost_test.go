//go:build unix

package embedded

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
)

// The key stands in one file, and nobody else has it. Where it is lost, or is no
// key any more, the next start makes another, and replaces a server that has the
// former one; until then the records are read and changed in the file.
func TestLostKey(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(path string) error{
		"missing": os.Remove,
		"empty":   func(path string) error { return os.Truncate(path, 0) },
		"damaged": func(path string) error { return os.WriteFile(path, []byte("key {"), 0o600) },
		"of another": func(path string) error {
			return os.WriteFile(path, []byte(`key "x" { algorithm hmac-sha256; };`), 0o600)
		},
	} {
		for _, apply := range []bool{false, true} {
			p := provider(t)
			start(t, p)
			if _, err := p.Apply(t.Context(), []cluster.Change{{Key: marker.Key, New: &marker}}); err != nil {
				t.Fatal(err)
			}
			first := stampOf(t, p)
			if err := lose(p.path(keyFile)); err != nil {
				t.Fatal(err)
			}
			running(t, p, false)
			want := []cluster.RecordSet{marker}
			if got, err := p.Read(t.Context(), []cluster.Key{marker.Key}); err != nil || !cmp.Equal(got.Sets, want) {
				t.Errorf("%s: Read: %v, %v", name, got, err)
			}
			if apply {
				next := marker
				next.Values = []string{"gen=2"}
				want = []cluster.RecordSet{next}
				if _, err := p.Apply(t.Context(), []cluster.Change{{Key: marker.Key, Old: &marker, New: &next}}); err != nil {
					t.Errorf("%s: Apply: %v", name, err)
				}
			}
			start(t, p)
			running(t, p, true)
			if first.Alive() {
				t.Errorf("%s: the server with the lost key still runs", name)
			}
			if got, err := p.Read(t.Context(), []cluster.Key{marker.Key}); err != nil || !cmp.Equal(got.Sets, want) {
				t.Errorf("%s: Read afterwards: %v, %v", name, got, err)
			}
			if err := p.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Without server.json nothing says which process serves. Nothing is done beside
// it, and the way out that is printed is one.
func TestLostServer(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(path string) error{
		"missing": os.Remove,
		"garbled": func(path string) error { return os.WriteFile(path, []byte("{"), 0o600) },
	} {
		p := provider(t)
		start(t, p)
		first := stampOf(t, p)
		if err := lose(p.path(stateFile)); err != nil {
			t.Fatal(err)
		}
		running(t, p, false)
		_, applied := p.Apply(t.Context(), []cluster.Change{{Key: marker.Key, New: &marker}})
		for act, err := range map[string]error{"Apply": applied, "Start": p.Start(t.Context()), "Remove": p.Remove(t.Context())} {
			remedy := fault.Remedy(err)
			if errors.Is(err, dns.ErrUnknownOutcome) || len(remedy) != 1 {
				t.Fatalf("%s: %s: %v", name, act, err)
			}
			if _, command, _ := strings.Cut(remedy[0], "again: "); act == "Start" {
				if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
					t.Fatalf("%s: %v\n%s", command, err, out)
				}
			}
		}
		if err := first.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		start(t, p)
		running(t, p, true)
		if err := p.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// Nobody makes another key beside a server that has the former one: with its
// server.json back it would be ours again, and refuse all that we ask for.
func TestLostKeyAndServer(t *testing.T) {
	t.Parallel()
	p := provider(t)
	start(t, p)
	first := stampOf(t, p)
	t.Cleanup(func() {
		if err := first.Stop(context.Background(), 0); err != nil {
			t.Error(err)
		}
	})
	said, err := os.ReadFile(p.path(stateFile))
	if err := errors.Join(err, os.Remove(p.path(stateFile)), os.Remove(p.path(keyFile))); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context()); fault.Remedy(err) == nil {
		t.Fatalf("Start beside a server that cannot be named: %v", err)
	}
	if err := os.WriteFile(p.path(stateFile), said, 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, p)
	running(t, p, true)
	if _, err := p.Apply(t.Context(), []cluster.Change{{Key: marker.Key, New: &marker}}); err != nil {
		t.Errorf("Apply afterwards: %v", err)
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A file that the system does not let us read may be whole: nobody is told to
// move its folder away.
func TestUnreadableIsNotDamaged(t *testing.T) {
	t.Parallel()
	for _, reason := range []error{syscall.EACCES, syscall.EMFILE, syscall.EIO} {
		err := damaged("dns", &fs.PathError{Op: "open", Path: "dns/zone", Err: reason})
		if !errors.Is(err, reason) || errors.Is(err, dns.ErrDamaged) || fault.Remedy(err) != nil {
			t.Errorf("%v: %v", reason, err)
		}
	}
}
