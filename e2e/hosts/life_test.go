package hosts

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/e2e/site"
	"github.com/pleiad-etcd/pleiad/e2e/snapshot"
	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// From hosts that hold nothing to a cluster that any client finds, and back:
// each host is then as it was. And once more on the same hosts, but their data
// is to stay.
func TestFromBareHostsAndBack(t *testing.T) {
	w, o := newWorld(t, 3)
	o.Home = t.TempDir() // that of somebody who has never run pleiad
	before := w.snapshots()
	t.Logf("up took %s", tenths(o.must("up").took))
	o.must("health")
	w.wantUnits()
	o.wantFound()
	o.wantNothingToDo()
	w.wantRecords(true)
	o.must("destroy", "--yes")
	w.wantRecords(false)
	o.refused(6, []string{"there is no such cluster"}, "status")
	for i, after := range w.snapshots() {
		if diff := snapshot.Diff(before[i], after); diff != "" {
			t.Errorf("%s is not as it was:\n%s", w.Hosts[i].Name, diff)
		}
	}

	o.must("up")
	o.must("etcdctl", "--", "put", "kept", "for ever")
	o.must("destroy", "--yes", "--keep-data")
	for i, after := range w.snapshots() {
		if diff := snapshot.Diff(before[i], withoutKept(after)); diff != "" {
			t.Errorf("%s holds more than its data:\n%s", w.Hosts[i].Name, diff)
		}
		w.wantKept(i)
	}
}

// snapshots are those of all hosts, in their order.
func (w *world) snapshots() []snapshot.Snapshot {
	w.Helper()
	begun := time.Now()
	out := make([]snapshot.Snapshot, len(w.Hosts))
	w.each(w.Hosts, func(h *bed.Host, ctx context.Context) (err error) {
		// What still starts would be found only afterwards.
		if _, err := h.Enter(ctx, "systemctl is-system-running --wait"); err != nil {
			return err
		}
		out[slices.Index(w.Hosts, h)], err = snapshot.Take(ctx, h)
		return err
	})
	w.Logf("snapshots took %s", tenths(time.Since(begun)))
	return out
}

// wantUnits looks at the members as somebody who is logged in on a host.
func (w *world) wantUnits() {
	w.Helper()
	for _, h := range w.Hosts {
		said := w.on(h, "systemctl status --no-pager --lines=0 "+node.UnitName)
		for _, want := range []string{"etcd member ", "of cluster " + site.Cluster, "enabled;", "Active: active (running)", "Status: "} {
			if !strings.Contains(said, want) {
				w.Errorf("systemctl status on %s does not say %q:\n%s", h.Name, want, said)
			}
		}
	}
}

// wantFound finds the cluster on a host as somebody who knows nothing but its
// domain, with a program that knows nothing of pleiad.
func (o operator) wantFound() {
	o.Helper()
	s := o.lend(o.Hosts[1])
	defer s.takeBack()
	if out := s.etcdctl("put", "stock", "Debian"); out != "OK\n" {
		o.Errorf("stock etcdctl put: %q", out)
	}
	if out, _ := o.output("etcdctl", "--", "get", "stock", "--print-value-only"); out != "Debian\n" {
		o.Errorf("pleiad etcdctl get: %q", out)
	}
	o.must("etcdctl", "--", "put", "stock", "pleiad")
	if out := s.etcdctl("get", "stock", "--print-value-only"); out != "pleiad\n" {
		o.Errorf("stock etcdctl get: %q", out)
	}
}

// wantNothingToDo runs an up that takes no step and pushes next to nothing.
func (o operator) wantNothingToDo() {
	o.Helper()
	const most = 50_000 // bytes a host
	before, err := o.Pushed(o.Context())
	o.ok(err)
	said, r := o.output("up", "--output", "json")
	var outcome struct {
		Kind    string
		Reached bool
		Steps   int
	}
	lines := strings.Split(strings.TrimSpace(said), "\n")
	o.ok(json.Unmarshal([]byte(lines[len(lines)-1]), &outcome))
	if outcome.Kind != "outcome" || !outcome.Reached || outcome.Steps != 0 {
		o.Errorf("a second up did something: %s", said)
	}
	after, err := o.Pushed(o.Context())
	o.ok(err)
	for i, h := range o.Hosts {
		pushed := after[i] - before[i]
		o.Logf("a second up took %s and pushed %d bytes to %s", tenths(r.took), pushed, h.Name)
		if pushed >= most {
			o.Errorf("a second up pushed %d bytes to %s, want less than %d", pushed, h.Name, most)
		}
	}
}

// wantRecords looks for the cluster's records in the whole zone.
func (w *world) wantRecords(yes bool) {
	w.Helper()
	zone := w.zone()
	if !strings.Contains(zone, "www."+site.Zone) {
		w.Fatalf("dig shows no zone: %s", zone)
	}
	if got := strings.Contains(zone, site.Domain); got != yes {
		w.Errorf("the zone holds records of %s: %t, want %t:\n%s", site.Domain, got, yes, zone)
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
	h := w.Hosts[i]
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
