package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/system/durable"
	"github.com/pleiad-etcd/pleiad/internal/system/folder"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
	"github.com/pleiad-etcd/pleiad/internal/system/shell"
	"github.com/pleiad-etcd/pleiad/internal/system/untrusted"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/tsig"
)

// Names in the server's folder; see the package comment.
const (
	settingsFile = "settings.json"
	keyFile      = "tsig.key"
	zoneFile     = "zone"
	stateFile    = "server.json"
	lockFile     = "lock"
	logFile      = "log"
)

// fileVersion is the version of settings.json and server.json.
const fileVersion = 1

// settings are what is chosen once, when the folder is made.
type settings struct {
	Version int    `json:"version"`
	Zone    string `json:"zone"`    // lower case, with trailing dot
	Address string `json:"address"` // host:port
	// Folder is the folder that was made. Another one with these settings is a
	// copy: its records may be old, and the server of the original not ours.
	Folder folder.ID `json:"folder,omitempty"`
}

// serverState says who serves.
type serverState struct {
	Version int           `json:"version"`
	Process process.Stamp `json:"process"`
	Address string        `json:"address"`
	Port53  bool          `json:"port53"`
	// Folder is the one whose lock the server holds, and Dir its path then. In
	// another folder this file is a copy; under another path the folder was
	// moved, and the server stores its zone where the folder was.
	Folder folder.ID `json:"folder,omitempty"`
	Dir    string    `json:"dir,omitempty"`
}

// serves says whether a server that runs serves from this path.
func (s serverState) serves(dir string) bool { return s.Dir == "" || s.Dir == dir }

// readSettings returns [fs.ErrNotExist] only if there is no folder at all.
func readSettings(dir string) (settings, error) {
	var s settings
	if _, err := os.Stat(dir); err != nil {
		return s, err
	}
	if err := readJSON(filepath.Join(dir, settingsFile), &s); err != nil {
		return s, damaged(dir, err)
	}
	if s.Version != fileVersion {
		return s, fmt.Errorf("%s has version %d, this pleiad reads version %d", filepath.Join(dir, settingsFile), s.Version, fileVersion)
	}
	return s, nil
}

// readState is what the running server wrote; false if none holds the lock of
// this folder. A file that cannot be understood says as little as none.
func readState(dir string) (serverState, bool, error) {
	var s serverState
	err := readJSON(filepath.Join(dir, stateFile), &s)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotJSON) {
		return serverState{}, false, nil
	}
	if err != nil {
		return s, false, err
	}
	if s.Version != fileVersion {
		return s, false, fmt.Errorf("%s has version %d, this pleiad reads version %d", filepath.Join(dir, stateFile), s.Version, fileVersion)
	}
	return s, s.Folder.Is(dir) && s.Process.Alive(), nil
}

// damaged is the error of a file that is missing or cannot be understood. It
// hides that one does not exist: in a folder that appears whole or not at all
// this is damage, and nobody may take it for a fresh start. A folder that is
// moved away is gone: the hosts then say which cluster there is. A file that the
// system does not let us read may be whole, and its folder is to stay.
func damaged(dir string, err error) error {
	var denied syscall.Errno
	if errors.As(err, &denied) && denied != syscall.ENOENT {
		return err
	}
	return fault.WithRemedy(fmt.Errorf("%w: %v", dns.ErrDamaged, err),
		"undo what was changed there by hand, or put the file back from a backup",
		fmt.Sprintf("if that cannot be done, go on without it: mv %s %s; the hosts still say which cluster this is", shell.Quote(dir), shell.Quote(dir+".damaged")),
	)
}

// readKey is the key in a folder. Unlike one that a person gives us it is a file
// of ours, and comes through no pipe.
func readKey(dir string) (tsig.Key, error) {
	path := filepath.Join(dir, keyFile)
	text, err := untrusted.Read(path, untrusted.Small)
	if err != nil {
		return tsig.Key{}, fmt.Errorf("read TSIG key: %w", err)
	}
	key, err := tsig.Parse(text)
	if err != nil {
		return tsig.Key{}, fmt.Errorf("read TSIG key %s: %w", path, err)
	}
	return key, nil
}

var errNotJSON = errors.New("not readable as JSON")

func readJSON(path string, v any) error {
	text, err := untrusted.Read(path, untrusted.Small)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("read %s: %w: %v", path, errNotJSON, err)
	}
	return nil
}

func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return writeFile(path, append(text, '\n'))
}

func writeFile(path string, content []byte) error {
	_, err := durable.Replace(durable.Private(path, content))
	return err
}
