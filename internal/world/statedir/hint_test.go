package statedir

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// hintOf is what an error says against itself.
func hintOf(t *testing.T, err error) string {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Hint == "" {
		t.Fatalf("%v has no hint", err)
	}
	return e.Hint
}

// says looks for the words of a hint that are about to be done.
func says(t *testing.T, hint, words string) {
	t.Helper()
	if !strings.Contains(hint, words) {
		t.Fatalf("hint %q does not say %q", hint, words)
	}
}

// typed runs the command at the end of a hint.
func typed(t *testing.T, hint string) {
	t.Helper()
	_, command, ok := strings.Cut(hint, ": ")
	if !ok {
		t.Fatalf("hint %q has no command", hint)
	}
	if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// Every hint is done as it says; then the home can be used, with the CA that it
// had. See TestRemedies of package internal for what is left out.
func TestHints(t *testing.T) {
	aside := func(t *testing.T, path string) {
		t.Helper()
		if err := os.Rename(path, filepath.Join(t.TempDir(), "aside")); err != nil {
			t.Fatal(err)
		}
	}
	// A backup is what the home held before it was spoiled.
	restored := func(t *testing.T, h *Home, hint string, backup map[string]string) {
		t.Helper()
		says(t, hint, "restore it from a backup")
		for _, name := range []string{"home.json", "pki"} {
			if err := os.RemoveAll(h.path(name)); err != nil {
				t.Fatal(err)
			}
		}
		for name, content := range backup {
			write(t, h.path(name), content)
		}
	}
	command := func(t *testing.T, _ *Home, hint string, _ map[string]string) { typed(t, hint) }
	for _, c := range []struct {
		what  string
		spoil func(t *testing.T, h *Home)
		mend  func(t *testing.T, h *Home, hint string, backup map[string]string)
	}{
		{"others can write", func(t *testing.T, h *Home) { chmod(t, h.Dir(), 0o770) },
			command},
		{"others can write to pki", func(t *testing.T, h *Home) { chmod(t, h.path("pki"), 0o777) },
			command},
		{"others can read a key", func(t *testing.T, h *Home) { chmod(t, h.path("pki", "peer-ca.key"), 0o640) },
			command},
		{"renamed", func(t *testing.T, h *Home) {
			write(t, h.path("home.json"), strings.Replace(snapshot(t, h)["home.json"], `"dev"`, `"prod"`, 1))
		}, func(t *testing.T, h *Home, hint string, _ map[string]string) {
			says(t, hint, "give it back its name")
			if err := os.Rename(h.Dir(), filepath.Join(filepath.Dir(h.Dir()), "prod")); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(filepath.Dir(h.Dir()), "prod"); err != nil {
				t.Error(err)
			}
			if err := os.Rename(filepath.Join(filepath.Dir(h.Dir()), "prod"), h.Dir()); err != nil {
				t.Fatal(err)
			}
			write(t, h.path("home.json"), strings.Replace(snapshot(t, h)["home.json"], `"prod"`, `"dev"`, 1))
		}},
		{"half of home.json", func(t *testing.T, h *Home) { write(t, h.path("home.json"), snapshot(t, h)["home.json"][:20]) },
			restored},
		{"another home.json", func(t *testing.T, h *Home) { write(t, h.path("home.json"), "{}") },
			restored},
		{"home.json is gone", func(t *testing.T, h *Home) { remove(t, h.path("home.json")) },
			restored},
		{"home.json is a link", func(t *testing.T, h *Home) {
			if err := os.Rename(h.path("home.json"), h.path("..", "elsewhere")); err != nil {
				t.Fatal(err)
			}
			symlink(t, filepath.Join("..", "elsewhere"), h.path("home.json"))
		}, restored},
		{"a key is gone", func(t *testing.T, h *Home) { remove(t, h.path("pki", "client-ca.key")) },
			restored},
		{"half a key", func(t *testing.T, h *Home) {
			write(t, h.path("pki", "client-ca.key"), snapshot(t, h)["pki/client-ca.key"][:100])
		}, restored},
		{"pki is a link", func(t *testing.T, h *Home) {
			if err := os.Rename(h.path("pki"), h.path("..", "elsewhere")); err != nil {
				t.Fatal(err)
			}
			symlink(t, filepath.Join("..", "elsewhere"), h.path("pki"))
		}, func(t *testing.T, h *Home, hint string, _ map[string]string) {
			says(t, hint, "put the folder itself there")
			remove(t, h.path("pki"))
			if err := os.Rename(h.path("..", "elsewhere"), h.path("pki")); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			h := newHome(t, filepath.Join(t.TempDir(), "my clusters"))
			if err := h.Create(t.Context(), owner, true); err != nil {
				t.Fatal(err)
			}
			before, err := h.Inspect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			backup := snapshot(t, h)
			use := func() error {
				again, err := Open(filepath.Dir(h.Dir()), "dev")
				if err != nil {
					return err
				}
				after, err := again.Inspect(t.Context())
				if err == nil && after.Unusable != "" {
					_, err = again.mustCAs()
				}
				if err == nil && (after.CA != before.CA || after.Owner != before.Owner) {
					t.Errorf("owner and CA are %s and %s, want %s and %s", after.Owner, after.CA, before.Owner, before.CA)
				}
				return err
			}
			c.spoil(t, h)
			c.mend(t, h, hintOf(t, use()), backup)
			if err := use(); err != nil {
				t.Errorf("after what the hint says: %v", err)
			}
		})
	}
	for _, c := range []struct {
		what string
		lie  func(t *testing.T, dir string)
		mend func(t *testing.T, dir, hint string) (root string, name cluster.Name)
	}{
		{"a file", func(t *testing.T, dir string) { write(t, dir, "") }, func(t *testing.T, dir, hint string) (string, cluster.Name) {
			says(t, hint, "move it away")
			aside(t, dir)
			return filepath.Dir(dir), "dev"
		}},
		{"a link", func(t *testing.T, dir string) { symlink(t, "nowhere", dir) }, func(t *testing.T, _, hint string) (string, cluster.Name) {
			says(t, hint, "or use another --state-dir")
			return t.TempDir(), "dev"
		}},
		{"somebody's folder", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "thesis.tex"), "") }, func(t *testing.T, dir, hint string) (string, cluster.Name) {
			says(t, hint, "use another cluster name")
			return filepath.Dir(dir), "blue"
		}},
		{"a cluster on another domain", func(t *testing.T, dir string) {
			if _, err := Create(t.Context(), filepath.Dir(dir), "dev", seatOf("other.test")); err != nil {
				t.Fatal(err)
			}
		}, func(t *testing.T, dir, hint string) (string, cluster.Name) {
			says(t, hint, "use another cluster name")
			return filepath.Dir(dir), "blue"
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "root", "dev")
			if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
				t.Fatal(err)
			}
			c.lie(t, dir)
			_, err := Create(t.Context(), filepath.Dir(dir), "dev", seatOf("dev.test"))
			root, name := c.mend(t, dir, hintOf(t, err))
			if _, err := Create(t.Context(), root, name, seatOf("dev.test")); err != nil {
				t.Errorf("after what the hint says: %v", err)
			}
		})
	}
}
