package statedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
)

// The kinds of error a caller acts on.
var (
	// ErrNone: the cluster has no home here.
	ErrNone = errors.New("nothing is stored about it here")
	// ErrForeign: the folder is somebody else's, or another cluster's.
	ErrForeign = errors.New("belongs to somebody else")
	// ErrNewer: a newer pleiad wrote it.
	ErrNewer = errors.New("written by a newer pleiad")
	// ErrDamaged: something is missing or was changed by hand.
	ErrDamaged = errors.New("damaged")
	// ErrCopy: it is a copy of a home, which can only be read.
	ErrCopy = errors.New("a copy")
	// ErrUnwritable: the folder cannot be written.
	ErrUnwritable = errors.New("not writable")
)

const (
	restore   = "restore it from a backup; pleiad does not replace what it cannot read"
	rebuild   = "restore it from a backup; without one, recreate it from the rest"
	elsewhere = "keep state elsewhere with --state-dir, or make this folder writable for you"
)

// Error is a home that cannot be used.
type Error struct {
	Path    string // which file or folder
	Problem string // what is wrong with it
	Hint    string // what a person can do
	Run     string // the arguments of the pleiad that does it; see Advice
	Kind    error  // one of the kinds above, or nil
}

// Error implements error, without the hint.
func (e *Error) Error() string { return e.Path + ": " + e.Problem }

// Unwrap gives the kind.
func (e *Error) Unwrap() error { return e.Kind }

// Advice is the hint, with its command written by command: only whoever was
// called knows the flags that name this cluster.
func (e *Error) Advice(command func(arguments string) string) string {
	if e.Run == "" {
		return e.Hint
	}
	return e.Hint + ": " + command(e.Run)
}

// cause is an error of package os without the path, which we say ourselves.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	var l *os.LinkError
	if errors.As(err, &l) {
		return l.Err
	}
	return err
}

func unwritable(path string, err error) error {
	return &Error{Path: path, Problem: fmt.Sprintf("cannot be written: %v", cause(err)), Hint: elsewhere, Kind: ErrUnwritable}
}

func unreadable(path string, err error) error {
	return &Error{Path: path, Problem: fmt.Sprintf("cannot be read: %v", cause(err)), Hint: "use pleiad as the user who made the cluster, or name its state with --state-dir"}
}

// HeldError says that another command works on the cluster, and which.
type HeldError struct {
	Cluster cluster.Name
	Holder  Holder
}

// Error implements error.
func (e *HeldError) Error() string {
	return fmt.Sprintf("cluster %s: %s is at work on it", e.Cluster, e.Holder)
}

// Unwrap gives process.ErrHeld.
func (e *HeldError) Unwrap() error { return process.ErrHeld }

// Holder is the command that holds a lock; the zero Holder if it is not known.
type Holder struct {
	process.Stamp
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
	Host    string    `json:"host"`
}

// String names the holder for people.
func (h Holder) String() string {
	if h.PID == 0 {
		return "another pleiad"
	}
	return fmt.Sprintf("%s (process %d on %s, since %s)", h.Command, h.PID, h.Host, h.Since.Local().Format(time.DateTime))
}
