//go:build unix

package member

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// Whatever a compromised member puts in the place of one of its files, a look
// ends with an error that names it: it neither waits nor reads elsewhere nor
// without end.
func TestInspectHostileFiles(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, []byte(`{"version": 1}`))
	files := map[string]func(cluster.Paths) string{
		node.FileName:     func(p cluster.Paths) string { return filepath.Join(p.Config, node.FileName) },
		node.PeerCertFile: func(p cluster.Paths) string { return filepath.Join(p.Config, node.PeerCertFile) },
		StatusFile:        func(p cluster.Paths) string { return filepath.Join(p.Config, StatusFile) },
		cluster.BornFile:  func(p cluster.Paths) string { return bornPath(p.Data) },
		cluster.MarkFile:  func(p cluster.Paths) string { return markPath(p.Data) },
		"first segment": func(p cluster.Paths) string {
			return filepath.Join(walFolder(p.Data), "0000000000000000-0000000000000000.wal")
		},
		"folder of the log": func(p cluster.Paths) string { return walFolder(p.Data) },
		"data directory":    func(p cluster.Paths) string { return p.Data },
	}
	for name, path := range files {
		for what, put := range map[string]func(path string) error{
			"FIFO": func(path string) error { return unix.Mkfifo(path, 0o600) },
			"link": func(path string) error { return os.Symlink(secret, path) },
			"terabyte": func(path string) error {
				if err := os.WriteFile(path, []byte{1, 0, 0, 0, 0, 0, 0xff, 0}, 0o600); err != nil {
					return err
				}
				return os.Truncate(path, 1<<40)
			},
		} {
			t.Run(what+" for "+name, func(t *testing.T) {
				t.Parallel()
				paths := newHost(t, "etcd-a").Paths
				at := path(paths)
				if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := put(at); err != nil {
					t.Fatal(err)
				}
				if got, err := Inspect(t.Context(), paths); err == nil {
					t.Errorf("Inspect: %+v, want an error", got)
				}
			})
		}
	}
}
