package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/system/durable"
)

// Clear removes what Install and the member put on the machine, except the claim
// and the binaries. Data is deleted, or moved aside. It returns [ErrBusy] while
// the member runs. It is idempotent, and finishes what an earlier Clear began.
func (h *Host) Clear(ctx context.Context, host cluster.Host, keepData bool) error {
	return wrap("clear host", host.Name, h.exclusively(ctx, func() error { return h.clear(ctx, host, keepData) }))
}

func (h *Host) clear(ctx context.Context, host cluster.Host, keepData bool) error {
	user, err := h.User(ctx, false)
	if err != nil {
		return err
	}
	s, err := status(user, host)
	if err != nil {
		return err
	}
	if s.Running() {
		return ErrBusy
	}
	for _, step := range []func() error{
		func() error { return h.unstage(ctx) }, // or Chef brings it all back
		func() error { return h.removeUnit(ctx, host, node.UnitFile, node.UnitName) },
		func() error { _, err := durable.Remove(h.path(node.HostsFile)); return err },
		func() error { return h.removeVolume(ctx, host, keepData) },
		func() error { return h.keep(host, keepData) },
		func() error { return os.RemoveAll(state(host.Paths)) },
		func() error { return durable.SyncFolders(filepath.Dir(state(host.Paths))) },
		func() error { return h.removeUser(ctx, user) },
	} {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// removeUnit stops and removes a unit. systemd could be about to restart the
// member; stopping the unit first prevents that. An earlier Clear may have been
// interrupted before systemd knew that the unit is gone.
func (h *Host) removeUnit(ctx context.Context, host cluster.Host, file, name string) error {
	there, err := exists(h.path(file))
	if err != nil {
		return err
	}
	if there {
		if err := h.systemctl(ctx, "disable", "--quiet", "--now", name); err != nil {
			return err
		}
		if _, err := durable.Remove(h.path(file)); err != nil {
			return err
		}
	} else if _, err := durable.Remove(h.path(node.WantedBy(name))); err != nil { // systemctl knows only of units that have a file
		return err
	} else if begun, err := exists(state(host.Paths)); err != nil || !begun {
		return err
	}
	if err := h.systemctl(ctx, "daemon-reload"); err != nil {
		return err
	}
	_ = h.systemctl(ctx, "reset-failed", name) // an error means that there is nothing to forget
	return nil
}

// keep moves the data directory aside if it is to be kept.
func (h *Host) keep(host cluster.Host, keep bool) error {
	kept := h.path(node.KeptFolder)
	aside := filepath.Join(kept, fmt.Sprintf("%s-%s", host.Name, host.Token))
	there, err := exists(host.Paths.Data)
	if err != nil || !keep {
		return err
	}
	if there {
		if err := os.MkdirAll(kept, 0o700); err != nil {
			return err
		}
		// Moved first to where only root can reach it: from then on the member
		// cannot replace it by a link.
		if err := os.Rename(host.Paths.Data, aside); err != nil {
			return err
		}
	} else if before, err := exists(aside); err != nil || !before {
		return err
	}
	// Its user is removed, and a later user may get the same ID.
	if err := own(aside); err != nil {
		return err
	}
	return errors.Join(durable.SyncFolders(kept), durable.SyncFolders(filepath.Dir(kept)))
}

// own gives a folder and everything in it to root, and nothing outside it, even
// if entries are replaced meanwhile. If this process is not root, it changes
// nothing.
func own(dir string) error {
	if os.Getuid() != 0 {
		return nil
	}
	root, err := openFolder(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return root.Lchown(path, 0, 0)
	})
}

// openFolder opens a folder, and refuses a link to one.
func openFolder(dir string) (*os.Root, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	there, err := os.Lstat(dir)
	if err == nil {
		var opened fs.FileInfo
		if opened, err = root.Stat("."); err == nil && !os.SameFile(there, opened) {
			err = fmt.Errorf("%s is not a folder of its own", dir)
		}
	}
	if err != nil {
		root.Close()
		return nil, err
	}
	return root, nil
}

func (h *Host) removeUser(ctx context.Context, u User) error {
	if !u.Ours {
		return nil
	}
	_, err := h.Run(ctx, "userdel", node.MachineUser)
	if err != nil && strings.Contains(err.Error(), "does not exist") {
		return nil
	}
	return err
}

// removeVolume unmounts the data volume. Its device is made blank again, unless
// the data is to be kept: then it stays there. The unit goes last: it is what
// says which device is ours.
func (h *Host) removeVolume(ctx context.Context, host cluster.Host, keep bool) error {
	mount, err := os.ReadFile(h.path(node.MountFile))
	if errors.Is(err, fs.ErrNotExist) {
		return h.removeUnit(ctx, host, node.MountFile, node.MountName)
	}
	if err != nil {
		return err
	}
	if keep { // see there
		if err := own(host.Paths.Data); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := h.systemctl(ctx, "stop", node.MountName); err != nil {
		return err
	}
	if err := os.Remove(host.Paths.Data); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // not empty: still mounted, or never was
	}
	if !keep {
		if err := h.wipe(ctx, mounted(mount)); err != nil {
			return err
		}
	}
	return h.removeUnit(ctx, host, node.MountFile, node.MountName)
}

// wipe removes the signature of a file system. A device that no longer has it was
// wiped before.
func (h *Host) wipe(ctx context.Context, device string) error {
	there, err := exists(h.path(device))
	if err != nil || !there || device == "" {
		return err
	}
	_, err = h.Run(ctx, "wipefs", "--all", "--quiet", device)
	return err
}

// mounted is the device that a mount unit names.
func mounted(unit []byte) string {
	for line := range strings.Lines(string(unit)) {
		if what, ok := strings.CutPrefix(line, "What="); ok {
			return strings.TrimSpace(what)
		}
	}
	return ""
}
