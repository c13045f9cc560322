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
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/system/bound"
)

// Limits of a download: a tarball of etcd is about 25 MB, the program 25 MB.
const (
	downloadTimeout = 90 * time.Second
	maxTarball      = 64 << 20
	maxEtcd         = 64 << 20
)

// digestFile beside a release says of which tarball it is.
const digestFile = "tarball.sha256"

// release fetches the official etcd, if it is not there, and checks it against
// the digest in the spec before anything of it is used.
func (i *installing) release(ctx context.Context) error {
	r := i.node.Release
	if r == nil {
		return nil
	}
	sum := r.SHA256[runtime.GOARCH]
	if sum == "" {
		return fmt.Errorf("etcd %s for %s: no digest; put its SHA-256 under etcd.release.sha256 in the spec", r.Version, runtime.GOARCH)
	}
	program := node.ReleasePath(r.Version)
	digest := filepath.Join(filepath.Dir(program), digestFile)
	there, err := i.holdsRelease(program, digest, sum)
	if err != nil || there {
		return err
	}
	content, err := fetch(ctx, r.Tarball(runtime.GOARCH), sum)
	if err != nil {
		return err
	}
	for _, folder := range []string{node.BinaryFolder, filepath.Dir(program)} { // open to the member's user, whatever the umask
		if err := errors.Join(os.MkdirAll(i.path(folder), 0o755), os.Chmod(i.path(folder), 0o755)); err != nil {
			return err
		}
	}
	if _, err := i.replace(program, content, 0o755); err != nil {
		return err
	}
	i.note(true, program)
	_, err = i.replace(digest, []byte(sum+"\n"), 0o644)
	return err
}

// holdsRelease says whether a release is there, whole and from the tarball with
// this digest.
func (i *installing) holdsRelease(program, digest, sum string) (bool, error) {
	there, err := exists(i.path(program))
	if err != nil || !there {
		return false, err
	}
	have, err := os.ReadFile(i.path(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return strings.TrimSpace(string(have)) == sum, err
}

// fetch is the program in the tarball with this digest.
func fetch(ctx context.Context, url, sum string) ([]byte, error) {
	tarball, err := download(ctx, url)
	if err != nil {
		return nil, err
	}
	if got := sha256.Sum256(tarball); hex.EncodeToString(got[:]) != sum {
		return nil, fmt.Errorf("%s has SHA-256 %x, want %s: it was not used; compare with the release's SHA256SUMS", url, got, sum)
	}
	program, err := unpack(tarball)
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", url, err)
	}
	return program, nil
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
	b, err := bound.ReadAll(resp.Body, maxTarball)
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
			if h.Size > maxEtcd {
				return nil, fmt.Errorf("its etcd has %d bytes, want no more than %d", h.Size, maxEtcd)
			}
			return bound.ReadAll(t, maxEtcd)
		}
	}
}
