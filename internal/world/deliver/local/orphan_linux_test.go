package local_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver/delivertest/fakemember"
	hostslocal "github.com/pleiad-etcd/pleiad/internal/world/hosts/local"
)

// A member whose folder was removed is found by its provider, and ended as what
// was found; nobody else is.
func TestStopOfAnOrphan(t *testing.T) {
	t.Parallel()
	d, h := stage(t, fakemember.Behaviour{})
	if err := d.Start(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	running := status(t, h).Process
	t.Cleanup(func() { // what stage does at its end needs the folder
		if err := running.Stop(t.Context(), 0); err != nil {
			t.Error(err)
		}
	})
	root := filepath.Dir(filepath.Dir(filepath.Dir(h.Paths.Config)))
	if err := os.RemoveAll(filepath.Dir(h.Paths.Config)); err != nil {
		t.Fatal(err)
	}
	p, err := hostslocal.New(root, "dev")
	if err != nil {
		t.Fatal(err)
	}
	found, err := p.Trace(t.Context())
	if err != nil || len(found) != 1 || found[0].Name != h.Name {
		t.Fatalf("Trace: %+v, %v", found, err)
	}
	another := found[0]
	another.Node = cluster.Known(cluster.Node{Process: cluster.Process{Running: true, PID: os.Getpid()}})
	if err := d.Stop(t.Context(), another, time.Minute); err != nil || !running.Alive() {
		t.Errorf("Stop of another process: %v, alive %t", err, running.Alive())
	}
	if err := d.Stop(t.Context(), found[0], time.Minute); err != nil || running.Alive() {
		t.Errorf("Stop: %v, alive %t", err, running.Alive())
	}
	if found, err := p.Trace(t.Context()); err != nil || len(found) != 0 {
		t.Errorf("after it: %+v, %v", found, err)
	}
}
