package delivertest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver"
)

func testStart(t *testing.T, w World) {
	s, n := started(t, w)
	if !w.Answers(s.host) {
		t.Error("the peer port does not answer")
	}
	if n.Process.Gate != "" || n.Process.Exit != "" || n.Process.Since.IsZero() {
		t.Errorf("process is %+v, want one without gate and exit", n.Process)
	}
	if want := rendered(s.host, 0).Flags(); n.Process.Flags != want {
		t.Errorf("flags are %q, want those delivered, %q", n.Process.Flags, want)
	}
}

func testGate(t *testing.T, w World) {
	s := newStage(t, w, Behaviour{Gate: "R3: m1.dev.test. has no address"})
	s.install(rendered(s.host, 0), nil)
	n := s.start()
	if !n.Process.Running || n.Process.Gate != "R3: m1.dev.test. has no address" {
		t.Errorf("process is %+v, want it at the gate", n.Process)
	}
	s.stop()
	if n := s.inspect(); n.Process.Running || n.Data.Present || n.Data.Born {
		t.Errorf("after Stop: %+v, want neither process nor data", n)
	}
}

func testRefused(t *testing.T, w World) {
	s := newStage(t, w, Behaviour{Refuse: "R6: its data directory is empty"})
	s.install(rendered(s.host, 0), nil)
	for range 2 {
		err := s.d.Start(t.Context(), s.host)
		if err == nil || !strings.Contains(err.Error(), "R6: its data directory is empty") || !strings.Contains(err.Error(), string(s.host.Name)) {
			t.Errorf("Start: %v, want the reason and the host", err)
		}
		if p := s.inspect().Process; p.Running || p.Exit != "R6: its data directory is empty" {
			t.Errorf("process is %+v, want it ended with the reason", p)
		}
	}
	w.Behave(s.host, Behaviour{})
	if n := s.start(); !n.Process.Running || n.Process.Exit != "" {
		t.Errorf("process is %+v, want it running once the reason is gone", n.Process)
	}
}

func testNotInstalled(t *testing.T, w World) {
	s := newStage(t, w, Behaviour{})
	if err := s.d.Start(t.Context(), s.host); err == nil {
		t.Error("Start: nil, want an error")
	}
	if n := s.inspect(); n.Process.Running {
		t.Errorf("process is %+v, want none", n.Process)
	}
}

func testStartAgain(t *testing.T, w World) {
	s, before := started(t, w)
	s.d = w.Deliverer()
	wantSame(t, "process", s.start().Process, before.Process)
}

func testStartsAtOnce(t *testing.T, w World) {
	s := newStage(t, w, Behaviour{})
	s.install(rendered(s.host, 0), nil)
	const n = 4
	errs := make([]error, n)
	seen := make([]cluster.Node, n)
	var group sync.WaitGroup
	for i := range n {
		d := w.Deliverer()
		group.Go(func() {
			if errs[i] = d.Start(t.Context(), s.host); errs[i] == nil {
				seen[i], errs[i] = d.Inspect(t.Context(), s.host)
			}
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("Starts: %v", err)
	}
	for i := range n {
		wantSame(t, "process", seen[i].Process, seen[0].Process)
	}
	w.Kill(s.host)
	if w.Answers(s.host) {
		t.Error("a second member still answers")
	}
}

func testAfterCrash(t *testing.T, w World) {
	s, before := started(t, w)
	w.Kill(s.host)
	if n := s.inspect(); n.Process.Running {
		t.Fatalf("process is %+v, want none", n.Process)
	}
	after := s.start()
	if !after.Process.Running || after.Process.Since.Equal(before.Process.Since) {
		t.Errorf("process is %+v, want one that is newer than %+v", after.Process, before.Process)
	}
	wantSame(t, "data", after.Data, before.Data)
}

func testOccupied(t *testing.T, w World) {
	s := newStage(t, w, Behaviour{})
	s.install(rendered(s.host, 0), nil)
	for _, port := range []uint16{s.host.Ports.Peer, s.host.Ports.Client, s.host.Ports.Metrics} {
		release := w.Occupy(s.host, port)
		err := s.d.Start(t.Context(), s.host)
		if at := fmt.Sprintf("%s:%d", s.host.Address, port); !errors.Is(err, deliver.ErrOccupied) || !errors.Is(err, fault.Occupied) || fault.Remedy(err) == nil || !strings.Contains(err.Error(), at) {
			t.Errorf("Start: %v, want ErrOccupied with %s, its kind and its remedy", err, at)
		}
		if n := s.inspect(); n.Process.Running {
			t.Errorf("process is %+v, want none", n.Process)
		}
		release()
	}
	s.start()
}
