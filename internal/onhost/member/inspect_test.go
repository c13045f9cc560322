package member

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/pki"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
)

// addresses are compared as values.
var addresses = cmpopts.EquateComparable(netip.AddrPort{})

func noteStatus(t *testing.T, configDir string, s Status) {
	t.Helper()
	s.Version = StatusVersion
	write(t, filepath.Join(configDir, StatusFile), s.encode())
}

func self(t *testing.T) process.Stamp {
	t.Helper()
	s, err := process.Self()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestInspect(t *testing.T) {
	since := time.Date(2026, 11, 23, 10, 0, 0, 123456789, time.UTC)
	gone := process.Stamp{PID: 1 << 30, Started: "another boot/1"}
	for _, tt := range []struct {
		name  string
		setup func(t *testing.T, n node.Node)
		want  func(n node.Node) cluster.Node
	}{
		{name: "nothing", setup: func(*testing.T, node.Node) {}, want: func(node.Node) cluster.Node { return cluster.Node{} }},
		{name: "installed", setup: install, want: func(n node.Node) cluster.Node {
			return cluster.Node{Installed: n.Digest(), Sealed: true, Made: n.Made(), Next: cluster.Startup{Flags: n.Flags()}}
		}},
		{name: "data behind a lost member file", setup: func(t *testing.T, n node.Node) {
			makeWAL(t, n.Paths.Data, memberA, clusterC)
			noteStatus(t, n.Paths.Config, Status{Process: gone, Since: since, Exit: "R6: no"})
		}, want: func(node.Node) cluster.Node {
			return cluster.Node{Data: cluster.Data{Present: true, Member: memberA, Cluster: clusterC}, Process: cluster.Process{PID: gone.PID, Since: since, Exit: "R6: no"}}
		}},
		{name: "waiting at the gate", setup: func(t *testing.T, n node.Node) {
			install(t, n)
			noteStatus(t, n.Paths.Config, Status{Process: self(t), Since: since, Flags: "f", Gate: "R3: etcd-b"})
		}, want: func(n node.Node) cluster.Node {
			return cluster.Node{Installed: n.Digest(), Sealed: true, Made: n.Made(), Next: cluster.Startup{Flags: n.Flags()}, Process: cluster.Process{Running: true, PID: os.Getpid(), Since: since, Flags: "f", Gate: "R3: etcd-b"}}
		}},
		{name: "refused, its process not yet gone", setup: func(t *testing.T, n node.Node) {
			install(t, n)
			noteStatus(t, n.Paths.Config, Status{Process: self(t), Since: since, Exit: "R6: no"})
		}, want: func(n node.Node) cluster.Node {
			return cluster.Node{Installed: n.Digest(), Sealed: true, Made: n.Made(), Next: cluster.Startup{Flags: n.Flags()}, Process: cluster.Process{PID: os.Getpid(), Since: since, Exit: "R6: no"}}
		}},
		{name: "ended, and the log knows why", setup: func(t *testing.T, n node.Node) {
			install(t, n)
			noteStatus(t, n.Paths.Config, Status{Process: gone, Since: since, Gate: "R3: long ago"})
			write(t, n.Paths.Log, []byte(`{"level":"fatal","ts":"2026-11-23T10:00:01.000000Z","msg":"discovery failed","error":"no space left on device"}`+"\n"))
		}, want: func(n node.Node) cluster.Node {
			return cluster.Node{Installed: n.Digest(), Sealed: true, Made: n.Made(), Next: cluster.Startup{Flags: n.Flags()}, Process: cluster.Process{PID: gone.PID, Since: since, Exit: "no space left on device"}}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := render(cluster.Sealed, nobody, newHost(t, "etcd-a"))
			tt.setup(t, n)
			before := listing(t, filepath.Dir(n.Paths.Config))
			got, err := Inspect(t.Context(), n.Paths)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want(n), got, addresses, cmpopts.IgnoreFields(cluster.Node{}, "Free")); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(before, listing(t, filepath.Dir(n.Paths.Config))); diff != "" {
				t.Errorf("Inspect changed something: %s", diff)
			}
			var again cluster.Node
			b, err := json.Marshal(got)
			if err == nil {
				err = json.Unmarshal(b, &again)
			}
			if err != nil || !cmp.Equal(got, again, addresses) {
				t.Errorf("through JSON: %v, %s", err, cmp.Diff(got, again, addresses))
			}
		})
	}
}

