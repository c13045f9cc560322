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

// Install implements deliver.Deliverer.
func (d *Deliverer) Install(ctx context.Context, h cluster.Host, n node.Node, creds *node.Credentials, _ bool) error {
	if err := d.install(ctx, h, n, creds); err != nil {
		return fmt.Errorf("install on %s: %w", h.Name, err)
	}
	return nil
}

func (d *Deliverer) install(ctx context.Context, h cluster.Host, n node.Node, creds *node.Credentials) error {
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
	if creds != nil {
		if err := makeFolder(filepath.Dir(filepath.Join(h.Paths.Config, node.PeerKeyFile))); err != nil {
			return err
		}
		if _, err := member.PutCredentials(h.Paths.Config, *creds, -1, -1); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	former, err := member.Aside(h.Paths.Config, "", d.program, n, "")
	if err != nil {
		return err
	}
	if former != nil {
		if err := former.Write(h.Paths.Config, -1, -1); err != nil {
			return err
		}
	}
	_, err = durable.Replace(durable.Private(filepath.Join(h.Paths.Config, node.FileName), n.Encode()))
	return err
}

// Revert implements deliver.Deliverer.
func (d *Deliverer) Revert(ctx context.Context, h cluster.Host) error {
	if err := d.revert(ctx, h); err != nil {
		return fmt.Errorf("revert %s: %w", h.Name, err)
	}
	return nil
}

func (d *Deliverer) revert(ctx context.Context, h cluster.Host) error {
	former, err := member.ReadFormer(h.Paths.Config)
	if err != nil {
		return err
	}
	n, err := member.Installed(h.Paths.Config)
	if err != nil {
		return err
	}
	if former == nil || n == nil {
		return errors.New("nothing is kept that it was started with before")
	}
	before, err := member.ReadStatus(h.Paths.Config)
	if err != nil {
		return err
	}
	if before.Running() {
		return errors.New("the member runs")
	}
	if _, err := durable.Replace(durable.Private(filepath.Join(h.Paths.Config, node.FileName), former.In(*n).Encode())); err != nil {
		return err
	}
	_, err = durable.Remove(filepath.Join(h.Paths.Config, member.FormerFile))
	return err
}

// makeFolder makes one folder, not those above it: if they are missing, the host
// was terminated meanwhile.
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
