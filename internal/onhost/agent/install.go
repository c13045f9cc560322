package agent

import (
	"bytes"
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

// Install makes the machine hold exactly this node, started by a binary that is
// there, and returns the paths of what it changed. Unless renew, a member goes on to
// be started by the binary that it has, if that is there. See deliver.Deliverer.
func (h *Host) Install(ctx context.Context, host cluster.Host, n node.Node, creds *node.Credentials, binary string, renew bool) ([]string, error) {
	i := installing{Host: h, node: n, binary: binary, renew: renew}
	err := h.exclusively(ctx, func() error {
		// What Chef was to lay down is older now.
		if err := h.unstage(ctx); err != nil {
			return err
		}
		return i.install(ctx, host, creds)
	})
	return i.changed, wrap("install on", host.Name, err)
}

// installing is one delivery.
type installing struct {
	*Host
	node    node.Node
	binary  string
	renew   bool
	user    User
	changed []string
}

func (i *installing) install(ctx context.Context, host cluster.Host, creds *node.Credentials) error {
	if err := i.check(ctx, host, creds); err != nil {
		return err
	}
	return i.take(ctx,
		i.folders,
		i.aside,
		i.volume,
		i.release,
		func(context.Context) error { return i.credentials(creds) },
		i.hosts,
		i.unitFile,
		i.outdated,
		func(context.Context) error {
			return i.write(filepath.Join(i.node.Paths.Config, node.FileName), i.node.Encode())
		})
}

// check says whether the node may be delivered, and finds or makes the user that
// it needs.
func (i *installing) check(ctx context.Context, host cluster.Host, creds *node.Credentials) error {
	n := i.node
	if n.Name != host.Name || n.Paths != host.Paths {
		return fmt.Errorf("the node is of %s in %s, want %s in %s", n.Name, n.Paths.Config, host.Name, host.Paths.Config)
	}
	if creds != nil {
		if err := creds.Complete(); err != nil {
			return err
		}
	}
	u, err := i.User(ctx, false)
	if err != nil {
		return err
	}
	if err := as(u, func() error { return member.Deliverable(n) }); err != nil {
		return err
	}
	i.user, err = i.User(ctx, true)
	return err
}

// take takes steps until ctx ends.
func (i *installing) take(ctx context.Context, steps ...func(context.Context) error) error {
	for _, step := range steps {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// aside keeps what the member was started with so far, before it is to be started
// with something else.
func (i *installing) aside(context.Context) error {
	binary, err := i.starts()
	if err != nil {
		return err
	}
	there, err := exists(i.path(binary))
	if err != nil {
		return err
	}
	if node.IsBinary(binary) && there && !i.renew {
		i.binary = binary
	}
	is, err := i.program(binary, i.node)
	if err != nil {
		return err
	}
	return as(i.user, func() error {
		former, err := member.Aside(i.node.Paths.Config, binary, is, i.node, i.binary)
		if err != nil || former == nil {
			return err
		}
		return former.Write(i.node.Paths.Config, i.user.UID, i.user.GID)
	})
}

// outdated removes programs that nothing on the machine names any more: with a new one,
// all but that and the one before.
func (i *installing) outdated(context.Context) error {
	if !i.renew {
		return nil
	}
	former, err := i.former(i.user, cluster.Host{Paths: i.node.Paths})
	if err != nil {
		return err
	}
	found, err := filepath.Glob(i.path(node.BinaryFolder + "/*/pleiad"))
	if err != nil {
		return err
	}
	for _, file := range found {
		binary := node.BinaryFolder + "/" + filepath.Base(filepath.Dir(file)) + "/pleiad"
		if !node.IsBinary(binary) || binary == i.binary || former != nil && binary == former.Binary {
			continue
		}
		if err := os.RemoveAll(filepath.Dir(file)); err != nil {
			return err
		}
	}
	return nil
}

// Revert makes the machine hold what a member that does not run was started with before
// that was last changed. What systemd still tries to start is stopped first. See
// deliver.Deliverer.
func (h *Host) Revert(ctx context.Context, host cluster.Host) error {
	return wrap("revert", host.Name, h.exclusively(ctx, func() error { return h.revert(ctx, host) }))
}

func (h *Host) revert(ctx context.Context, host cluster.Host) error {
	u, err := h.User(ctx, false)
	if err != nil {
		return err
	}
	former, err := h.former(u, host)
	if err != nil {
		return err
	}
	var n *node.Node
	if err := as(u, func() error { n, err = member.Installed(host.Paths.Config); return err }); err != nil {
		return err
	}
	if former == nil || n == nil {
		return ErrNoFormer
	}
	if s, err := status(u, host); err != nil || s.Running() {
		return errors.Join(err, ErrBusy)
	}
	if err := h.systemctl(ctx, "stop", node.UnitName); err != nil {
		return err
	}
	// A run of Chef would lay down again what failed.
	if err := h.unstage(ctx); err != nil {
		return err
	}
	i := installing{Host: h, node: former.In(*n), binary: former.Binary, user: u}
	if err := i.unitFile(ctx); err != nil {
		return err
	}
	if err := i.write(filepath.Join(n.Paths.Config, node.FileName), i.node.Encode()); err != nil {
		return err
	}
	return as(u, func() error {
		_, err := durable.Remove(filepath.Join(n.Paths.Config, member.FormerFile))
		return err
	})
}

// write writes a file of the member's.
func (i *installing) write(path string, content []byte) error {
	return as(i.user, func() error {
		changed, err := durable.Replace(durable.File{Path: path, Content: content, Mode: 0o600, UID: i.user.UID, GID: i.user.GID})
		i.note(changed, path)
		return err
	})
}

func (i *installing) note(changed bool, path string) {
	if changed {
		i.changed = append(i.changed, path)
	}
}

// withdraw removes member.json before something beside it changes.
func (i *installing) withdraw() error {
	return as(i.user, func() error {
		_, err := durable.Remove(filepath.Join(i.node.Paths.Config, node.FileName))
		return err
	})
}

// folders makes the member's folders, closed to others: the outermost as root,
// the rest with the member's rights.
func (i *installing) folders(context.Context) error {
	top, config := state(i.node.Paths), i.node.Paths.Config
	if err := errors.Join(i.folder(top), chown(top, i.user)); err != nil {
		return err
	}
	return as(i.user, func() error {
		return errors.Join(i.folder(config), i.folder(filepath.Dir(filepath.Join(config, node.PeerKeyFile))))
	})
}

func (i *installing) folder(path string) error {
	err := os.Mkdir(path, 0o700)
	i.note(err == nil, path)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder", path)
	}
	return errors.Join(os.Chmod(path, 0o700), durable.SyncFolders(filepath.Dir(path)))
}

func chown(path string, u User) error {
	if u.UID < 0 {
		return nil
	}
	return os.Lchown(path, u.UID, u.GID)
}

// credentials are the member's own: written with its rights.
func (i *installing) credentials(creds *node.Credentials) error {
	if creds == nil {
		return nil
	}
	return as(i.user, func() error {
		changed, err := member.PutCredentials(i.node.Paths.Config, *creds, i.user.UID, i.user.GID)
		i.changed = append(i.changed, changed...)
		return err
	})
}

// unitFile writes the member's unit. A unit counts only once systemd has read it:
// until then there is no member.json.
func (i *installing) unitFile(ctx context.Context) error {
	want := i.node.Unit(i.binary, i.openFiles())
	have, err := os.ReadFile(i.path(node.UnitFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	before, err := exists(filepath.Join(i.node.Paths.Config, node.FileName))
	if err != nil {
		return err
	}
	if !before || !bytes.Equal(have, want) {
		if err := i.withdraw(); err != nil {
			return err
		}
		if err := i.known(ctx, have == nil, func() error {
			changed, err := i.replace(node.UnitFile, want, 0o644)
			i.note(changed, node.UnitFile)
			return err
		}); err != nil {
			return err
		}
	}
	if !i.node.Sealed {
		return nil
	}
	changed, err := i.enable()
	i.note(changed, node.WantedBy(node.UnitName))
	return err
}

// known writes the unit and makes systemd read it. systemd reads a unit that it
// does not know yet when it is first asked about it; a reload of all units takes
// fifteen times as long.
func (i *installing) known(ctx context.Context, first bool, write func() error) error {
	if first {
		before, err := i.unit(ctx)
		if err != nil {
			return err
		}
		first = before.load == "not-found"
	}
	if err := write(); err != nil {
		return err
	}
	if first {
		if after, err := i.unit(ctx); err != nil || after.load == "loaded" {
			return err
		}
	}
	return i.systemctl(ctx, "daemon-reload")
}

// enable makes the member start with the machine, and says whether that is new.
// systemctl would make systemd reload all units, or mark every unit of the
// machine as out of date.
func (h *Host) enable() (changed bool, err error) {
	link := h.path(node.WantedBy(node.UnitName))
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return false, err
	}
	err = os.Symlink(h.path(node.UnitFile), link)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, durable.SyncFolders(filepath.Dir(link))
}
