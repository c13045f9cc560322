package statedir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

const owner cluster.Owner = "0f4b4dd2-8f5d-4f43-93c5-3f4ad6d9a1a1"

func seatOf(domain string) Seat {
	return Seat{Domain: domain, Hosts: "local", DNS: "embedded", Zone: domain}
}

// newHome makes the home of cluster dev on dev.test.
func newHome(t testing.TB, root string) *Home {
	t.Helper()
	h, err := Create(t.Context(), root, "dev", seatOf("dev.test"))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// tree lists a folder: every file and folder below it with its mode.
func tree(t testing.TB, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		out = append(out, info.Mode().String()+" "+rel)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRoot(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		flag string
		env  map[string]string
		want string
	}{
		{"/var/lib/pleiad", map[string]string{"XDG_STATE_HOME": "/xdg", "HOME": "/home/a"}, "/var/lib/pleiad"},
		{"state", nil, filepath.Join(here, "state")},
		{"", map[string]string{"XDG_STATE_HOME": "/xdg", "HOME": "/home/a"}, "/xdg/pleiad"},
		{"", map[string]string{"XDG_STATE_HOME": "relative", "HOME": "/home/a"}, "/home/a/.local/state/pleiad"},
		{"", map[string]string{"HOME": "/home/a"}, "/home/a/.local/state/pleiad"},
		{"", map[string]string{"HOME": "relative"}, ""},
		{"", nil, ""},
	} {
		have, err := Root(c.flag, func(name string) string { return c.env[name] })
		if have != c.want || (err == nil) != (c.want != "") {
			t.Errorf("Root(%q) with %v = %q, %v, want %q", c.flag, c.env, have, err, c.want)
		}
		var e *Error
		if err != nil && (!errors.As(err, &e) || !strings.Contains(e.Hint, "--state-dir")) {
			t.Errorf("Root(%q) with %v: %v carries no hint", c.flag, c.env, err)
		}
	}
}

func TestCreateAndOpen(t *testing.T) {
	root := filepath.Join(t.TempDir(), "a", "b")
	if _, err := Open(root, "dev"); !errors.Is(err, ErrNone) {
		t.Errorf("Open before Create: %v, want ErrNone", err)
	}
	if _, err := os.Stat(root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open made something: %v", err)
	}
	h := newHome(t, root)
	if err := h.Create(t.Context(), owner, true); err != nil {
		t.Fatal(err)
	}
	again := newHome(t, root) // opens it, and loses nothing
	if c, err := again.Inspect(t.Context()); err != nil || c.Owner != owner {
		t.Errorf("after a second Create: %+v, %v", c, err)
	}
	opened, err := Open(root, "dev")
	if err != nil {
		t.Fatal(err)
	}
	if opened.Dir() != filepath.Join(root, "dev") || opened.Cluster() != "dev" || opened.Seat().Domain != "dev.test" {
		t.Errorf("opened %s of cluster %s on %s", opened.Dir(), opened.Cluster(), opened.Seat().Domain)
	}
	want := []string{"drwx------ .", "-rw------- home.json", "-rw------- lock", "drwx------ pki",
		"-rw------- pki/client-ca.crt", "-rw------- pki/client-ca.key", "-rw------- pki/operator.crt", "-rw------- pki/operator.key",
		"-rw------- pki/peer-ca.crt", "-rw------- pki/peer-ca.key"}
	if d := cmp.Diff(want, tree(t, h.Dir())); d != "" {
		t.Errorf("files (-want +have):\n%s", d)
	}
}

// Two commands see no home; the one that comes second finds what the first has
// made, and claimed, by then.
func TestCreateIsSecond(t *testing.T) {
	root := t.TempDir()
	second, err := homeAt(root, "dev")
	if err != nil {
		t.Fatal(err)
	}
	first := newHome(t, root)
	if err := first.Create(t.Context(), owner, false); err != nil {
		t.Fatal(err)
	}
	if done, err := second.create(seatOf("dev.test")); done || err != nil {
		t.Errorf("create over a home: %v, %v", done, err)
	}
	if c, err := first.Inspect(t.Context()); err != nil || c.Owner != owner {
		t.Errorf("the owner is lost: %+v, %v", c, err)
	}
}

func TestCreateOnAnotherDomain(t *testing.T) {
	root := t.TempDir()
	newHome(t, root)
	_, err := Create(t.Context(), root, "dev", seatOf("other.test"))
	if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "dev.test, not other.test") {
		t.Errorf("Create on another domain: %v", err)
	}
}

