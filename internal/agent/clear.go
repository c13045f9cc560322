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
	"github.com/pleiad-etcd/pleiad/internal/durable"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// Clear takes everything off the machine that Install and the member put there,
// but the claim and the binaries, and leaves the rest as it was. Data goes too,
// or is kept aside. [ErrBusy] while the member runs. It is idempotent, and
// finishes what an earlier Clear began.
func (h *Host) Clear(ctx context.Context, host cluster.Host, keepData bool) error {
	return wrap("clear host", host.Name, h.clear(ctx, host, keepData))
}

func (h *Host) clear(ctx context.Context, host cluster.Host, keepData bool) error {
	s, err := readStatus(host.Paths.Config)
	if err != nil {
		return err
	}
	if running(s) {
		return ErrBusy
	}
	user, err := h.User(ctx, false)
	if err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return h.removeUnit(ctx, node.UnitFile, node.UnitName) },
		func() error { _, err := h.rewriteHosts(node.UnpinHosts); return err },
		func() error { return h.removeVolume(ctx, host, keepData) },
		func() error { return h.removeData(host, keepData) },
		func() error { return os.RemoveAll(state(host.Paths)) },
		func() error { return durable.SyncFolder(filepath.Dir(state(host.Paths))) },
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

// removeUnit stops a unit for good. The member's own could just be on its way
// up again; stopping it first excludes that.
func (h *Host) removeUnit(ctx context.Context, file, name string) error {
	there, err := exists(h.path(file))
	if err != nil || !there {
		return err
	}
	if err := h.systemctl(ctx, "disable", "--quiet", "--now", name); err != nil {
		return err
	}
	if _, err := durable.Remove(h.path(file)); err != nil {
		return err
	}
	if err := h.systemctl(ctx, "daemon-reload"); err != nil {
		return err
	}
	_ = h.systemctl(ctx, "reset-failed", name) // an error means that there is nothing to forget
	return nil
}

// removeData moves the data directory aside if it is to be kept; else it goes
// with the rest.
func (h *Host) removeData(host cluster.Host, keep bool) error {
	there, err := exists(host.Paths.Data)
	if err != nil || !there || !keep {
		return err
	}
	kept := h.path(node.KeptFolder)
	if err := os.MkdirAll(kept, 0o700); err != nil {
		return err
	}
	to := filepath.Join(kept, fmt.Sprintf("%s-%s", host.Name, host.Token))
	if err := os.Rename(host.Paths.Data, to); err != nil {
		return err
	}
	if err := own(to, User{}); err != nil { // the user goes; a later one may get its number
		return err
	}
	return durable.SyncFolder(kept)
}

// own gives a folder and all that is in it to a user; zero is root. Where this
// process is not root it leaves them as they are.
func own(dir string, u User) error {
	if os.Getuid() != 0 {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, u.UID, u.GID)
	})
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
// the data is to be kept: then it stays there.
func (h *Host) removeVolume(ctx context.Context, host cluster.Host, keep bool) error {
	mount, err := os.ReadFile(h.path(node.MountFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	device := mounted(mount)
	if err := h.removeUnit(ctx, node.MountFile, node.MountName); err != nil {
		return err
	}
	if err := os.Remove(host.Paths.Data); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // not empty: still mounted, or never was
	}
	if keep || device == "" {
		return nil
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
