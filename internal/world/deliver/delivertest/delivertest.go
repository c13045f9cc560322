// Package delivertest is the conformance suite of deliver.Deliverer: a case for
// each sentence of the contract. Every way of delivery and the simulator pass
// it, or else the simulator lies.
//
// [Run] it with a function that makes a [World]. The suite knows nothing of
// files, processes or units; what it must do to a world beyond the contract
// stands in World, and what members do when they are started it sets with
// Behave.
package delivertest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver"
)

// World is a place with hosts on which nothing is, fresh for each case.
type World struct {
	// Deliverer returns a deliverer. Each call gives one of its own, as if a
	// second command ran beside the first.
	Deliverer func() deliver.Deliverer
	// Host makes a host.
	Host func(cluster.MemberName) cluster.Host
	// Behave says what a host's member does from its next start on.
	Behave func(cluster.Host, Behaviour)
	// Answers says whether the member's peer port answers.
	Answers func(cluster.Host) bool
	// Kill ends a running member as a crash would, and returns when it is gone.
	Kill func(cluster.Host)
	// Occupy makes something else listen on a port of the host until release
	// is called.
	Occupy func(h cluster.Host, port uint16) (release func())
}

// Behaviour is what a member does once it is started. The zero value serves:
// its data appears, its peer port answers, and it never becomes ready, as the
// first member of a bootstrap does not.
type Behaviour struct {
	// Gate is what the start gate waits for, for ever.
	Gate string
	// Refuse is why it ends, as it says itself.
	Refuse string
	// Stubborn members do not end when asked to.
	Stubborn bool
}

const token = cluster.Token("8f2c6a0e8f2c6a0e")

// grace is how long a member may take to stop in these tests.
const grace = 300 * time.Millisecond

// Run runs the suite.
func Run(t *testing.T, world func(*testing.T) World) {
	for _, c := range []struct {
		clause string
		test   func(*testing.T, World)
	}{
		{"Inspect finds nothing on a fresh host", testFresh},
		{"Install makes the host hold exactly this node", testInstall},
		{"Install writes keys and certificates only if given", testCredentials},
		{"Install neither starts nor stops nor touches data", testInstallBeside},
		{"Install refuses another host's node", testInstallOther},
		{"Install refuses what the host's node contradicts", testContradicted},
		{"Install refuses what the host's data contradicts", testContradictedByData},
		{"Start returns when the peer port answers, without a quorum", testStart},
		{"Start returns when the gate waits", testGate},
		{"Start says why the process ended", testRefused},
		{"Start refuses a host to which nothing was delivered", testNotInstalled},
		{"Start of a running member does nothing", testStartAgain},
		{"Starts at once start one process", testStartsAtOnce},
		{"Start after a crash finds the data", testAfterCrash},
		{"Start says that something else listens", testOccupied},
		{"Stop ends the process and keeps the data", testStop},
		{"Stop forces a member that does not end", testStubborn},
		{"Stop of a member that does not run is no error", testStopAbsent},
		{"hosts do not depend on each other", testManyHosts},
		{"methods return when their context has ended", testCancelled},
	} {
		t.Run(c.clause, func(t *testing.T) {
			t.Parallel()
			c.test(t, world(t))
		})
	}
}

// stage is one host with a deliverer.
type stage struct {
	*testing.T
	world World
	d     deliver.Deliverer
	host  cluster.Host
}

func newStage(t *testing.T, w World, b Behaviour) *stage {
	s := &stage{T: t, world: w, d: w.Deliverer(), host: w.Host("etcd-k3v9qd2")}
	w.Behave(s.host, b)
	t.Cleanup(func() {
		if err := w.Deliverer().Stop(context.WithoutCancel(t.Context()), s.host, grace); err != nil {
			t.Errorf("Stop at the end: %v", err)
		}
	})
	return s
}

// rendered is a node for a host, one of several to tell apart.
func rendered(h cluster.Host, variant int) node.Node {
	spec := cluster.Spec{Cluster: "dev", Domain: "dev.test", Members: 1, TLS: true,
		Etcd: cluster.Etcd{Options: map[string]string{"snapshot-count": fmt.Sprint(10000 + variant)}}}
	marker := cluster.Marker{Cluster: "dev", Owner: "us", Token: token, Phase: cluster.Bootstrapping, Members: []cluster.MemberName{h.Name}}
	return node.Render(spec, marker, []cluster.Host{h}, h, "")
}

