package statedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pleiad-etcd/pleiad/internal/system/folder"
)

// mark is the part of home.json that says which folder it was written in. What
// is stored in a home was said of that folder: the members whose paths begin
// with it, the processes that hold locks in it, the right to change the cluster.
// In a copy of it none of that is true.
type mark struct {
	// Path is the one spelling of the folder's path that is used, whatever link,
	// mount or HOME it is reached by: paths in nodes follow from it, and another
	// spelling would be another node.
	Path string `json:"path"`
	// Folder is what makes it that folder; see package folder.
	Folder folder.ID `json:"folder,omitempty"`
	// Machine is the name of the machine, for people.
	Machine string `json:"machine"`
}

// markOf is the mark of a folder that is there.
func markOf(dir string) (mark, error) {
	id, err := folder.Of(dir)
	if err != nil {
		return mark{}, unreadable(dir, err)
	}
	return mark{Path: dir, Folder: id, Machine: here()}, nil
}

// recognise finds out whether the folder is the one that was marked, by its
// path or by another (then dir becomes the marked path), that one after it was
// moved, or a copy.
//
//	mark's ID   mark's path leads to   this folder is
//	same        it                     the home
//	same        another with that ID   a copy: a snapshot of its file system
//	same        anything else          the home, moved
//	another     anything               a copy
//
// Where a file system has no IDs, "same" is unknown: a folder is then a copy only
// if the one that the mark names is there and says that it is the home.
func (h *Home) recognise(m mark) {
	h.mark = m
	switch {
	case !m.Folder.Is(h.dir):
		h.copyOf = m.Path
	case m.Path == h.dir:
	case sameFolder(m.Path, h.dir):
		h.dir = m.Path
	default:
		id, err := folder.Of(m.Path)
		if err == nil && (id != "" && id == m.Folder || (id == "" || m.Folder == "") && h.marked(m.Path)) {
			h.copyOf = m.Path
		}
	}
}

// marked says whether the home at a path says of itself that it is there.
func (h *Home) marked(path string) bool {
	there := &Home{dir: path, cluster: h.cluster}
	m, err := there.meta()
	return err == nil && m.Path == path
}

func sameFolder(a, b string) bool {
	first, err1 := os.Stat(a)
	second, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(first, second)
}

// Copied says of which folder this home is a copy; "" if it is none.
func (h *Home) Copied() string { return h.copyOf }

// Copy says for people what this home is a copy of; "" if it is none.
func (h *Home) Copy() string {
	switch {
	case h.copyOf == "":
		return ""
	case h.copyOf == h.dir:
		return fmt.Sprintf("the state directory %s was copied or restored from a backup: the original folder at this path is gone", h.dir)
	case h.mark.Machine == here():
		return fmt.Sprintf("the state directory %s is a copy of %s", h.dir, h.copyOf)
	}
	return fmt.Sprintf("the state directory %s is a copy of %s on %s", h.dir, h.copyOf, h.mark.Machine)
}

// here is the name of this machine, for people.
func here() string {
	name, err := os.Hostname()
	if err != nil {
		return "this machine"
	}
	return name
}

// checkOriginal is the error of a writing act in a copy.
func (h *Home) checkOriginal() error {
	if h.copyOf == "" {
		return nil
	}
	return &Error{Path: h.dir, Problem: h.Copy(), Hint: "use the original, or make this one take its place", Run: "take-over", Kind: ErrCopy}
}

// Settle writes down which folder the home is, where that is no longer true
// because the folder was moved. It is for whoever holds the lock, and refuses a
// copy.
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
	now, err := markOf(h.dir)
	if err != nil {
		return err
	}
	if m.mark == now {
		return nil
	}
	return h.remark(m, now)
}

func (h *Home) remark(m meta, now mark) error {
	m.mark = now
	if err := h.setMeta(m); err != nil {
		return err
	}
	h.mark, h.copyOf = now, ""
	return nil
}

// maxCopies bounds how far copies of copies are followed.
const maxCopies = 100

// Original is the home that must become the copy if this one takes over; nil if
// there is none here. It is the one that acts for the cluster: what this one is a
// copy of may itself have become a copy since. If none acts, because a home is
// gone or a take-over was cut off, it is the last that leads there, so that of
// two copies that take over one after the other the first becomes a copy again.
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

// TakeOver makes a copy the home: it and no other acts for the cluster from now
// on. The original, if it is there, becomes the copy; it is re-marked first, so
// that a crash in between leaves two copies and never two homes. The caller
// holds the locks of both.
func (h *Home) TakeOver(original *Home) error {
	h.write.Lock()
	defer h.write.Unlock()
	now, err := markOf(h.dir)
	if err != nil {
		return err
	}
	if original != nil {
		m, err := original.meta()
		if err == nil {
			m.mark = now
			if m.Folder == "" { // else the original could not be told from a home that was moved
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
	return h.remark(m, now)
}
