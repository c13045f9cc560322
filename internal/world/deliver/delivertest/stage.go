package delivertest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/netip"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver"
)

const token = cluster.Token("8f2c6a0e8f2c6a0e")

// grace is how long a member may take to stop in these tests.
const grace = 300 * time.Millisecond

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
	if err := s.d.Install(s.Context(), s.host, n, c, false); err != nil {
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
	if d := gocmp.Diff(want, got, cmpopts.IgnoreFields(cluster.Node{}, "Clock", "Free"), cmpopts.EquateComparable(netip.AddrPort{})); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
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
