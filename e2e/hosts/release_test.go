package hosts

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"go.etcd.io/etcd/api/v3/version"

	"github.com/pleiad-etcd/pleiad/internal/node"
)

// withRelease is the spec of an operator with an etcd that is another program: the
// one that pleiad has in it, built by itself and served as a release.
func (w *world) withRelease() string {
	w.Helper()
	release := fmt.Sprintf("etcd-v%s-linux-%s", version.Version, runtime.GOARCH)
	tarball := w.tarball(release)
	addr, err := w.Address(w.Context())
	w.ok(err)
	l, err := w.Listen(w.Context(), netip.AddrPortFrom(addr, 80))
	w.ok(err)
	mux := http.NewServeMux()
	mux.HandleFunc(fmt.Sprintf("/v%s/%s.tar.gz", version.Version, release), func(out http.ResponseWriter, _ *http.Request) { out.Write(tarball) })
	server, ended := &http.Server{Handler: mux}, make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	w.Cleanup(func() {
		if err := errors.Join(server.Close(), <-ended); !errors.Is(err, http.ErrServerClosed) {
			w.Error(err)
		}
	})
	return w.file("release.yaml", w.Spec(w.Hosts)+fmt.Sprintf("\netcd:\n  source: release\n  release:\n    version: %s\n    baseURL: http://%s\n    sha256:\n      %s: %x\n",
		version.Version, addr, runtime.GOARCH, sha256.Sum256(tarball)))
}

// tarball is a release of etcd as its project packs it.
func (w *world) tarball(release string) []byte {
	w.Helper()
	program := filepath.Join(w.TempDir(), "etcd")
	if out, err := exec.CommandContext(w.Context(), "go", "build", "-trimpath", "-o", program, "go.etcd.io/etcd/server/v3").CombinedOutput(); err != nil {
		w.Fatalf("build etcd: %v: %s", err, out)
	}
	content, err := os.ReadFile(program)
	w.ok(err)
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	t := tar.NewWriter(z)
	w.ok(t.WriteHeader(&tar.Header{Name: release + "/etcd", Mode: 0o755, Size: int64(len(content))}))
	_, err = t.Write(content)
	w.ok(errors.Join(err, t.Close(), z.Close()))
	return b.Bytes()
}

// wantRelease wants the members to be the other program.
func (w *world) wantRelease() {
	w.Helper()
	for _, h := range w.Hosts {
		program := w.on(h, "readlink /proc/$(systemctl show --property=MainPID --value "+node.UnitName+")/exe")
		if strings.TrimSpace(program) != node.ReleasePath(version.Version) {
			w.Errorf("the member of %s is %s", h.Name, program)
		}
	}
}