// listing is every file below a folder with its size and time of change.
func listing(t *testing.T, folder string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			out[path] = info.ModTime().String() + info.Mode().String()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestInspectFindsDataWithoutAnyFileInTheConfiguration(t *testing.T) {
	t.Parallel()
	h := newHost(t, "etcd-a")
	makeWAL(t, h.Paths.Data, memberA, clusterC)
	got, err := Inspect(t.Context(), h.Paths)
	want := cluster.Node{Data: cluster.Data{Present: true, Member: memberA, Cluster: clusterC}}
	if diff := cmp.Diff(want, got, addresses, cmpopts.IgnoreFields(cluster.Node{}, "Free")); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

// The certificates are one as long as all are there, and the one that ends
// first counts.
func TestInspectCertificates(t *testing.T) {
	t.Parallel()
	keys := newKeys(t, "dev")
	s := spec(1)
	s.TLS = true
	h := newHost(t, "etcd-a")
	n := node.Render(s, marker(cluster.Sealed), []cluster.Host{h}, h, "")
	keys.issue(t, n)
	got, err := Inspect(t.Context(), n.Paths)
	if err != nil || got.Certificate == nil {
		t.Fatalf("certificate %v, %v", got.Certificate, err)
	}
	left, due := time.Until(got.Certificate.NotAfter), time.Until(got.Certificate.RenewAt)
	if left < 364*24*time.Hour || due < left/2 || due > left*3/4 {
		t.Errorf("valid for %s, due in %s, want a year and two thirds of it", left, due)
	}
	if got.Installed != "" {
		t.Errorf("without a member file: installed %q", got.Installed)
	}
	for _, file := range node.CertFiles() {
		path := filepath.Join(n.Paths.Config, file)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		write(t, path, keys.client(t, pki.Application{Name: "short"}, time.Hour).cert)
		if got, err := Inspect(t.Context(), n.Paths); err != nil || got.Certificate == nil || time.Until(got.Certificate.NotAfter) > time.Hour {
			t.Errorf("%s ends in an hour: %v, %v", file, got.Certificate, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if got, err := Inspect(t.Context(), n.Paths); err != nil || got.Certificate != nil {
			t.Errorf("%s is missing: certificate %v, %v, want none", file, got.Certificate, err)
		}
		write(t, path, whole)
	}
}

// A file that is there and cannot be understood makes the node unknown, and is
// named.
func TestInspectNamesWhatItCannotRead(t *testing.T) {
	files := map[string]func(n node.Node) string{
		"member file": func(n node.Node) string { return filepath.Join(n.Paths.Config, node.FileName) },
		"status":      func(n node.Node) string { return filepath.Join(n.Paths.Config, StatusFile) },
		"certificate": func(n node.Node) string { return filepath.Join(n.Paths.Config, node.PeerCertFile) },
		"born file":   func(n node.Node) string { return bornPath(n.Paths.Data) },
		"log of etcd": func(n node.Node) string {
			return filepath.Join(walFolder(n.Paths.Data), "0000000000000000-0000000000000000.wal")
		},
	}
	for name, path := range files {
		for damage, content := range map[string]string{"empty": "", "torn": `{"version": 1, "pro`, "garbage": "\x00\xff-----BEGIN CERTIFICATE-----"} {
			t.Run(name+" "+damage, func(t *testing.T) {
				t.Parallel()
				n := render(cluster.Sealed, nobody, newHost(t, "etcd-a"))
				install(t, n)
				write(t, path(n), []byte(content))
				if got, err := Inspect(t.Context(), n.Paths); err == nil || !strings.Contains(err.Error(), path(n)) {
					t.Errorf("Inspect = %+v, %v, want an error that names %s", got, err, path(n))
				}
			})
		}
	}
}
