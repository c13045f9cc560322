//go:build linux

package systemd_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/onhost/agent"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver/delivertest/fakemember"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver/systemd"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
)

// path is where the world's pleiad belongs on its machines.
func (w *world) path() string {
	w.Helper()
	b, err := w.builds.For("Linux", "x86_64")
	if err != nil {
		w.Fatal(err)
	}
	return node.BinaryPath(b.Digest)
}

// wantBinary fails unless the machine holds the whole program, and nothing
// beside it.
func (w *world) wantBinary(m *machine, there bool) {
	w.Helper()
	var left []string
	for name := range m.Files(w.T) {
		if strings.HasPrefix(name, node.BinaryFolder) && !strings.HasSuffix(name, "/") {
			left = append(left, name)
		}
	}
	var want []string
	if there {
		want = []string{w.path()}
		info, err := os.Stat(m.Path(w.path()))
		if err != nil || info.Mode() != 0o755 || info.Size() != 64+bodySize {
			w.Errorf("binary: %v, %v, want it whole", err, info)
		}
	}
	if diff := cmp.Diff(want, left); diff != "" {
		w.Errorf("binaries on the machine (-want +got):\n%s", diff)
	}
}

func TestPushOnlyWhatIsMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h := w.host("etcd-k3v9qd2")
	m := w.machine(h.Address)
	d := w.deliverer()
	if err := d.Install(t.Context(), h, rendered(h), nil, false); err != nil {
		t.Fatal(err)
	}
	w.wantBinary(m, true)
	opened, sent := m.counts()
	for _, d := range []*systemd.Deliverer{d, w.deliverer()} {
		if err := d.Install(t.Context(), h, rendered(h), nil, false); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Inspect(t.Context(), h); err != nil {
			t.Fatal(err)
		}
	}
	if o, s := m.counts(); s != sent || o != opened+1 {
		t.Errorf("sent %d bytes and started %d agents more, want none and one for the second command", s-sent, o-opened)
	}
}

// What does not arrive as it was sent is never installed, and nothing of it
// stays.
func TestPushIsSpoiled(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func([]byte) []byte{
		"nothing arrives": func([]byte) []byte { return nil },
		"cut off":         func(b []byte) []byte { return b[:len(b)/2] },
		"its end cut off": func(b []byte) []byte { return b[:len(b)-1] },
		"one bit":         func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			h := w.host("etcd-k3v9qd2")
			m := w.machine(h.Address)
			m.spoil = spoil
			d := w.deliverer()
			if err := d.Install(t.Context(), h, rendered(h), nil, false); err == nil || !strings.Contains(err.Error(), "send pleiad to "+w.path()) {
				t.Errorf("Install: %v, want that the binary did not arrive", err)
			}
			w.wantBinary(m, false)
			m.spoil = nil
			if err := d.Install(t.Context(), h, rendered(h), nil, false); err != nil {
				t.Fatal(err)
			}
			w.wantBinary(m, true)
		})
	}
}

// A program of the right size that is another one, as out of a broken cache.
func TestPushOfAnotherProgram(t *testing.T) {
	t.Parallel()
	w, other := newWorld(t), newWorld(t)
	b, err := other.builds.For("Linux", "x86_64")
	if err != nil {
		t.Fatal(err)
	}
	h := w.host("etcd-k3v9qd2")
	m := w.machine(h.Address)
	m.spoil = func([]byte) []byte { return b.Packed }
	if err := w.deliverer().Install(t.Context(), h, rendered(h), nil, false); err == nil || !strings.Contains(err.Error(), "what arrived is not what was sent") {
		t.Errorf("Install: %v, want that it is not what was sent", err)
	}
	w.wantBinary(m, false)
}

func TestPushesAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h := w.host("etcd-k3v9qd2")
	errs := make([]error, 3)
	var group sync.WaitGroup
	for i := range errs {
		d := w.deliverer()
		group.Go(func() { errs[i] = d.Install(t.Context(), h, rendered(h), nil, false) })
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Errorf("Installs at once: %v", err)
	}
	w.wantBinary(w.machine(h.Address), true)
}

