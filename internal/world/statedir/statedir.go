// Package statedir keeps the state directory of one cluster on the control side.
// It is where every command starts: it says which clusters are known here,
// allows one command at a time on each ([Home.Lock]), and is the authority
// of the cluster (package authority): who we are to it, and its CAs.
//
// [Root] says where the homes are, [Open] finds one, [Create] makes one.
//
//	ROOT/CLUSTER/           0700, ours alone
//	  home.json             which cluster this is, its owner, where it lives, and
//	                        which folder this is
//	  spec.yaml             the spec that was used last
//	  pki/                  peer-ca, client-ca, operator: .crt and .key, 0600
//	  lock, lock.json       held while a command works; who that is
//	  dns/, hosts/          belong to the providers that keep things here
//
// Nothing in it describes the state of the cluster. Every file is written
// beside its place, synced and renamed, so that a full disk or a power cut
// leaves the old file or the new one; pki/ as a whole appears and goes in one
// rename, so that there is never half a CA. Temporary files and folders
// end in ".new" or ".gone" and are removed by the next writer.
//
// A home knows which folder it is. In a copy of it, nothing is written, and
// nothing in it is taken to be true of the copy (location.go).
//
// A home that others can write to, or that is a symbolic link to somewhere else,
// is refused: what is read from it decides what is signed and deleted.
package statedir

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// Names in a home.
const (
	metaFile   = "home.json"
	specFile   = "spec.yaml"
	pkiFolder  = "pki"
	lockFile   = "lock"
	holderFile = "lock.json"
	fresh      = ".new"  // ending of what is being written
	gone       = ".gone" // ending of what is being removed
)

// poll is how often a lock that somebody else holds is tried again.
const poll = 20 * time.Millisecond

// Home is the state directory of one cluster. Its methods are safe for
// concurrent use; those that write are for whoever holds the lock.
type Home struct {
	dir     string
	cluster cluster.Name
	owner   cluster.Owner // when it was opened
	seat    Seat
	// location is the folder that home.json names; copyOf is that folder if this
	// one is a copy of it.
	location location
	copyOf   string

	disk   disk
	now    func() time.Time
	random io.Reader

	write sync.Mutex // one writer at a time in this process
}

// Root is the folder that holds the homes: flag if given, else pleiad's place
// in the state folder of the XDG Base Directory Specification, which is to be
// ignored if relative, else in ~/.local/state.
func Root(flag string, env func(string) string) (string, error) {
	if flag != "" {
		abs, err := filepath.Abs(flag)
		if err != nil {
			return "", fmt.Errorf("state directory %s: %w", flag, err)
		}
		return abs, nil
	}
	if xdg := env("XDG_STATE_HOME"); filepath.IsAbs(xdg) {
		return filepath.Join(xdg, "pleiad"), nil
	}
	for _, name := range []string{"HOME", "USERPROFILE"} {
		if user := env(name); filepath.IsAbs(user) {
			return filepath.Join(user, ".local", "state", "pleiad"), nil
		}
	}
	return "", &Error{Path: "state directory", Problem: "neither XDG_STATE_HOME nor HOME is set", Hint: "say where with --state-dir"}
}

// List names the clusters that have a home here, sorted; none if root does not
// exist. It does not look into the homes.
func List(root string) ([]cluster.Name, error) {
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list clusters: %w", err)
	}
	var names []cluster.Name
	for _, e := range entries {
		if _, err := os.Lstat(filepath.Join(root, e.Name(), metaFile)); err == nil && label.MatchString(e.Name()) {
			names = append(names, cluster.Name(e.Name()))
		}
	}
	slices.Sort(names)
	return names, nil
}

// Open finds the home of a cluster and makes nothing. The error is [ErrNone]
// if there is none, and an [*Error] if there is something that cannot be used.
func Open(root string, name cluster.Name) (*Home, error) {
	h, err := homeAt(root, name)
	if err != nil {
		return nil, err
	}
	if err := checkFolder(h.dir, self()); err != nil {
		return nil, err
	}
	m, err := h.meta()
	if errors.Is(err, ErrNone) {
		if err := checkAbandoned(h.dir); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	h.owner, h.seat = m.Owner, m.Seat
	h.recognize(m.location)
	return h, nil
}

// Absent stands for a cluster that has no home, for commands that only look:
// nothing is stored in it and nothing can be.
func Absent(root string, name cluster.Name, domain string) (*Home, error) {
	h, err := homeAt(root, name)
	if err != nil {
		return nil, err
	}
	h.seat.Domain = domain
	return h, nil
}

// Dir is the folder of the home, absolute if root was.
func (h *Home) Dir() string { return h.dir }

// Cluster is the name of the cluster.
func (h *Home) Cluster() cluster.Name { return h.cluster }

// Seat is where the cluster lives that the home was made for.
func (h *Home) Seat() Seat { return h.seat }

// Claimed says that the home has an owner: a cluster was begun from it, and has
// not been destroyed.
func (h *Home) Claimed() bool { return h.owner != "" }

// Spec is the spec that was stored last, nil if none was.
func (h *Home) Spec() ([]byte, error) {
	b, err := readOwn(h.path(specFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// SaveSpec stores a spec.
func (h *Home) SaveSpec(spec []byte) error {
	h.write.Lock()
	defer h.write.Unlock()
	if err := h.checkOriginal(); err != nil {
		return err
	}
	if _, err := h.meta(); err != nil {
		return err
	}
	return replace(h.disk, h.path(specFile), spec)
}

// label is what a cluster name must be to become the name of a folder. Package
// spec has checked it where it came from a spec, but not everywhere.
var label = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// homeAt is the home of a cluster, whether it exists or not.
func homeAt(root string, name cluster.Name) (*Home, error) {
	if !label.MatchString(string(name)) {
		return nil, &Error{Path: fmt.Sprintf("cluster %q", name), Problem: "not a valid cluster name", Hint: "use lower-case letters, digits and hyphens, at most 63"}
	}
	// Links on the way are resolved once, here: paths of the home are stored in it.
	if real, err := filepath.EvalSymlinks(root); err == nil {
		root = real
	}
	return &Home{dir: filepath.Join(root, string(name)), cluster: name, disk: osDisk{}, now: time.Now, random: rand.Reader}, nil
}

func (h *Home) path(elem ...string) string {
	return filepath.Join(append([]string{h.dir}, elem...)...)
}
