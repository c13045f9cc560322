package member

import (
	"path/filepath"

	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/system/durable"
)

// PutCredentials makes a configuration folder hold these keys and certificates,
// closed to all but their owner, and returns the paths of what it changed; uid and
// gid are -1 for whoever writes. The folders must exist.
//
// member.json is what says that a node was delivered, but says nothing of keys and
// certificates. So if those change, it is removed first, and the caller writes it
// last: a crash in between shows as a host to which nothing was delivered. A running
// member no longer needs it, and reads a new certificate at its next handshake. The
// files cannot change in one instant: a handshake just then may fail, and the peer
// tries again.
func PutCredentials(config string, creds node.Credentials, uid, gid int) (changed []string, err error) {
	if err := creds.Complete(); err != nil {
		return nil, err
	}
	var files []durable.File
	for _, f := range creds.Files() {
		files = append(files, durable.File{Path: filepath.Join(config, f.Name), Content: f.Content, Mode: 0o600, UID: uid, GID: gid})
	}
	if same, err := hold(files); err != nil || same {
		return nil, err
	}
	if _, err := durable.Remove(filepath.Join(config, node.FileName)); err != nil {
		return nil, err
	}
	for _, f := range files {
		wrote, err := durable.Replace(f)
		if wrote {
			changed = append(changed, f.Path)
		}
		if err != nil {
			return changed, err
		}
	}
	return changed, nil
}

func hold(files []durable.File) (bool, error) {
	for _, f := range files {
		if same, err := f.Holds(); err != nil || !same {
			return false, err
		}
	}
	return true, nil
}
