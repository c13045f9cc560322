//go:build linux

package systemd_test

import (
	"net/netip"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver/systemd"
)

// A machine is found by the way that its host says, not by where its member
// listens; and another host that is at the same address later is another machine.
func TestWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h := w.host("etcd-k3v9qd2")
	public := netip.MustParseAddr("192.0.2.81")
	var asked []cluster.Way
	d := systemd.New(func(way cluster.Way) systemd.Machine {
		asked = append(asked, way)
		return w.machine(h.Address)
	}, w.builds)
	t.Cleanup(func() { d.Close() })
	for _, way := range []cluster.Way{{}, {Vouched: "etcd-k3v9qd2"}, {Address: public, Vouched: "etcd-k3v9qd2"}, {Address: public, Vouched: "etcd-zzzzzzz"}} {
		h.Way = way
		if _, err := d.Inspect(t.Context(), h); err != nil {
			t.Fatal(err)
		}
	}
	want := []cluster.Way{{Address: h.Address}, {Address: h.Address, Vouched: "etcd-k3v9qd2"}, {Address: public, Vouched: "etcd-k3v9qd2"}, {Address: public, Vouched: "etcd-zzzzzzz"}}
	for i := range want {
		if i >= len(asked) || asked[i] != want[i] {
			t.Fatalf("asked for %+v, want %+v", asked, want)
		}
	}
}