func TestFullDiskHasARemedy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h := w.host("etcd-k3v9qd2")
	m := w.machine(h.Address)
	m.full = true
	err := w.deliverer().Install(t.Context(), h, rendered(h), nil, false)
	var r interface{ Remedy() []string }
	if !errors.As(err, &r) {
		t.Fatalf("Install: %v, want an error with the remedy", err)
	}
	if _, look, ok := strings.Cut(r.Remedy()[0], "free 100 MB there: "); !ok {
		t.Errorf("remedy %q", r.Remedy())
	} else if _, err := m.Run(t.Context(), look, nil); err != nil {
		t.Errorf("%s: %v", look, err)
	}
	w.wantBinary(m, false)
	m.full = false
	if err := w.deliverer().Install(t.Context(), h, rendered(h), nil, false); err != nil {
		t.Error(err)
	}
}

func TestUnsupportedMachines(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wrong := filepath.Join(t.TempDir(), "pleiad")
	writeBuild(t, wrong, arm64)
	none := filepath.Join(t.TempDir(), "none")
	linked := filepath.Join(t.TempDir(), "pleiad")
	writeLinked(t, linked)
	for _, tt := range []struct {
		name, uname string
		builds      *systemd.Builds
		systemd     bool
		says        []string
	}{
		{"another system", "FreeBSD amd64", w.builds, true, []string{"FreeBSD on amd64", "Linux, on x86_64 or aarch64"}},
		{"another architecture", "Linux riscv64", w.builds, true, []string{"Linux on riscv64"}},
		{"no systemd", "Linux x86_64", w.builds, false, []string{"without systemd"}},
		{"a build that is not there", "Linux aarch64", systemd.NewBuilds("/opt/bin/pleiad", map[string]string{"arm64": none}, "hosts.ec2"), true,
			[]string{none, "GOOS=linux GOARCH=arm64 go build -o pleiad-linux-arm64 ./cmd/pleiad", "then name it in the spec under hosts.ec2: binaries: {arm64"}},
		{"no build beside", "Linux aarch64", systemd.NewBuilds("/opt/bin/pleiad", nil, "hosts.ec2"), runtime.GOARCH != "arm64", []string{"/opt/bin/pleiad-linux-arm64", "then put it beside this program"}},
		{"a build for another architecture", "Linux x86_64", systemd.NewBuilds("/opt/bin/pleiad", map[string]string{"amd64": wrong}, "hosts.ec2"), true,
			[]string{wrong, "linux/amd64", "EM_AARCH64"}},
		{"a build that is linked with a C library", "Linux x86_64", systemd.NewBuilds("/opt/bin/pleiad", map[string]string{"amd64": linked}, "hosts.ec2"), true,
			[]string{linked, "needs the C library", "CGO_ENABLED=0"}},
		{"a build that is none", "Linux x86_64", systemd.NewBuilds("/opt/bin/pleiad", map[string]string{"amd64": "/etc/hosts"}, "hosts.ec2"), true,
			[]string{"/etc/hosts", "is not a pleiad for linux/amd64"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := w.host("etcd-k3v9qd2")
			m := w.machine(h.Address)
			m.uname = tt.uname
			if !tt.systemd {
				if err := os.RemoveAll(m.Path("/run/systemd")); err != nil {
					t.Fatal(err)
				}
			}
			before := m.Files(t)
			d := systemd.New(func(cluster.Way) systemd.Machine { return m }, tt.builds)
			defer d.Close()
			err := d.Install(t.Context(), h, rendered(h), nil, false)
			if !errors.Is(err, deliver.ErrUnsupported) {
				t.Errorf("Install: %v, want ErrUnsupported", err)
			}
			if err := d.Fits(t.Context(), h.Address); !errors.Is(err, deliver.ErrUnsupported) {
				t.Errorf("Fits: %v, want ErrUnsupported", err)
			}
			said := fmt.Sprint(err)
			var r interface{ Remedy() []string }
			if errors.As(err, &r) {
				said += "\n" + strings.Join(r.Remedy(), "\n")
			}
			for _, text := range append(tt.says, "etcd-k3v9qd2") {
				if !strings.Contains(said, text) {
					t.Errorf("Install and its remedy say %q, want also %q", said, text)
				}
			}
			if diff := cmp.Diff(before, m.Files(t)); diff != "" {
				t.Errorf("refused, but (-before +after):\n%s", diff)
			}
		})
	}
}