func TestSpec(t *testing.T) {
	h := newHome(t, t.TempDir())
	if b, err := h.Spec(); b != nil || err != nil {
		t.Errorf("spec before one was stored: %q, %v", b, err)
	}
	for _, spec := range []string{"members: 3\n", "members: 1\n"} {
		if err := h.SaveSpec([]byte(spec)); err != nil {
			t.Fatal(err)
		}
		if b, err := h.Spec(); string(b) != spec || err != nil {
			t.Errorf("spec: %q, %v, want %q", b, err, spec)
		}
	}
}

func TestList(t *testing.T) {
	root := t.TempDir()
	if names, err := List(filepath.Join(root, "none")); names != nil || err != nil {
		t.Errorf("List without a root: %v, %v", names, err)
	}
	for _, name := range []cluster.Name{"staging", "dev"} {
		if _, err := Create(t.Context(), root, name, seatOf("dev.test")); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(root, "empty", "lock"), "")
	write(t, filepath.Join(root, "No-Name", "home.json"), "{}")
	write(t, filepath.Join(root, "file"), "")
	if names, err := List(root); !slices.Equal(names, []cluster.Name{"dev", "staging"}) || err != nil {
		t.Errorf("List: %v, %v", names, err)
	}
}

// An Absent home says that nothing is there, makes nothing and stores nothing.
func TestAbsent(t *testing.T) {
	root := t.TempDir()
	h, err := Absent(root, "dev", "dev.test")
	if err != nil {
		t.Fatal(err)
	}
	if c, err := h.Inspect(t.Context()); c != (cluster.Control{}) || err != nil {
		t.Errorf("Inspect: %+v, %v", c, err)
	}
	if err := h.Forget(t.Context()); err != nil {
		t.Errorf("Forget: %v", err)
	}
	_, locking := h.Lock("pleiad plan")
	_, issuing := h.Issue(t.Context(), "m", []string{"m.dev.test"})
	for what, err := range map[string]error{"Create": h.Create(t.Context(), owner, true), "SaveSpec": h.SaveSpec(nil),
		"RenewOperator": h.RenewOperator(t.Context()), "Lock": locking} {
		if !errors.Is(err, ErrNone) {
			t.Errorf("%s: %v, want ErrNone", what, err)
		}
	}
	if issuing == nil {
		t.Error("Issue succeeded")
	}
	if have := tree(t, root); len(have) != 1 {
		t.Errorf("something was made: %v", have)
	}
}

