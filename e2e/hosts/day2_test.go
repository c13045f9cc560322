package hosts

import (
	"os"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// Three members on five machines. One loses its data, and another machine is made
// anew; then the cluster is to be larger, and smaller. What was written stays.
func TestMembersChange(t *testing.T) {
	t.Parallel()
	w, o := newWorld(t, 5)
	members := func(n string) {
		w.ok(os.WriteFile(o.SpecFile, []byte(strings.Replace(w.Spec(w.Hosts), "members: 5", "members: "+n, 1)), 0o600))
	}
	holds := func() {
		t.Helper()
		if out, _ := o.output("etcdctl", "--", "get", "greeting"); !strings.Contains(out, "hello") {
			t.Fatalf("the data is %q", out)
		}
	}
	members("3")
	o.must("up")
	o.must("etcdctl", "--", "put", "greeting", "hello")

	taken := w.taken()
	w.on(taken[0], "systemctl kill -s KILL "+node.UnitName+"; systemctl stop "+node.UnitName+"; rm -rf "+node.MachinePaths().Data)
	o.must("up").ends(0, "remove member", "promote learner")
	holds()

	lost := w.taken()[1] // as after an installation from an image
	w.on(lost, "systemctl kill -s KILL "+node.UnitName+"; "+node.RemoveByHand)
	o.must("up").ends(0, "remove member", "promote learner")
	holds()

	members("5")
	o.must("up").ends(0, "5 members on")
	holds()
	if n := len(w.taken()); n != 5 {
		t.Errorf("%d machines are taken", n)
	}
	members("3")
	o.must("up").ends(0, "3 members on")
	holds()
	if n := len(w.taken()); n != 3 {
		t.Errorf("%d machines are taken", n)
	}
	o.wantNothingToDo()
	o.must("destroy", "--yes")
}

// taken are the machines that are hosts of the cluster.
func (w *world) taken() []*bed.Host {
	w.Helper()
	var out []*bed.Host
	for _, h := range w.Hosts {
		if w.claimed(h) != "" {
			out = append(out, h)
		}
	}
	return out
}
