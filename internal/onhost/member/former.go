package member

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/system/durable"
	"github.com/pleiad-etcd/pleiad/internal/system/untrusted"
)

// FormerFile holds a [Former], in the configuration folder beside node.FileName. How
// the last start failed is beside it, in cluster.FailedFile.
const FormerFile = "former.json"

// Former is what a member started with before something else was delivered, stored
// as JSON in [FormerFile]. If the member no longer starts, it can go back to it. The
// rest of a node, such as the addresses of the peers, may have changed for good since,
// and is not part of it.
type Former struct {
	Args    []string      `json:"args"`
	Release *node.Release `json:"release,omitempty"`
	// Binary is the pleiad that started it; empty where that is not kept.
	Binary string `json:"binary,omitempty"`
}

// In is a node that starts as the former one did.
func (f Former) In(n node.Node) node.Node {
	n.Args, n.Release = f.Args, f.Release
	return n
}

// Aside is what must be kept before a node is delivered in the place of another, and a
// binary in the place of that which is a certain program: nil if the member would start
// as it does already, or did not come up as it is and does not run. Only a sealed
// cluster has something to go back to.
func Aside(configDir, binary string, is cluster.Program, n node.Node, next string) (*Former, error) {
	installed, err := Installed(configDir)
	if err != nil || installed == nil || !installed.Sealed || !n.Sealed || installed.Member != n.Member || installed.ID != n.ID {
		return nil, err
	}
	if installed.Flags() == n.Flags() && binary == next {
		return nil, nil
	}
	failed, err := ReadFailed(configDir)
	if err != nil {
		return nil, err
	}
	last, err := ReadStatus(configDir)
	if err != nil || failed != nil && failed.Same(cluster.Startup{Flags: installed.Flags(), Program: is}) && !last.Running() {
		return nil, err
	}
	return &Former{Args: installed.Args, Release: installed.Release, Binary: binary}, nil
}

// Write puts it into a configuration folder, for an owner.
func (f Former) Write(configDir string, uid, gid int) error {
	_, err := durable.Replace(durable.File{Path: filepath.Join(configDir, FormerFile), Content: encode(f), Mode: 0o600, UID: uid, GID: gid})
	return err
}

// ReadFormer is what can be gone back to, or nil.
func ReadFormer(configDir string) (*Former, error) { return readNote[Former](configDir, FormerFile) }

// ReadFailed is the last start that came to nothing, or nil.
func ReadFailed(configDir string) (*cluster.FailedStart, error) {
	return readNote[cluster.FailedStart](configDir, cluster.FailedFile)
}

// NoteStart notes how a start ended, with what the member was started with: why it
// came to nothing, or nil. What is known of other starts is kept.
func NoteStart(configDir string, with cluster.Startup, why error, uid, gid int) error {
	path := filepath.Join(configDir, cluster.FailedFile)
	if why == nil {
		known, err := ReadFailed(configDir)
		if err != nil || known == nil || !known.Same(with) {
			return err
		}
		_, err = durable.Remove(path)
		return err
	}
	note := cluster.FailedStart{Startup: with, Why: why.Error()}
	_, err := durable.Replace(durable.File{Path: path, Content: encode(note), Mode: 0o600, UID: uid, GID: gid})
	return err
}

func readNote[T any](configDir, name string) (*T, error) {
	path := filepath.Join(configDir, name)
	b, err := untrusted.Read(path, untrusted.Small)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	var note T
	if err := json.Unmarshal(b, &note); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return &note, nil
}
