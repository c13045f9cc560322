package systemd_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver/delivertest/fakemember"
)

// Earlier versions of pleiad kept the pins in the machine's hosts file. Their
// block goes when the member is started by this one, which needs it no more, and
// not before: the member that runs may still need it.
func TestBlockOfAnEarlierVersionGoes(t *testing.T) {
	t.Parallel()
	const (
		rest  = "127.0.0.1 localhost\n10.0.0.1 printer\n"
		block = "# BEGIN pleiad: addresses of etcd's peers, which start without DNS; do not edit\n10.5.1.81 etcd-a.dev.test\n# END pleiad\n"
	)
	w := newWorld(t)
	h := w.host("etcd-k3v9qd2")
	w.behave(h, fakemember.Behaviour{})
	m, d := w.machine(h.Address), w.deliverer()
	m.Write(t, node.SystemHosts, block+rest)
	want := func(when, text string) {
		t.Helper()
		if b, err := os.ReadFile(m.Path(node.SystemHosts)); err != nil || string(b) != text {
			t.Errorf("%s: hosts file %q, %v, want %q", when, b, err, text)
		}
	}
	if err := d.Install(t.Context(), h, rendered(h), nil); err != nil {
		t.Fatal(err)
	}
	want("delivered", block+rest)
	if err := d.Start(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	want("started", rest)

	// A member is started even where the block cannot be removed; that is said.
	m.Write(t, node.SystemHosts, block+rest)
	if err := errors.Join(d.Stop(t.Context(), h, 0), os.MkdirAll(m.Path(node.SystemHosts+".new/full"), 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context(), h); err == nil || !strings.Contains(err.Error(), node.SystemHosts) {
		t.Errorf("Start: %v, want the file that could not be written", err)
	}
	if n, err := d.Inspect(t.Context(), h); err != nil || !n.Process.Running {
		t.Errorf("the member does not run: %+v, %v", n.Process, err)
	}
}
