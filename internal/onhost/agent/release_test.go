package agent_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// tarball is a release as etcd's project packs it.
func tarball(t *testing.T, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, name := range files {
		content := "program " + name
		h := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(content))}
		if strings.HasSuffix(name, "/") {
			h.Typeflag, h.Size, content = tar.TypeDir, 0, ""
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func etcdTarball(t *testing.T) []byte {
	return tarball(t, "etcd-v3.6.5-linux-x/", "etcd-v3.6.5-linux-x/etcdctl", "etcd-v3.6.5-linux-x/etcd")
}

const version = "3.6.5"

// mirror serves one release, and counts how often it was fetched.
func mirror(t *testing.T, content []byte) (url string, fetched *atomic.Int32) {
	t.Helper()
	fetched = new(atomic.Int32)
	path := fmt.Sprintf("/etcd/v%s/etcd-v%s-linux-%s.tar.gz", version, version, runtime.GOARCH)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != path {
			http.NotFound(w, r)
			return
		}
		fetched.Add(1)
		_, _ = w.Write(content) // who hung up wants no more
	}))
	t.Cleanup(s.Close)
	return s.URL + "/etcd", fetched
}

func fromMirror(url, arch, sum string) func(*cluster.Spec) {
	return func(s *cluster.Spec) {
		s.Etcd.Release = &cluster.EtcdRelease{Version: version, BaseURL: url, SHA256: map[string]string{arch: sum}}
	}
}

func sum(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

func TestReleaseIsInstalledOnce(t *testing.T) {
	t.Parallel()
	content := etcdTarball(t)
	url, fetched := mirror(t, content)
	s := newStage(t)
	n := s.rendered(0, fromMirror(url, runtime.GOARCH, sum(content)))
	program := node.ReleasePath(version)
	if changed := s.install(n, credentials(0)); !slices.Contains(changed, program) {
		t.Errorf("Install says it changed %q, want %s among it", changed, program)
	}
	for range 2 {
		if changed := s.install(n, nil); len(changed) > 0 {
			t.Errorf("Install again says it changed %q, want nothing", changed)
		}
	}
	s.wantInstalled(n, credentials(0))
	if fetched.Load() != 1 {
		t.Errorf("fetched %d times, want once", fetched.Load())
	}
	info, err := os.Stat(s.Path(program))
	if b, _ := os.ReadFile(s.Path(program)); err != nil || string(b) != "program etcd-v3.6.5-linux-x/etcd" || info.Mode() != 0o755 {
		t.Fatalf("%s: %v, %v, %q, want the program in the tarball", program, err, info.Mode(), b)
	}
	if info, err := os.Stat(filepath.Dir(s.Path(program))); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("its folder: %v, %v, want it open to the member's user", info.Mode(), err)
	}
	if err := os.Remove(s.Path(program)); err != nil {
		t.Fatal(err)
	}
	if drift := s.drift(); !slices.Equal(drift, []string{program + " is missing"}) {
		t.Errorf("drift is %q, want the program", drift)
	}
	s.install(n, nil)
	s.wantInstalled(n, credentials(0))
}

// Another digest for the same version is another program.
func TestReleaseWithAnotherDigest(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for _, name := range []string{"one/etcd", "two/etcd"} {
		content := tarball(t, name)
		url, _ := mirror(t, content)
		s.install(s.rendered(0, fromMirror(url, runtime.GOARCH, sum(content))), credentials(0))
		if b, err := os.ReadFile(s.Path(node.ReleasePath(version))); err != nil || string(b) != "program "+name {
			t.Errorf("program is %q, %v, want that of %s", b, err, name)
		}
	}
}

func TestReleaseIsRefused(t *testing.T) {
	t.Parallel()
	good := etcdTarball(t)
	without := tarball(t, "etcd-v3.6.5-linux-x/etcdctl", "etcd/")
	for _, tt := range []struct {
		name, arch, sum string
		served          []byte
		says            []string
	}{
		{"wrong digest", runtime.GOARCH, sum([]byte("other")), good, []string{sum(good), sum([]byte("other")), "not used"}},
		{"cut off", runtime.GOARCH, sum(good), good[:len(good)-1], []string{sum(good), "not used"}},
		{"no digest for the architecture", "riscv64", sum(good), good, []string{runtime.GOARCH, "etcd.release.sha256"}},
		{"no etcd in it", runtime.GOARCH, sum(without), without, []string{"there is no etcd in it"}},
		{"no tarball", runtime.GOARCH, sum([]byte("<html>")), []byte("<html>"), []string{"unpack http://"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			url, _ := mirror(t, tt.served)
			_, err := s.agent.Install(t.Context(), s.host, s.rendered(0, fromMirror(url, tt.arch, tt.sum)), credentials(0), binary, true)
			s.wantNoRelease(err, tt.says...)
		})
	}
	t.Run("nothing there", func(t *testing.T) {
		t.Parallel()
		s := newStage(t)
		url, _ := mirror(t, good)
		_, err := s.agent.Install(t.Context(), s.host, s.rendered(0, fromMirror(url+"/wrong", runtime.GOARCH, sum(good))), credentials(0), binary, true)
		s.wantNoRelease(err, url+"/wrong", "404")
	})
	t.Run("without an end", func(t *testing.T) {
		t.Parallel()
		endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			piece := make([]byte, 1<<20)
			for err := error(nil); err == nil; {
				_, err = w.Write(piece) // until the other side hangs up
			}
		}))
		defer endless.Close()
		s := newStage(t)
		_, err := s.agent.Install(t.Context(), s.host, s.rendered(0, fromMirror(endless.URL, runtime.GOARCH, sum(good))), credentials(0), binary, true)
		s.wantNoRelease(err, endless.URL, "too long")
	})
	t.Run("nobody there", func(t *testing.T) {
		t.Parallel()
		gone := httptest.NewServer(http.NotFoundHandler())
		gone.Close()
		s := newStage(t)
		_, err := s.agent.Install(t.Context(), s.host, s.rendered(0, fromMirror(gone.URL, runtime.GOARCH, sum(good))), credentials(0), binary, true)
		s.wantNoRelease(err, gone.URL)
	})
}

// wantNoRelease fails unless an Install said why, and left nothing that runs.
func (s *stage) wantNoRelease(err error, says ...string) {
	s.Helper()
	for _, text := range says {
		if err == nil || !strings.Contains(err.Error(), text) {
			s.Errorf("Install: %v, want an error with %q", err, text)
		}
	}
	for name := range s.Files(s.T) {
		if strings.Contains(name, "etcd-"+version) || name == node.UnitFile || strings.HasSuffix(name, node.FileName) {
			s.Errorf("%s is there, want nothing", name)
		}
	}
}
