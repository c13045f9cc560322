package member

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"reflect"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/system/durable"
	"github.com/pleiad-etcd/pleiad/internal/system/folder"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
	"github.com/pleiad-etcd/pleiad/internal/system/untrusted"
)

// Files in the configuration folder, beside node.FileName.
const (
	// StatusFile holds a [Status].
	StatusFile = "status.json"
	// LockFile is held by the member's process for its whole life.
	LockFile = "lock"
)

// StatusVersion is the version of the status file that we write and read.
const StatusVersion = 1

// Status is what a member's process reports of itself before and while etcd runs,
// stored as JSON in [StatusFile]. Only the holder of [LockFile] writes it, so a
// status whose process is alive and which names no exit is the holder's.
//
// etcd ends the process itself; no exit is written then, and a reader sees it
// from the stamp.
type Status struct {
	Version int           `json:"version"`
	Process process.Stamp `json:"process"`
	// Folder is the configuration folder whose lock the process holds. A status
	// in another folder was copied there; its process does not belong to that
	// folder.
	Folder folder.ID `json:"folder,omitempty"`
	// Since is when the process began.
	Since time.Time `json:"since"`
	// Flags is the digest of the flags it runs with (node.Node.Flags), and Program
	// what it runs, with the etcd that it is about to run or to become.
	Flags   string          `json:"flags,omitempty"`
	Program cluster.Program `json:"program,omitzero"`
	// Args are those flags.
	Args []string `json:"args,omitempty"`
	// Gate is what the start gate waits for (rule R3), empty once it passed.
	Gate string `json:"gate,omitempty"`
	// Exit is why the process ended or refused to start.
	Exit string `json:"exit,omitempty"`
}

// DecodeStatus reads a status file. The error is for the caller to complete
// with the file's path.
func DecodeStatus(b []byte) (Status, error) {
	var s Status
	if err := json.Unmarshal(b, &s); err != nil {
		return Status{}, err
	}
	if s.Version != StatusVersion {
		return Status{}, fmt.Errorf("version %d, this pleiad reads version %d", s.Version, StatusVersion)
	}
	return s, nil
}

// encode is the status file.
func (s Status) encode() []byte { return encode(s) }

// encode is the one form of our files: JSON that people read too.
func encode(v any) []byte {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err)) // they hold nothing that JSON cannot
	}
	return append(b, '\n')
}

// ReadStatus is what the last process in a configuration folder said of itself;
// the zero value if none ever ran there. What the folder's lock says is not asked
// (see Running), but that the process holds the lock of this very folder is: a
// pid alone, in a copied file, would make the original's member ours.
func ReadStatus(configDir string) (Status, error) {
	path := filepath.Join(configDir, StatusFile)
	b, err := untrusted.Read(path, untrusted.Small)
	if errors.Is(err, fs.ErrNotExist) {
		return Status{}, nil
	}
	if err != nil {
		return Status{}, fmt.Errorf("read status: %w", err)
	}
	s, err := DecodeStatus(b)
	if err != nil {
		return Status{}, fmt.Errorf("read %s: %w", path, err)
	}
	if !s.Folder.Is(configDir) {
		s.Process, s.Gate, s.Exit = process.Stamp{}, "", copied
	}
	return s, nil
}

// copied is the exit of a process that never ran here.
const copied = "no member has run here: the folder is a copy"

// Running says whether the status is that of a living member. The lock need
// not be asked, and must not be: trying it would take it for a moment, and a
// member that starts in that moment would be told that it runs already.
func (s Status) Running() bool { return s.Exit == "" && s.Process.Alive() }

// journal keeps the status file up to date while the lock is held.
type journal struct {
	path   string
	status Status
}

// note changes the status and writes it durably.
func (j *journal) note(edit func(*Status)) error {
	before := j.status
	edit(&j.status)
	if reflect.DeepEqual(j.status, before) {
		return nil
	}
	if _, err := durable.Replace(durable.Private(j.path, j.status.encode())); err != nil {
		return fmt.Errorf("note status: %w", err)
	}
	return nil
}
