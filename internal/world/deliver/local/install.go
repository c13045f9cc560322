package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/onhost/member"
	"github.com/pleiad-etcd/pleiad/internal/system/durable"
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
	if err := member.Deliverable(n); err != nil {
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
	return replace(durable.Private(memberFile, n.Encode()))
}

// installCredentials writes keys and certificates if they differ. The
// files cannot change in one instant: a handshake just then may fail, and is
// tried again by the peer.
func installCredentials(ctx context.Context, config, memberFile string, creds node.Credentials) error {
	if err := creds.Complete(); err != nil {
		return err
	}
	var files []durable.File
	for _, f := range creds.Files() {
		files = append(files, durable.Private(filepath.Join(config, f.Name), f.Content))
	}
	same, err := hold(files)
	if err != nil || same {
		return err
	}
	if _, err := durable.Remove(memberFile); err != nil {
		return err
	}
	if err := makeFolder(filepath.Dir(files[0].Path)); err != nil {
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
	return durable.SyncFolders(filepath.Dir(path))
}

// hold says whether all files hold what they are to hold and are closed to
// others.
func hold(files []durable.File) (bool, error) {
	for _, f := range files {
		if same, err := f.Holds(); err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

// replace makes files hold what they are to hold, one after the other; files
// that do already are not written.
func replace(files ...durable.File) error {
	for _, f := range files {
		if _, err := durable.Replace(f); err != nil {
			return err
		}
	}
	return nil
}