func (s *stage) inspect() cluster.Node {
	s.Helper()
	n, err := s.world.Deliverer().Inspect(s.Context(), s.host)
	if err != nil {
		s.Fatalf("Inspect: %v", err)
	}
	return n
}

func (s *stage) install(n node.Node, c *node.Credentials) {
	s.Helper()
	if err := s.d.Install(s.Context(), s.host, n, c); err != nil {
		s.Fatalf("Install: %v", err)
	}
}

func (s *stage) start() cluster.Node {
	s.Helper()
	if err := s.d.Start(s.Context(), s.host); err != nil {
		s.Fatalf("Start: %v", err)
	}
	return s.inspect()
}

func (s *stage) stop() {
	s.Helper()
	if err := s.d.Stop(s.Context(), s.host, grace); err != nil {
		s.Fatalf("Stop: %v", err)
	}
}

// started is a stage whose member runs.
func started(t *testing.T, w World) (*stage, cluster.Node) {
	s := newStage(t, w, Behaviour{})
	s.install(rendered(s.host, 0), credentials(t, time.Now().Add(time.Hour)))
	n := s.start()
	if !n.Process.Running {
		t.Fatalf("Inspect after Start: %+v, want a running process", n.Process)
	}
	return s, n
}

func wantSame[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if d := gocmp.Diff(want, got, cmpopts.IgnoreFields(cluster.Node{}, "Clock"), cmpopts.EquateComparable(netip.AddrPort{})); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func testFresh(t *testing.T, w World) {
	s := newStage(t, w, Behaviour{})
	wantSame(t, "fresh host", s.inspect(), cluster.Node{})
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
	if err := s.d.Install(t.Context(), s.host, rendered(other, 0), nil); err == nil {
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
		err := s.d.Install(t.Context(), s.host, n, credentials(t, time.Now().Add(3*time.Hour)))
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
	// A newer marker alone is no other node, but is remembered.
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
		if err := s.d.Install(t.Context(), s.host, n, nil); !errors.Is(err, deliver.ErrContradicted) {
			t.Errorf("Install beside data of another member: %v, want ErrContradicted", err)
		}
	}
	wantSame(t, "installed", s.inspect().Installed, before.Installed)
}

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

func testManyHosts(t *testing.T, w World) {
	d := w.Deliverer()
	var list []*stage
	for i := range 3 {
		s := &stage{T: t, world: w, d: d, host: w.Host(cluster.MemberName(fmt.Sprintf("etcd-aaaaaa%d", i)))}
		w.Behave(s.host, Behaviour{})
		t.Cleanup(func() {
			if err := d.Stop(context.WithoutCancel(t.Context()), s.host, grace); err != nil {
				t.Errorf("Stop at the end: %v", err)
			}
		})
		list = append(list, s)
	}
	each := func(act string, f func(*stage) error) {
		t.Helper()
		errs := make([]error, len(list))
		var group sync.WaitGroup
		for i, s := range list {
			group.Go(func() { errs[i] = f(s) })
		}
		group.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatalf("%s at once: %v", act, err)
		}
	}
	each("Install", func(s *stage) error { return d.Install(t.Context(), s.host, rendered(s.host, 0), nil) })
	each("Start", func(s *stage) error { return d.Start(t.Context(), s.host) })
	list[1].stop()
	for i, s := range list {
		if n := s.inspect(); n.Process.Running != (i != 1) {
			t.Errorf("host %d: process is %+v after only host 1 was stopped", i, n.Process)
		}
	}
}

func testCancelled(t *testing.T, w World) {
	s, before := started(t, w)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, inspected := s.d.Inspect(ctx, s.host)
	for act, err := range map[string]error{
		"Inspect": inspected,
		"Install": s.d.Install(ctx, s.host, rendered(s.host, 1), nil),
		"Start":   s.d.Start(ctx, s.host),
		"Stop":    s.d.Stop(ctx, s.host, grace),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want context.Canceled", act, err)
		}
	}
	wantSame(t, "the host", s.inspect(), before)
}

// credentials are a self-signed certificate that ends at notAfter, and its key.
func credentials(t *testing.T, notAfter time.Time) *node.Credentials {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Minute), NotAfter: notAfter}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	pair := node.Pair{Cert: public, Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})}
	return &node.Credentials{PeerCA: public, ClientCA: public, Peer: pair, Server: pair, Gateway: pair}
}
