//go:build unix

package statedir

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/pki"
)

// A home is the same by whatever path it is reached, and after a rename; a copy
// of it is none, and nothing is written in it.
func TestCopies(t *testing.T) {
	root := t.TempDir()
	h := newHome(t, filepath.Join(root, "a"))
	if err := h.Create(t.Context(), owner, false); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(root, "a"), filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	if linked, err := Open(filepath.Join(root, "link"), "dev"); err != nil || linked.Dir() != h.Dir() || linked.Copied() != "" {
		t.Errorf("through a link: %+v, %v, want %s", linked, err, h.Dir())
	}
	if err := os.CopyFS(filepath.Join(root, "b"), os.DirFS(filepath.Join(root, "a"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(root, "b", "dev"), 0o700); err != nil {
		t.Fatal(err)
	}
	copied, err := Open(filepath.Join(root, "b"), "dev")
	if err != nil || copied.Copied() != h.Dir() {
		t.Fatalf("a copy: %q, %v, want that it is one of %s", copied.Copied(), err, h.Dir())
	}
	if c, err := copied.Inspect(t.Context()); err != nil || c.Copy == "" {
		t.Errorf("Inspect of a copy: %+v, %v", c, err)
	}
	_, issued := copied.IssueClient(t.Context(), pki.Application{Name: "patroni"}, time.Hour, nil)
	for act, err := range map[string]error{"IssueClient": issued, "Forget": copied.Forget(t.Context()), "SaveSpec": copied.SaveSpec(nil), "Settle": copied.Settle()} {
		if !errors.Is(err, ErrCopy) {
			t.Errorf("%s in a copy: %v, want ErrCopy", act, err)
		}
	}
	there, err := copied.Original()
	if err != nil || there == nil {
		t.Fatalf("Original: %v, %v", there, err)
	}
	if err := copied.TakeOver(there); err != nil {
		t.Fatal(err)
	}
	if was, err := Open(filepath.Join(root, "a"), "dev"); err != nil || was.Copied() != copied.Dir() {
		t.Errorf("after a take-over the original is a copy of %q, %v", was.Copied(), err)
	}
	if err := os.Rename(filepath.Join(root, "b"), filepath.Join(root, "c")); err != nil {
		t.Fatal(err)
	}
	moved, err := Open(filepath.Join(root, "c"), "dev")
	if err != nil || moved.Copied() != "" {
		t.Fatalf("after a rename: a copy of %q, %v", moved.Copied(), err)
	}
	if err := moved.Settle(); err != nil {
		t.Error(err)
	}
}

// On a file system without IDs a copy is told only by the home that it names, and
// a home is never taken for a copy of what it was made from.
func TestCopiesWithoutID(t *testing.T) {
	root := t.TempDir()
	h := newHome(t, filepath.Join(root, "a"))
	if err := h.Create(t.Context(), owner, false); err != nil {
		t.Fatal(err)
	}
	m, err := h.meta()
	if err != nil {
		t.Fatal(err)
	}
	m.Folder = ""
	if err := h.setMeta(m); err != nil {
		t.Fatal(err)
	}
	copyHome(t, root, "a", "b")
	if copied := openHome(t, root, "b"); copied.Copied() != h.Dir() {
		t.Errorf("beside its original, a copy is one of %q", copied.Copied())
	}
	if made := openHome(t, root, "a"); made.Copied() != "" {
		t.Errorf("the original is a copy of %q", made.Copied())
	}
	if err := os.RemoveAll(filepath.Join(root, "a")); err != nil {
		t.Fatal(err)
	}
	if moved := openHome(t, root, "b"); moved.Copied() != "" {
		t.Errorf("without another home it is a copy of %q", moved.Copied())
	}
	copyHome(t, root, "b", "c")
	taken := openHome(t, root, "c")
	if err := taken.TakeOver(openHome(t, root, "b")); err != nil {
		t.Fatal(err)
	}
	if was := openHome(t, root, "b"); was.Copied() != taken.Dir() {
		t.Errorf("after a take-over the original is a copy of %q", was.Copied())
	}
}

func copyHome(t *testing.T, root, from, to string) {
	t.Helper()
	if err := os.CopyFS(filepath.Join(root, to), os.DirFS(filepath.Join(root, from))); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(root, to, "dev"), 0o700); err != nil {
		t.Fatal(err)
	}
}

func openHome(t *testing.T, root, at string) *Home {
	t.Helper()
	h, err := Open(filepath.Join(root, at), "dev")
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// However often copies take over from each other, one home acts at most.
func TestTakeOverLeavesOneHome(t *testing.T) {
	for name, order := range map[string][]string{
		"one after the other":     {"b", "c"},
		"the first again":         {"b", "a", "c"},
		"a copy of a copy":        {"b", "c", "b", "a"},
		"after a cut-off, itself": {"b", "cut c", "c", "b", "a"},
		"after a cut-off, others": {"b", "cut c", "a", "b", "c"},
		"after a home is gone":    {"b", "rm b", "c", "a"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			h := newHome(t, filepath.Join(root, "a"))
			if err := h.Create(t.Context(), owner, false); err != nil {
				t.Fatal(err)
			}
			copyHome(t, root, "a", "b")
			copyHome(t, root, "a", "c")
			there := []string{"a", "b", "c"}
			for _, act := range order {
				what, at, cut := strings.Cut(act, " ")
				switch {
				case what == "rm":
					there = []string{"a", "c"}
					if err := os.RemoveAll(filepath.Join(root, at)); err != nil {
						t.Fatal(err)
					}
					continue
				case !cut:
					at = what
				}
				taken := openHome(t, root, at)
				original, err := taken.Original()
				if err != nil || original == nil {
					t.Fatalf("%s: Original = %v, %v", act, original, err)
				}
				before, err := taken.meta()
				if err == nil {
					err = taken.TakeOver(original)
				}
				if err == nil && cut {
					err = taken.setMeta(before)
				}
				if err != nil {
					t.Fatal(err)
				}
				var acting []string
				for _, one := range there {
					if openHome(t, root, one).Copied() == "" {
						acting = append(acting, one)
					}
				}
				if !cut && !slices.Equal(acting, []string{at}) || cut && len(acting) > 0 {
					t.Fatalf("after %s these act: %v", act, acting)
				}
			}
		})
	}
}
