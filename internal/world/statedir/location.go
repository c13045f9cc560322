package statedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pleiad-etcd/pleiad/internal/system/folder"
)

// location is the part of home.json that says which folder it was written in.
// What is stored in a home holds for that folder alone: the members whose paths
// begin with it, the processes that hold locks in it, the right to change the
// cluster. None of that holds for a copy.
type location struct {
	// Path is the one spelling of the folder's path that is used, whatever link,
	// mount or HOME it is reached by: paths in nodes follow from it, and another
	// spelling would be another node.
	Path string `json:"path"`
	// Folder tells this folder from a copy; see package folder.
	Folder folder.ID `json:"folder,omitempty"`
	// Machine is the name of the machine, for people.
	Machine string `json:"machine"`
}

func locationOf(dir string) (location, error) {
	id, err := folder.Of(dir)
	if err != nil {
		return location{}, unreadable(dir, err)
	}
	return location{Path: dir, Folder: id, Machine: here()}, nil
}

// recognize compares the folder with the location that home.json gives: it is that
// folder, perhaps by another path (then dir becomes the stored path), or that
// folder after it was moved, or a copy.
//
//	stored ID      stored path leads to   this folder is
//	this folder's  this folder            the home
//	this folder's  another with that ID   a copy: a snapshot of its file system
//	this folder's  anything else          the home, moved
//	another        anything               a copy
//
// Where a file system has no IDs, they cannot be compared: a folder is then a copy
// only if the stored path leads to a folder that says that it is the home.
func (h *Home) recognize(l location) {
	h.location = l
	switch {
	case !l.Folder.Is(h.dir):
		h.copyOf = l.Path
	case l.Path == h.dir:
	case sameFolder(l.Path, h.dir):
		h.dir = l.Path
	default:
		id, err := folder.Of(l.Path)
		if err == nil && (id != "" && id == l.Folder || (id == "" || l.Folder == "") && h.livesAt(l.Path)) {
			h.copyOf = l.Path
		}
	}
}

// livesAt says whether the home.json at a path names that path.
func (h *Home) livesAt(path string) bool {
	there := &Home{dir: path, cluster: h.cluster}
	m, err := there.meta()
	return err == nil && m.Path == path
}

func sameFolder(a, b string) bool {
	first, err1 := os.Stat(a)
	second, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(first, second)
}

// Copied is the folder that this home is a copy of; empty if it is not a copy.
func (h *Home) Copied() string { return h.copyOf }

// Copy tells people what this home is a copy of; empty if it is not a copy.
func (h *Home) Copy() string {
	switch {
	case h.copyOf == "":
		return ""
	case h.copyOf == h.dir:
		return fmt.Sprintf("the state directory %s was copied or restored from a backup: the original folder at this path is gone", h.dir)
	case h.location.Machine == here():
		return fmt.Sprintf("the state directory %s is a copy of %s", h.dir, h.copyOf)
	}
	return fmt.Sprintf("the state directory %s is a copy of %s on %s", h.dir, h.copyOf, h.location.Machine)
}

// here is the name of this machine, for people.
func here() string {
	name, err := os.Hostname()
	if err != nil {
		return "this machine"
	}
	return name
}

// checkOriginal refuses to write in a copy.
func (h *Home) checkOriginal() error {
	if h.copyOf == "" {
		return nil
	}
	return &Error{Path: h.dir, Problem: h.Copy(), Hint: "use the original, or make this one take its place", Run: "take-over", Kind: ErrCopy}
}

// Settle updates the stored location after the folder was moved. The caller holds
// the lock. A copy is refused.
func (h *Home) Settle() error {
	h.write.Lock()
	defer h.write.Unlock()
	if err := h.checkOriginal(); err != nil {
		return err
	}
	m, err := h.meta()
	if err != nil {
		return err
	}
	now, err := locationOf(h.dir)
	if err != nil {
		return err
	}
	if m.location == now {
		return nil
	}
	return h.relocate(m, now)
}

func (h *Home) relocate(m meta, now location) error {
	m.location = now
	if err := h.setMeta(m); err != nil {
		return err
	}
	h.location, h.copyOf = now, ""
	return nil
}

// maxCopies bounds how far copies of copies are followed.
const maxCopies = 100

// Original is the home that must become the copy if this one takes over; nil if
// there is none here. It is the home that acts for the cluster: what this one was
// copied from may itself have become a copy since. If none acts, because a home is
// gone or a take-over was interrupted, it is the last one found on the way. So if
// two copies take over one after the other, the first becomes a copy again.
func (h *Home) Original() (*Home, error) {
	var last *Home
	seen := map[string]bool{h.dir: true}
	for at := h; at.copyOf != "" && !seen[at.copyOf] && filepath.Base(at.copyOf) == string(h.cluster); {
		if len(seen) > maxCopies {
			return nil, &Error{Path: h.dir, Problem: fmt.Sprintf("more than %d copies of copies", maxCopies), Hint: "remove the copies that are not needed", Kind: ErrCopy}
		}
		next, err := Open(filepath.Dir(at.copyOf), h.cluster)
		if errors.Is(err, ErrNone) || errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return nil, err
		}
		if next.owner != h.owner || seen[next.dir] {
			break
		}
		seen[at.copyOf], seen[next.dir] = true, true
		at, last = next, next
	}
	return last, nil
}

// TakeOver makes a copy the home: from now on it alone acts for the cluster. The
// original, if it is there, becomes the copy. It is written first, so that a crash
// in between leaves two copies and never two homes. The caller holds the locks of
// both.
func (h *Home) TakeOver(original *Home) error {
	h.write.Lock()
	defer h.write.Unlock()
	now, err := locationOf(h.dir)
	if err != nil {
		return err
	}
	if original != nil {
		m, err := original.meta()
		if err == nil {
			m.location = now
			if m.Folder == "" { // otherwise the original would look like a home that was moved
				m.Folder = "another"
			}
			err = original.setMeta(m)
		}
		if err != nil {
			return err
		}
	}
	m, err := h.meta()
	if err != nil {
		return err
	}
	return h.relocate(m, now)
}