// What is not a home of ours is named and left alone.
func TestOpenRefuses(t *testing.T) {
	meta := `{"version": 1, "cluster": "dev", "domain": "dev.test", "hosts": "local", "dns": "embedded", "zone": "dev.test", "path": "/dev"}`
	for _, c := range []struct {
		what string
		make func(t *testing.T, dir string)
		kind error
		want string
	}{
		{"a file", func(t *testing.T, dir string) { write(t, dir, "") }, ErrForeign, "want a folder, not a file"},
		{"a link", func(t *testing.T, dir string) {
			newHome(t, filepath.Join(dir, "..", "elsewhere"))
			symlink(t, filepath.Join("elsewhere", "dev"), dir)
		}, ErrForeign, "want a folder, not a symbolic link"},
		{"home.json is a link", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "..", "elsewhere"), meta)
			write(t, filepath.Join(dir, "lock"), "")
			symlink(t, filepath.Join("..", "elsewhere"), filepath.Join(dir, "home.json"))
		}, ErrForeign, "home.json: want a file, not a symbolic link"},
		{"others can write", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "home.json"), meta)
			chmod(t, dir, 0o770)
		}, ErrForeign, "others can write to it (mode 0770)"},
		{"another cluster's", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "home.json"), strings.Replace(meta, `"dev"`, `"prod"`, 1))
		}, ErrForeign, "it belongs to cluster prod, not dev"},
		{"newer", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "home.json"), `{"version": 2, "cluster": ["dev"]}`)
		}, ErrNewer, "version 2, this pleiad reads version 1"},
		{"half a file", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "home.json"), meta[:20]) }, ErrDamaged, "not readable as JSON"},
		{"another file", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "home.json"), "{}") }, ErrDamaged, "version, cluster, hosts or path is missing"},
		{"home.json is gone", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "pki", "peer-ca.key"), "") }, ErrDamaged, "home.json: missing, but there is pki"},
		{"somebody's folder", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "thesis.tex"), "") }, ErrForeign, "not the state of a cluster: it holds thesis.tex"},
	} {
		t.Run(c.what, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "root")
			if err := os.Mkdir(root, 0o700); err != nil {
				t.Fatal(err)
			}
			c.make(t, filepath.Join(root, "dev"))
			before := tree(t, root)
			_, opening := Open(root, "dev")
			_, creating := Create(t.Context(), root, "dev", seatOf("dev.test"))
			for what, err := range map[string]error{"Open": opening, "Create": creating} {
				var e *Error
				if !errors.Is(err, c.kind) || !errors.As(err, &e) || e.Hint == "" || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s: have %v, want %q of kind %q with a hint", what, err, c.want, c.kind)
				}
			}
			if d := cmp.Diff(before, tree(t, root)); d != "" {
				t.Errorf("it was changed (-before +after):\n%s", d)
			}
		})
	}
}

func symlink(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestFolderOfAnotherUser(t *testing.T) {
	dir := t.TempDir()
	chmod(t, dir, 0o700)
	if err := checkFolder(dir, self()); err != nil {
		t.Errorf("our own folder: %v", err)
	}
	if err := checkFolder(dir, self()+1); !errors.Is(err, ErrForeign) {
		t.Errorf("a folder of another user: %v", err)
	}
}

func TestNamesThatAreNoFolders(t *testing.T) {
	for _, name := range []cluster.Name{"", ".", "..", "../dev", "a/b", "Dev", "-a", "a_b", cluster.Name(strings.Repeat("a", 64))} {
		_, opening := Open(t.TempDir(), name)
		_, creating := Create(t.Context(), t.TempDir(), name, seatOf("dev.test"))
		if opening == nil || errors.Is(opening, ErrNone) || creating == nil {
			t.Errorf("cluster %q: Open %v, Create %v", name, opening, creating)
		}
	}
}

func TestRootThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	_, err := Create(t.Context(), filepath.Join(file, "state"), "dev", seatOf("dev.test"))
	var e *Error
	if !errors.Is(err, ErrUnwritable) && !errors.As(err, &e) || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("Create below a file: %v", err)
	}
}

// A command that was cut short, or a cluster whose data was kept, leaves
// something that the next one can build on.
func TestCreateOverWhatMayBeLeft(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"lock", "lock.json", "home.json.new", "pki.new/peer-ca.key", "hosts/etcd-k3v9qd2m/kept", "dns/zone"} {
		write(t, filepath.Join(root, "dev", name), "x")
	}
	h := newHome(t, root)
	if err := h.Create(t.Context(), owner, true); err != nil {
		t.Fatal(err)
	}
	if have := strings.Join(tree(t, h.Dir()), "\n"); strings.Contains(have, ".new") || !strings.Contains(have, "kept") {
		t.Errorf("files:\n%s", have)
	}
}
