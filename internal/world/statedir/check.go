package statedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/system/shell"
)

// checkFolder says whether a folder is one that we can rely on: a real one,
// ours (uid), and writable by nobody else. [ErrNone] if it does not exist.
func checkFolder(dir string, uid int) error {
	info, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w", filepath.Base(dir), ErrNone)
	case err != nil:
		return unreadable(dir, err)
	case !info.IsDir():
		return &Error{Path: dir, Problem: fmt.Sprintf("want a folder, not a %s", kind(info)), Hint: "move it away, or use another --state-dir", Kind: ErrForeign}
	}
	if owner, known := ownerOf(info); known && owner != uid {
		return &Error{Path: dir, Problem: fmt.Sprintf("it belongs to user %d, not to you (%d)", owner, uid),
			Hint: "use pleiad as that user, or use another --state-dir", Kind: ErrForeign}
	}
	if permissions(info)&0o022 != 0 {
		return &Error{Path: dir, Problem: fmt.Sprintf("others can write to it (mode %04o)", info.Mode().Perm()),
			Hint: "if you trust what is in it: chmod 700 " + shell.Quote(dir), Kind: ErrForeign}
	}
	return nil
}

// checkAbandoned checks a folder without home.json. It may hold what an interrupted
// command left, and the folders of hosts and dns, where data can outlive a cluster.
// With anything else in it, it is not ours to use. Another command may be making or
// removing a home here: both are fine.
func checkAbandoned(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return unreadable(dir, err)
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case name == metaFile: // since we looked; sorted before what must not be there without it
			return nil
		case name == pkiFolder || name == specFile:
			return &Error{Path: filepath.Join(dir, metaFile), Problem: fmt.Sprintf("missing, but there is %s", name), Hint: rebuild, Run: "take-over", Kind: ErrDamaged}
		case !ours(name) && !slices.Contains(theirs(), name):
			return &Error{Path: dir, Problem: fmt.Sprintf("not the state of a cluster: it holds %s", name), Hint: "use another cluster name or --state-dir", Kind: ErrForeign}
		}
	}
	return nil
}

// theirs are the folders of providers in a home. Data that was kept there does not
// stand in the way of a new home.
func theirs() []string { return []string{"dns", "dns.damaged", "hosts", "kept", "ssh"} }

// ours says whether we made a file or folder of this name in a home.
func ours(name string) bool {
	name = strings.TrimSuffix(strings.TrimSuffix(name, fresh), gone)
	return slices.Contains([]string{metaFile, specFile, pkiFolder, lockFile, holderFile}, name)
}

// checkSecret refuses a key that others can read.
func checkSecret(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return unreadable(path, err)
	}
	if permissions(info)&0o077 != 0 {
		return &Error{Path: path, Problem: fmt.Sprintf("others can read the key (mode %04o)", info.Mode().Perm()),
			Hint: "if nobody has read it: chmod 600 " + shell.Quote(path), Kind: ErrDamaged}
	}
	return nil
}

// kind names what is there instead.
func kind(info fs.FileInfo) string {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return "symbolic link"
	case info.IsDir():
		return "folder"
	case info.Mode().IsRegular():
		return "file"
	}
	return "special file"
}
