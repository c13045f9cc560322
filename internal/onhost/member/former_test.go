package member

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/onhost/program"
)

// ourselves is the program that these tests are.
func ourselves(t *testing.T) cluster.Program {
	t.Helper()
	p, err := program.Self()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What a member was started with is kept where that changes, and where there is
// something to go back to.
func TestAside(t *testing.T) {
	const before, after = "/old/pleiad", "/new/pleiad"
	with := func(n node.Node, flag string) node.Node {
		n.Args = append([]string{flag}, n.Args...)
		return n
	}
	for _, tt := range []struct {
		name   string
		change func(*node.Node) // of what is installed
		fails  string           // a build that did not come up
		runs   bool             // it did later
		flag   string           // new
		next   string           // program
		kept   bool
	}{
		{name: "the same", next: before},
		{name: "other flags", flag: "--quota-backend-bytes=1", next: before, kept: true},
		{name: "another program", next: after, kept: true},
		{name: "not sealed", change: func(n *node.Node) { n.Sealed = false }, next: after},
		{name: "of another member", change: func(n *node.Node) { n.Member++ }, next: after},
		{name: "of another cluster", change: func(n *node.Node) { n.ID++ }, next: after},
		{name: "one that came up, unlike another", fails: "b2", flag: "--quota-backend-bytes=1", next: before, kept: true},
		{name: "one that came up later", fails: "b1", runs: true, flag: "--quota-backend-bytes=1", next: before, kept: true},
		{name: "one that does not come up", fails: "b1", flag: "--quota-backend-bytes=1", next: before},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := render(cluster.Sealed, nobody, newHost(t, "etcd-a"))
			old := n
			if tt.change != nil {
				tt.change(&old)
			}
			install(t, old)
			if tt.fails != "" {
				if err := NoteStart(n.Paths.Config, cluster.Startup{Flags: old.Flags(), Program: cluster.Program{Build: tt.fails}}, errors.New("exit status 1"), -1, -1); err != nil {
					t.Fatal(err)
				}
			}
			if tt.runs {
				noteStatus(t, n.Paths.Config, Status{Process: self(t)})
			}
			if tt.flag != "" {
				n = with(n, tt.flag)
			}
			former, err := Aside(n.Paths.Config, before, cluster.Program{Build: "b1"}, n, tt.next)
			if err != nil || (former != nil) != tt.kept {
				t.Fatalf("kept is %+v, %v; want one: %t", former, err, tt.kept)
			}
			if former == nil {
				return
			}
			if err := former.Write(n.Paths.Config, -1, -1); err != nil {
				t.Fatal(err)
			}
			install(t, n)
			got, err := Inspect(t.Context(), n.Paths)
			if err != nil || got.Former == nil || got.Former.Flags != old.Flags() || got.Next.Flags != n.Flags() {
				t.Errorf("%+v, %v; want former flags %s, next %s", got, err, old.Flags(), n.Flags())
			}
			read, err := ReadFormer(n.Paths.Config)
			if err != nil || read.Binary != before || !cmp.Equal(read.In(n).Args, old.Args) {
				t.Errorf("read again: %+v, %v", read, err)
			}
		})
	}
}

// How a start ended is known until one with the same flags and program ends well.
func TestNoteStart(t *testing.T) {
	config := t.TempDir()
	bad := cluster.Startup{Flags: "f2", Program: cluster.Program{Build: "b2", Version: "v2"}}
	note := func(with cluster.Startup, why error) *cluster.FailedStart {
		t.Helper()
		err := NoteStart(config, with, why, -1, -1)
		if err != nil {
			t.Fatal(err)
		}
		f, err := ReadFailed(config)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	if f := note(bad, nil); f != nil {
		t.Errorf("after a good start: %+v", f)
	}
	if f := note(bad, errors.New("exit status 1")); f == nil || !f.Same(bad) || f.Why != "exit status 1" {
		t.Errorf("after a bad start: %+v", f)
	}
	if f := note(cluster.Startup{Flags: "f2", Program: cluster.Program{Build: "b1"}}, nil); f == nil || !f.Same(bad) {
		t.Errorf("after a good start with another program: %+v", f)
	}
	if f := note(bad, nil); f != nil {
		t.Errorf("after a good start with the same: %+v", f)
	}
	write(t, filepath.Join(config, cluster.FailedFile), []byte("{"))
	if _, err := ReadFailed(config); err == nil {
		t.Error("half a file is no error")
	}
}
