package delivertest

import (
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

func testStop(t *testing.T, w World) {
	s, before := started(t, w)
	s.d = w.Deliverer()
	s.stop()
	after := s.inspect()
	if after.Process.Running || w.Answers(s.host) {
		t.Errorf("after Stop the process is %+v, want it gone", after.Process)
	}
	wantSame(t, "data", after.Data, before.Data)
	wantSame(t, "installed", after.Installed, before.Installed)
	s.stop()
	again := s.start()
	wantSame(t, "data", again.Data, before.Data)
	late := s.host
	late.Node = cluster.Known(before)
	if err := s.d.Stop(s.Context(), late, grace); err != nil {
		t.Errorf("Stop of a process that is gone: %v", err)
	}
	wantSame(t, "process", s.inspect().Process, again.Process)
}

func testStubborn(t *testing.T, w World) {
	s := newStage(t, w, Behaviour{Stubborn: true})
	s.install(rendered(s.host, 0), nil)
	s.start()
	s.stop()
	if n := s.inspect(); n.Process.Running || w.Answers(s.host) {
		t.Errorf("after Stop the process is %+v, want it gone", n.Process)
	}
}

func testStopAbsent(t *testing.T, w World) {
	s := newStage(t, w, Behaviour{})
	s.stop()
	s.install(rendered(s.host, 0), nil)
	s.stop()
	s.start()
	w.Kill(s.host)
	s.stop()
}
