package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// Install implements deliver.Deliverer. member.json is what says that a node
// was delivered, but says nothing of keys and certificates. So if those
// change, it is removed first and written anew last: a crash in between shows
// as a host to which nothing was delivered, and the next Install begins again.
// A running member needs it no more, and reads a new certificate at its next
// handshake.
func (d *Deliverer) Install(ctx context.Context, h cluster.Host, n node.Node, creds *node.Credentials) error {
	if err := install(ctx, h, n, creds); err != nil {
		return fmt.Errorf("install on %s: %w", h.Name, err)
	}
	return nil
}

func install(ctx context.Context, h cluster.Host, n node.Node, creds *node.Credentials) error {
	if n.Name != h.Name || n.Paths != h.Paths {
		return fmt.Errorf("the node is of %s in %s, want %s in %s", n.Name, n.Paths.Config, h.Name, h.Paths.Config)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := makeFolder(h.Paths.Config); err != nil {
		return err
	}
	memberFile := filepath.Join(h.Paths.Config, node.FileName)
	if creds != nil {
		if err := installCredentials(ctx, h.Paths.Config, memberFile, *creds); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return replace(file{memberFile, n.Encode()})
}

// installCredentials writes keys and certificates if they differ. The three
// files cannot change in one instant: a handshake just then may fail, and is
// tried again by the peer.
func installCredentials(ctx context.Context, config, memberFile string, creds node.Credentials) error {
	if len(creds.CA) == 0 || len(creds.Cert) == 0 || len(creds.Key) == 0 {
		return errors.New("credentials: want a CA certificate, a certificate and a key")
	}
	files := []file{
		{filepath.Join(config, node.CAFile), creds.CA},
		{filepath.Join(config, node.KeyFile), creds.Key},
		{filepath.Join(config, node.CertFile), creds.Cert},
	}
	same, err := hold(files)
	if err != nil || same {
		return err
	}
	if err := os.Remove(memberFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := syncFolder(config); err != nil {
		return err
	}
	if err := makeFolder(filepath.Dir(files[0].path)); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return replace(files...)
}

// makeFolder makes one folder, not those above it: where they are missing the
// host was terminated meanwhile.
func makeFolder(path string) error {
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// file is what a file is to hold.
type file struct {
	path    string
	content []byte
}

// hold says whether all files hold what they are to hold and are closed to
// others.
func hold(files []file) (bool, error) {
	for _, f := range files {
		info, err := os.Stat(f.path)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		b, err := os.ReadFile(f.path)
		if err != nil {
			return false, err
		}
		open := info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" // which knows no such modes
		if open || !bytes.Equal(b, f.content) {
			return false, nil
		}
	}
	return true, nil
}

// replace makes files of one folder hold what they are to hold, one after the
// other, each at once and durably; files that do already are not written.
func replace(files ...file) error {
	if same, err := hold(files); err != nil || same {
		return err
	}
	for _, f := range files {
		beside := f.path + ".new"
		if err := writeSynced(beside, f.content); err != nil {
			return errors.Join(err, os.RemoveAll(beside)) // it may be what filled the disk
		}
		if err := os.Rename(beside, f.path); err != nil {
			return err
		}
	}
	return syncFolder(filepath.Dir(files[0].path))
}

func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncFolder makes what was renamed or removed in a folder durable. Windows has
// no such call and needs none.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
