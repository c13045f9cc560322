package hosts

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/e2e/snapshot"
	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// From hosts that hold nothing to a cluster that any client finds, and back:
// each host is then as it was. And once more on the same hosts, but their data
// is to stay.
func TestFromBareHostsAndBack(t *testing.T) {
	w := newWorld(t, 3)
	before := w.snapshots()
	t.Logf("up took %s", w.must("up").took)
	w.must("health")
	w.wantUnits()
	w.wantFound()
	w.wantNothingToDo()
	w.wantRecords(true)
	w.must("destroy", "--yes")
	w.wantRecords(false)
	w.refuses(6, []string{"there is no such cluster"}, "status")
	for i, after := range w.snapshots() {
		if diff := snapshot.Diff(before[i], after); diff != "" {
			t.Errorf("%s is not as it was:\n%s", w.bed.Hosts[i].Name, diff)
		}
	}

	w.must("up")
	w.must("etcdctl", "--", "put", "kept", "for ever")
	w.must("destroy", "--yes", "--keep-data")
	for i, after := range w.snapshots() {
		if diff := snapshot.Diff(before[i], withoutKept(after)); diff != "" {
			t.Errorf("%s holds more than its data:\n%s", w.bed.Hosts[i].Name, diff)
		}
		w.wantKept(i)
	}
}

// snapshots are those of all hosts, in their order.
func (w *world) snapshots() []snapshot.Snapshot {
	w.Helper()
	begun := time.Now()
	out := make([]snapshot.Snapshot, len(w.bed.Hosts))
	w.each(w.bed.Hosts, func(h *bed.Host, ctx context.Context) (err error) {
		// What still starts would be found only afterwards.
		if _, err := h.Enter(ctx, "systemctl is-system-running --wait"); err != nil {
			return err
		}
		out[slices.Index(w.bed.Hosts, h)], err = snapshot.Take(ctx, h)
		return err
	})
	w.Logf("snapshots took %s", tenths(time.Since(begun)))
	return out
}

// wantUnits looks at the members as somebody who is logged in on a host.
func (w *world) wantUnits() {
	w.Helper()
	for _, h := range w.bed.Hosts {
		said := w.on(h, "systemctl status --no-pager --lines=0 "+node.UnitName)
		for _, want := range []string{"etcd member ", "of cluster " + name, "enabled;", "Active: active (running)", "Status: "} {
			if !strings.Contains(said, want) {
				w.Errorf("systemctl status on %s does not say %q:\n%s", h.Name, want, said)
			}
		}
	}
}

// wantFound finds the cluster on a host as somebody who knows nothing but its
// domain, with a program that knows nothing of pleiad.
func (w *world) wantFound() {
	w.Helper()
	s := w.lend(w.bed.Hosts[1])
	defer s.takeBack()
	if out := s.etcdctl("put", "stock", "Debian"); out != "OK\n" {
		w.Errorf("stock etcdctl put: %q", out)
	}
	if out := w.must("etcdctl", "--", "get", "stock", "--print-value-only").out; out != "Debian\n" {
		w.Errorf("pleiad etcdctl get: %q", out)
	}
	w.must("etcdctl", "--", "put", "stock", "pleiad")
	if out := s.etcdctl("get", "stock", "--print-value-only"); out != "pleiad\n" {
		w.Errorf("stock etcdctl get: %q", out)
	}
}

// wantNothingToDo runs an up that takes no step and pushes next to nothing.
func (w *world) wantNothingToDo() {
	w.Helper()
	const most = 50_000 // bytes a host
	before := w.pushed()
	r := w.must("up", "--output", "json")
	said := r.out
	var outcome struct {
		Kind    string
		Reached bool
		Steps   int
	}
	lines := strings.Split(strings.TrimSpace(said), "\n")
	w.ok(json.Unmarshal([]byte(lines[len(lines)-1]), &outcome))
	if outcome.Kind != "outcome" || !outcome.Reached || outcome.Steps != 0 {
		w.Errorf("a second up did something: %s", said)
	}
	for i, after := range w.pushed() {
		pushed := after - before[i]
		w.Logf("a second up took %s and pushed %d bytes to %s", r.took, pushed, w.bed.Hosts[i].Name)
		if pushed >= most {
			w.Errorf("a second up pushed %d bytes to %s, want less than %d", pushed, w.bed.Hosts[i].Name, most)
		}
	}
}

// pushed are the bytes that each host has received from the controller.
func (w *world) pushed() []uint64 {
	w.Helper()
	var out []uint64
	for _, h := range w.bed.Hosts {
		traffic, err := h.Traffic(w.Context())
		w.ok(err)
		out = append(out, traffic.Pushed)
	}
	return out
}

// wantRecords looks for the cluster's records in the whole zone.
func (w *world) wantRecords(yes bool) {
	w.Helper()
	server := w.server.Addr().Addr().String()
	out, err := w.bed.Command(w.Context(), "dig", "@"+server, "-k", w.server.KeyFile(), zone, "AXFR", "+noall", "+answer").Output()
	w.ok(err)
	if !strings.Contains(string(out), "www."+zone) {
		w.Fatalf("dig shows no zone: %s", out)
	}
	if got := strings.Contains(string(out), domain); got != yes {
		w.Errorf("the zone holds records of %s: %t, want %t:\n%s", domain, got, yes, out)
	}
}

// withoutKept is a snapshot without what was kept on purpose.
func withoutKept(s snapshot.Snapshot) snapshot.Snapshot {
	out := snapshot.Snapshot{}
	for thing, is := range s {
		if path, ok := strings.CutPrefix(thing, "file "); ok && (path == node.KeptFolder || strings.HasPrefix(path, node.KeptFolder+"/")) {
			continue
		}
		out[thing] = is
	}
	return out
}

// wantKept looks for a member's data where it is kept, for root alone.
func (w *world) wantKept(i int) {
	w.Helper()
	h := w.bed.Hosts[i]
	found := strings.Fields(w.on(h, "find "+node.KeptFolder+" -type f -path '*/member/snap/db' -size +0 -printf '%p %U\\n'"))
	if len(found) != 2 || found[1] != "0" {
		w.Fatalf("%s keeps %q, want one database that is root's", h.Name, found)
	}
	if mode := w.on(h, "stat --format=%a "+node.KeptFolder); mode != "700\n" {
		w.Errorf("mode of %s on %s is %s", node.KeptFolder, h.Name, mode)
	}
	if got := w.on(h, "cat "+strings.TrimSuffix(found[0], "snap/db")+"wal/*.wal | grep -c 'for ever'"); got == "0\n" {
		w.Errorf("what %s keeps does not hold the last write", h.Name)
	}
}
