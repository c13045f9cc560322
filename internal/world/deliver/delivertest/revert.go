package delivertest

import (
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// sealed is a node of the sealed cluster.
func sealed(h cluster.Host, variant int) node.Node {
	n := rendered(h, variant)
	n.Sealed = true
	return n
}

func testRevert(t *testing.T, w World) {
	s, _ := started(t, w)
	if n := s.inspect(); n.Former != nil {
		t.Errorf("%+v is kept, though nothing has changed", n.Former)
	}
	if err := s.d.Revert(t.Context(), s.host); err == nil {
		t.Error("Revert to nothing: nil, want an error")
	}
	running := s.inspect().Process
	s.install(sealed(s.host, 0), nil)
	s.install(sealed(s.host, 1), nil)
	n := s.inspect()
	if want := rendered(s.host, 0).Flags(); n.Former == nil || n.Former.Flags != want {
		t.Fatalf("kept is %+v, want flags %s", n.Former, want)
	}
	if want := rendered(s.host, 1).Flags(); n.Next.Flags != want {
		t.Errorf("next are flags %s, want %s", n.Next.Flags, want)
	}
	if err := s.d.Revert(t.Context(), s.host); err == nil {
		t.Error("Revert of a member that runs: nil, want an error")
	}
	wantSame(t, "process", s.inspect().Process, running)
	s.stop()
	data := s.inspect().Data
	if err := s.d.Revert(t.Context(), s.host); err != nil {
		t.Fatalf("Revert: %v", err)
	}
	n = s.inspect()
	if n.Process.Running || n.Former != nil || n.Installed != sealed(s.host, 0).Digest() {
		t.Errorf("after Revert: %+v, want the first node and no process", n)
	}
	wantSame(t, "data", n.Data, data)
	if n := s.start(); n.Process.Flags != rendered(s.host, 0).Flags() {
		t.Errorf("flags are %s, want those of before", n.Process.Flags)
	}
}

func testFailed(t *testing.T, w World) {
	s, _ := started(t, w)
	s.stop()
	s.install(sealed(s.host, 0), nil)
	w.Behave(s.host, Behaviour{Refuse: "R6: its data directory is unreadable"})
	if err := s.d.Start(t.Context(), s.host); err == nil {
		t.Fatal("Start: nil, want an error")
	}
	n := s.inspect()
	if n.Failed == nil || !n.Failed.Same(n.Next) || n.Failed.Why == "" {
		t.Fatalf("failed is %+v, want why a start with %+v came to nothing", n.Failed, n.Next)
	}
	// Nor does a start say anything of what is delivered while the member runs.
	w.Behave(s.host, Behaviour{})
	if err := s.d.Install(t.Context(), s.host, sealed(s.host, 2), nil, false); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.install(sealed(s.host, 0), nil)
	if n = s.start(); n.Failed == nil || !n.Failed.Same(n.Next) {
		t.Errorf("failed is %+v after a start of a member that ran with something else", n.Failed)
	}
	s.stop()
	// What a start with other flags comes to says nothing of that.
	s.install(sealed(s.host, 1), nil)
	w.Behave(s.host, Behaviour{})
	if n = s.start(); n.Failed == nil || n.Failed.Same(n.Next) {
		t.Errorf("failed is %+v after a good start with other flags", n.Failed)
	}
	s.stop()
	s.install(sealed(s.host, 0), nil)
	if n = s.start(); n.Failed != nil {
		t.Errorf("failed is %+v after a good start with the same flags", n.Failed)
	}
}
