package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pleiad-etcd/pleiad/internal/process"
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
}

// serverState says who serves.
type serverState struct {
	Version int           `json:"version"`
	Process process.Stamp `json:"process"`
	Address string        `json:"address"`
	Port53  bool          `json:"port53"`
}

// readSettings returns [fs.ErrNotExist] only if there is no folder at all.
func readSettings(dir string) (settings, error) {
	var s settings
	if _, err := os.Stat(dir); err != nil {
		return s, err
	}
	if err := readJSON(filepath.Join(dir, settingsFile), &s); err != nil {
		return s, damaged(err)
	}
	if s.Version != fileVersion {
		return s, fmt.Errorf("%s has version %d, this pleiad reads version %d", filepath.Join(dir, settingsFile), s.Version, fileVersion)
	}
	return s, nil
}

// readState is what the running server wrote; false if none runs.
func readState(dir string) (serverState, bool, error) {
	var s serverState
	err := readJSON(filepath.Join(dir, stateFile), &s)
	if errors.Is(err, fs.ErrNotExist) {
		return s, false, nil
	}
	if err != nil {
		return s, false, err
	}
	if s.Version != fileVersion {
		return s, false, fmt.Errorf("%s has version %d, this pleiad reads version %d", filepath.Join(dir, stateFile), s.Version, fileVersion)
	}
	return s, s.Process.Alive(), nil
}

// damaged hides that a file does not exist: in a folder that appears whole or
// not at all this is damage, and nobody may take it for a fresh start.
func damaged(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the folder is damaged: %v", err)
	}
	return err
}

func readJSON(path string, v any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

func writeJSON(path string, v any, d durability) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return writeFile(path, append(text, '\n'), d)
}

// durability says what a written file must survive: the end of this process,
// or the end of the machine.
type durability bool

const (
	volatile durability = false
	durable  durability = true
)

// writeFile replaces a file as a whole: readers see the old content or the
// new, and a durable file is on disk, its name included, when writeFile
// returns nil. After an error that is [errNotDurable] the file is the new one.
func writeFile(path string, content []byte, d durability) error {
	beside := path + ".new"
	if err := writeBeside(beside, content, d); err != nil {
		return errors.Join(err, removeIfThere(beside))
	}
	if err := os.Rename(beside, path); err != nil {
		return errors.Join(err, removeIfThere(beside))
	}
	if d == durable {
		if err := syncFolder(filepath.Dir(path)); err != nil {
			return fmt.Errorf("%w: %w", errNotDurable, err)
		}
	}
	return nil
}

var errNotDurable = errors.New("written, but perhaps not yet on disk")

func writeBeside(path string, content []byte, d durability) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil && d == durable {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncFolder makes the names in a folder durable.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
