package hosts

import (
	"fmt"
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

// A member moves: because a person says so, because its machine left the spec, and
// because its machine is gone for good, which a person has to say. The machine comes back.
func TestMembersMove(t *testing.T) {
	t.Parallel()
	w, o := newWorld(t, 5)
	machines := func(hosts ...*bed.Host) {
		t.Helper()
		members := fmt.Sprintf("members: %d", len(hosts))
		w.ok(os.WriteFile(o.SpecFile, []byte(strings.Replace(w.Spec(hosts), members, "members: 3", 1)), 0o600))
	}
	holds := func() {
		t.Helper()
		if out, _ := o.output("etcdctl", "--", "get", "greeting"); !strings.Contains(out, "hello") {
			t.Fatalf("the data is %q", out)
		}
	}
	free := func() *bed.Host {
		t.Helper()
		for _, h := range w.Hosts {
			if w.claimed(h) == "" {
				return h
			}
		}
		t.Fatal("no machine is free")
		return nil
	}
	machines(w.Hosts[:4]...)
	o.must("up")
	o.must("etcdctl", "--", "put", "greeting", "hello")

	leader := o.leader()
	o.must("replace", leader, "--yes").ends(0, "move leader "+leader, "remove member "+leader)
	holds()

	// The address of a member's machine leaves the spec, another one's comes.
	old, others := w.taken()[0], w.taken()[1:]
	moved := w.claimed(old)
	machines(append(others, free())...)
	o.must("up").ends(0, "promote learner", "remove member "+moved)
	holds()
	if left := w.claimed(old); left != "" {
		t.Errorf("the machine that left is still that of %s", left)
	}

	// A machine dies for good. Nobody but a person can say that.
	dead, spare := w.taken()[0], free()
	name := w.claimed(dead)
	machines(append(w.taken(), spare)...)
	w.ok(dead.Kill(w.Context()))
	o.start("up", "--timeout", "15s").ends(5, "could not be inspected", "if it is gone for good, say so: pleiad replace", name)
	o.must("replace", name, "--yes").ends(0, "remove member "+name, "promote learner")
	holds()
	if w.claimed(spare) == "" {
		t.Error("the spare machine has no member")
	}

	// It comes back, with a member that nobody lists.
	w.ok(dead.Start(w.Context()))
	o.must("up").ends(0, "terminate host "+name)
	if left := w.claimed(dead); left != "" {
		t.Errorf("the machine that came back is still that of %s", left)
	}
	holds()
	o.wantNothingToDo()
	o.must("destroy", "--yes")
}

// leader is the member that leads.
func (o operator) leader() string {
	o.Helper()
	status, _ := o.output("status")
	for line := range strings.Lines(status) {
		if fields := strings.Fields(line); strings.Contains(line, " leader ") {
			return fields[0]
		}
	}
	o.Fatalf("nobody leads:\n%s", status)
	return ""
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
