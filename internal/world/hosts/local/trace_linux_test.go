package local_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
)

// A member whose folder was removed while it ran is traced by its lock; one whose
// folder is there, was moved, or is another cluster's is not.
func TestTrace(t *testing.T) {
	root, p, h := launched(t)
	config := filepath.Join(root, "hosts", string(name), "config")
	if h.Paths.Config != config {
		t.Fatalf("its config is %s", h.Paths.Config)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(root, link); err != nil {
		t.Fatal(err)
	}
	l, err := process.Acquire(filepath.Join(config, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	if got, err := p.Trace(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("with its folder in place: %+v, %v", got, err)
	}
	// A file of that name that is no member's lock is none of ours.
	other, err := process.Acquire(filepath.Join(root, "hosts", string(name), "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Release()
	if err := os.RemoveAll(filepath.Dir(config)); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{root, link} {
		got, err := provider(t, from).Trace(t.Context())
		if err != nil || len(got) != 1 {
			t.Fatalf("from %s: %+v, %v, want one", from, got, err)
		}
		want := filepath.Join(root, "hosts", string(name), "config")
		if g := got[0]; g.Name != name || g.Paths.Config != want || g.Copy != "" || !g.Runs() || g.Node.Or(cluster.Node{}).Process.PID != os.Getpid() {
			t.Errorf("from %s: %+v", from, g)
		}
	}
	if got, err := provider(t, filepath.Join(filepath.Dir(root), "dev2")).Trace(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("from another state directory: %+v, %v", got, err)
	}
	if err := os.RemoveAll(filepath.Join(root, "hosts")); err != nil {
		t.Fatal(err)
	}
	if got, err := p.Trace(t.Context()); err != nil || len(got) != 1 {
		t.Errorf("without the folder of all hosts: %+v, %v, want one", got, err)
	}
}
