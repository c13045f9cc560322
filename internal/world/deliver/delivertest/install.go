package delivertest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver"
)

func testFresh(t *testing.T, w World) {
	s := newStage(t, w, Behaviour{})
	n := s.inspect()
	n.Offered = cluster.Program{} // which program would be delivered is known of every host
	wantSame(t, "fresh host", n, cluster.Node{})
}

func testInstall(t *testing.T, w World) {
	s := newStage(t, w, Behaviour{})
	for variant := range 2 {
		n := rendered(s.host, variant)
		for range 2 {
			s.install(n, nil)
			if got := s.inspect().Installed; got != n.Digest() {
				t.Errorf("installed is %q, want node %d, %s", got, variant, n.Digest())
			}
		}
	}
	if p := s.inspect().Process; p.Running {
		t.Errorf("process is %+v after Install, want none", p)
	}
}

func testCredentials(t *testing.T, w World) {
	s := newStage(t, w, Behaviour{})
	first, second := time.Now().Add(time.Hour).Truncate(time.Second), time.Now().Add(2*time.Hour).Truncate(time.Second)
	check := func(after string, want time.Time) {
		t.Helper()
		n := s.inspect()
		if n.Certificate == nil || !n.Certificate.NotAfter.Equal(want) {
			t.Errorf("certificate after %s is %+v, want one until %s", after, n.Certificate, want)
		}
		if n.Installed != rendered(s.host, 0).Digest() {
			t.Errorf("after %s nothing is installed", after)
		}
	}
	s.install(rendered(s.host, 0), nil)
	if c := s.inspect().Certificate; c != nil {
		t.Errorf("certificate is %+v, want none", c)
	}
	s.install(rendered(s.host, 0), credentials(t, first))
	check("the first", first)
	s.install(rendered(s.host, 0), nil)
	check("an Install without credentials", first)
	s.install(rendered(s.host, 0), credentials(t, second))
	check("the second", second)
}

func testInstallBeside(t *testing.T, w World) {
	s, before := started(t, w)
	if !before.Data.Present {
		t.Fatalf("data of a serving member is %+v, want it present", before.Data)
	}
	s.install(rendered(s.host, 1), credentials(t, time.Now().Add(2*time.Hour)))
	after := s.inspect()
	wantSame(t, "process", after.Process, before.Process)
	wantSame(t, "data", after.Data, before.Data)
	s.stop()
	s.install(rendered(s.host, 2), nil)
	if n := s.inspect(); n.Process.Running {
		t.Error("Install has started a member")
	} else {
		wantSame(t, "data", n.Data, before.Data)
	}
}

func testInstallOther(t *testing.T, w World) {
	s := newStage(t, w, Behaviour{})
	other := w.Host("etcd-zzzzzzz")
	if err := s.d.Install(t.Context(), s.host, rendered(other, 0), nil, false); err == nil {
		t.Error("Install of another host's node: nil, want an error")
	}
	if n := s.inspect(); n.Installed != "" {
		t.Errorf("installed is %q, want nothing", n.Installed)
	}
}

func testContradicted(t *testing.T, w World) {
	s := newStage(t, w, Behaviour{})
	sealed := rendered(s.host, 0)
	sealed.Sealed, sealed.Generation = true, 7
	contradicted := func(when string, change func(*node.Node)) {
		t.Helper()
		before, n := s.inspect(), sealed
		change(&n)
		err := s.d.Install(t.Context(), s.host, n, credentials(t, time.Now().Add(3*time.Hour)), false)
		if !errors.Is(err, deliver.ErrContradicted) || !strings.Contains(err.Error(), string(s.host.Name)) {
			t.Errorf("Install of a node %s: %v, want ErrContradicted with the host", when, err)
		}
		wantSame(t, "host after a node "+when, s.inspect(), before)
	}
	all := func() {
		t.Helper()
		contradicted("that is not sealed", func(n *node.Node) { n.Sealed = false })
		contradicted("of another incarnation", func(n *node.Node) { n.Token = "0123456789abcdef" })
		contradicted("of an older marker", func(n *node.Node) { n.Generation-- })
	}
	s.install(sealed, credentials(t, time.Now().Add(time.Hour)))
	all()
	// A newer marker alone does not make another node, but its generation is
	// kept.
	newer := sealed
	newer.Generation++
	s.install(newer, nil)
	if got := s.inspect(); got.Installed != sealed.Digest() || got.Made.Generation != newer.Generation {
		t.Errorf("after a node of a newer marker: %+v, want the same node with its generation", got)
	}
	contradicted("of an older marker", func(*node.Node) {})
}

func testContradictedByData(t *testing.T, w World) {
	s, before := started(t, w)
	s.stop()
	for _, change := range []func(*node.Node){
		func(n *node.Node) { n.Member++ },
		func(n *node.Node) { n.ID++ },
	} {
		n := rendered(s.host, 0)
		change(&n)
		if err := s.d.Install(t.Context(), s.host, n, nil, false); !errors.Is(err, deliver.ErrContradicted) {
			t.Errorf("Install beside data of another member: %v, want ErrContradicted", err)
		}
	}
	wantSame(t, "installed", s.inspect().Installed, before.Installed)
}
