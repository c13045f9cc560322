package agent

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/system/durable"
)

// hosts writes the hosts file that the member sees. An existing file is written
// in place: a running member has that very file mounted, and would not see a new
// one of the same name. If the write is interrupted, the file differs from what
// was delivered, and the next delivery completes it.
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
