package agent

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/pleiad-etcd/pleiad/internal/durable"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// hosts writes the hosts file that the member sees. It is written in place where
// there is one: a member that runs has that very file mounted, and would not see
// another one of the same name. Cut short, it differs from what was delivered,
// and the next delivery completes it.
func (i *installing) hosts(context.Context) error {
	f := i.hostsFile(i.node)
	same, err := f.Holds()
	if err != nil || same {
		return err
	}
	info, err := os.Lstat(f.Path)
	switch {
	case err == nil && info.Mode().IsRegular():
		err = overwrite(f.Path, f.Content)
		if err == nil {
			err = os.Chmod(f.Path, f.Mode)
		}
	case err == nil || errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
			return err
		}
		_, err = durable.Replace(f)
	}
	i.note(err == nil, node.HostsFile)
	return err
}

// hostsFile is what the member of a node sees as its hosts file.
func (h *Host) hostsFile(n node.Node) durable.File {
	return durable.File{Path: h.path(node.HostsFile), Content: n.Hosts(), Mode: 0o644, UID: -1, GID: -1}
}

// unpinHosts takes the block of an earlier version out of the machine's hosts
// file, whose owner and mode stay as they are. The member that was started by
// that version needs it for as long as it runs.
func (h *Host) unpinHosts() error {
	path := h.path(node.SystemHosts)
	// A link leads somewhere that may have its own keeper; write where it leads.
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	have, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	want := node.UnpinHosts(have)
	if bytes.Equal(have, want) {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	_, err = durable.Replace(durable.File{Path: path, Content: want, Mode: info.Mode(), UID: -1, GID: -1})
	if errors.Is(err, syscall.EBUSY) { // it is a mount point, as in a container, and cannot be replaced
		return overwrite(path, want)
	}
	return err
}

// overwrite changes a file in place. A power cut may leave it half written.
func overwrite(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Truncate(int64(len(content)))
	}
	return errors.Join(err, f.Sync(), f.Close())
}