// A visitor looks, and leaves nothing.
func TestVisitor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, look := range map[string]func(context.Context, *systemd.Deliverer, cluster.Host) error{
		"probe of a bare machine": func(ctx context.Context, d *systemd.Deliverer, h cluster.Host) error {
			p, err := d.Probe(ctx, h.Address, agent.Question{Ports: h.Ports})
			if err == nil && (!p.Systemd || p.Arch != runtime.GOARCH) {
				t.Errorf("Probe = %+v, want the machine", p)
			}
			return err
		},
		"member without pleiad": func(ctx context.Context, d *systemd.Deliverer, h cluster.Host) error {
			if err := os.Mkdir(w.machine(h.Address).Path(node.StateFolder), 0o700); err != nil {
				return err
			}
			_, err := d.Inspect(ctx, h)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := w.host("etcd-k3v9qd2")
			m := w.machine(h.Address)
			d := w.deliverer()
			if err := look(t.Context(), d, h); err != nil {
				t.Fatal(err)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
			m.spoil = func(b []byte) []byte { return b[:len(b)/2] }
			if err := look(t.Context(), w.deliverer(), h); err == nil {
				t.Error("a visitor that arrived half: nil, want an error")
			}
			for path := range m.Files(t) {
				if strings.Contains(path, "pleiad") && path != node.StateFolder+"/" && path != node.ClaimFolder+"/" {
					t.Errorf("%s is left", path)
				}
			}
		})
	}
}

func TestAgentOfAnotherVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h := w.host("etcd-k3v9qd2")
	m := w.machine(h.Address)
	m.greets = func(text string) string { return strings.Replace(text, `"pleiadAgent":1`, `"pleiadAgent":7`, 1) }
	err := w.deliverer().Install(t.Context(), h, rendered(h), nil, false)
	for _, text := range []string{"etcd-k3v9qd2", w.path(), "version 7", "version 1"} {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("Install: %v, want it to say %q", err, text)
		}
	}
	if _, err := os.Stat(h.Paths.Config); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("config folder: %v, want nothing installed", err)
	}
}

func TestClear(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h := w.host("etcd-k3v9qd2")
	m := w.machine(h.Address)
	w.behave(h, fakemember.Behaviour{})
	before := m.Files(t)
	d := w.deliverer()
	if err := d.Clear(t.Context(), h, hosts.DeleteData); err != nil {
		t.Errorf("Clear of a bare machine: %v", err)
	}
	if err := errors.Join(d.Install(t.Context(), h, rendered(h), nil, false), d.Start(t.Context(), h)); err != nil {
		t.Fatal(err)
	}
	if err := d.Clear(t.Context(), h, hosts.DeleteData); !errors.Is(err, hosts.ErrBusy) {
		t.Errorf("Clear under a running member: %v, want ErrBusy", err)
	}
	if err := errors.Join(d.Stop(t.Context(), h, 0), d.Clear(t.Context(), h, hosts.DeleteData)); err != nil {
		t.Fatal(err)
	}
	after := m.Files(t)
	for name := range after {
		if strings.HasPrefix(name, node.BinaryFolder) || strings.HasSuffix(name, ".wants/") { // not Clear's, and systemd's
			delete(after, name)
		}
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("after Clear (-before +after):\n%s", diff)
	}
}
