package agent

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/durable"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// Limits of a download: a tarball of etcd is about 25 MB, the program 25 MB.
const (
	downloadTimeout = 90 * time.Second
	maxTarball      = 200 << 20
	maxProgram      = 200 << 20
)

// release fetches the official etcd, if it is not there, and checks it against
// the digest in the spec before anything of it is used.
func (i *installing) release(ctx context.Context) error {
	r := i.node.Release
	if r == nil {
		return nil
	}
	to := i.path(node.ReleasePath(r.Version))
	there, err := exists(to)
	if err != nil || there {
		return err
	}
	sum := r.SHA256[runtime.GOARCH]
	url := r.Tarball(runtime.GOARCH)
	if sum == "" {
		return fmt.Errorf("etcd %s for %s: no digest; put its SHA-256 under etcd.release.sha256 in the spec", r.Version, runtime.GOARCH)
	}
	tarball, err := download(ctx, url)
	if err != nil {
		return err
	}
	if got := sha256.Sum256(tarball); hex.EncodeToString(got[:]) != sum {
		return fmt.Errorf("%s has SHA-256 %x, want %s: it was not used; compare with the release's SHA256SUMS", url, got, sum)
	}
	program, err := unpack(tarball)
	if err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	changed, err := durable.Replace(durable.File{Path: to, Content: program, Mode: 0o755, UID: -1, GID: -1})
	i.note(changed, node.ReleasePath(r.Version))
	return err
}

func download(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, downloadTimeout, fmt.Errorf("not done within %s", downloadTimeout))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch etcd: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch %s: %s", url, resp.Status)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxTarball))
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", url, err)
	}
	return b, nil
}

// unpack finds etcd itself in a tarball of its project.
func unpack(tarball []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(tarball))
	if err != nil {
		return nil, err
	}
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil, errors.New("there is no etcd in it")
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag == tar.TypeReg && path.Base(h.Name) == "etcd" {
			return io.ReadAll(io.LimitReader(t, maxProgram))
		}
	}
}
