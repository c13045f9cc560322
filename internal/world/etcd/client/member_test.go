package client_test

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/etcdmain"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/pki"
	"github.com/pleiad-etcd/pleiad/internal/system/process/processtest"
	"github.com/pleiad-etcd/pleiad/internal/world/etcd/client"
	"github.com/pleiad-etcd/pleiad/internal/world/etcd/etcdtest"
)

// TestMain lets this binary be an etcd member: each member of a test runs in a
// process of its own, which can be killed, and which ends with the test even
// if that is killed.
func TestMain(m *testing.M) {
	if os.Getenv("PLEIAD_TEST_MEMBER") == "" {
		os.Exit(m.Run())
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until whoever started us has ended
		os.Exit(1)
	}()
	etcdmain.Main(os.Args)
}

// testbed is a cluster of real members on this machine.
type testbed struct {
	spec    cluster.Spec
	hosts   []cluster.Host
	ca      pki.ClientCA
	peers   pki.PeerCA
	tls     *tls.Config // the operator's; nil without TLS
	dir     string
	running []*member
	joiner  cluster.Host
}

type member struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	exited chan struct{}
}

func newTestbed(t testing.TB, members int, useTLS bool) *testbed {
	t.Helper()
	b := &testbed{spec: cluster.Spec{Cluster: "test", Domain: "dev.test", Members: members, TLS: useTLS}, dir: t.TempDir(), running: make([]*member, members+1)}
	for i := range members {
		b.hosts = append(b.hosts, newHost(t, fmt.Sprintf("etcd-000000%d", i)))
	}
	b.joiner = newHost(t, fmt.Sprintf("etcd-000000%d", members))
	if useTLS {
		b.makePKI(t)
	}
	t.Cleanup(func() {
		for i := range b.running {
			b.stop(t, i)
		}
		if t.Failed() {
			for _, h := range b.all() {
				log, _ := os.ReadFile(filepath.Join(b.dir, string(h.Name)+".log"))
				t.Logf("last of %s's log:\n%s", h.Name, log[max(0, len(log)-2000):])
			}
		}
	})
	return b
}

// newHost finds an address that nothing listens on. A random one of
// 127.0.0.0/8 keeps tests that run at the same time apart; where only
// 127.0.0.1 exists, the ports do.
func newHost(t testing.TB, name string) cluster.Host {
	t.Helper()
	addr := netip.AddrFrom4([4]byte{127, byte(1 + mathrand.N(254)), byte(mathrand.N(256)), byte(1 + mathrand.N(254))})
	if l, err := net.Listen("tcp", netip.AddrPortFrom(addr, 0).String()); err == nil {
		l.Close()
	} else {
		addr = netip.MustParseAddr("127.0.0.1")
	}
	h := cluster.Host{Name: cluster.MemberName(name), Address: addr}
	for _, port := range []*uint16{&h.Ports.Client, &h.Ports.Peer} {
		l, err := net.Listen("tcp", netip.AddrPortFrom(addr, 0).String())
		if err != nil {
			t.Fatal(err)
		}
		// Both ports at once, so that they differ.
		defer func() {
			if err := processtest.Close(l); err != nil {
				t.Error(err)
			}
		}()
		*port = uint16(l.Addr().(*net.TCPAddr).Port)
	}
	return h
}

// all are the hosts of the founding members and of the joiner.
func (b *testbed) all() []cluster.Host { return append(slices.Clone(b.hosts), b.joiner) }

func (b *testbed) makePKI(t testing.TB) {
	t.Helper()
	peers, err := pki.NewPeerCA(rand.Reader, time.Now(), b.spec.Cluster)
	if err == nil {
		b.ca, err = pki.NewClientCA(rand.Reader, time.Now(), b.spec.Cluster)
	}
	if err != nil {
		t.Fatal(err)
	}
	b.write(t, "peer-ca.crt", peers.PEM())
	b.write(t, "client-ca.crt", b.ca.PEM())
	b.peers = peers
	for _, h := range b.all() {
		b.issue(t, h, "peer", time.Now())
		b.issue(t, h, "server", time.Now())
	}
	b.tls = operator(t, b.ca, b.ca)
}

// issue gives a member a certificate that was made at some time.
func (b *testbed) issue(t testing.TB, h cluster.Host, use string, at time.Time) {
	t.Helper()
	key, err := pki.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issue := b.ca.IssueServer
	if use == "peer" {
		issue = b.peers.IssuePeer
	}
	cert, err := issue(rand.Reader, at, key, h.Name, []string{b.spec.HostName(h.Name), b.spec.Domain, h.Address.String(), "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	b.write(t, string(h.Name)+"-"+use+".crt", cert)
	b.write(t, string(h.Name)+"-"+use+".key", key.PEM())
}

// operator is a client's side of TLS: trusting one CA, issued by another.
func operator(t testing.TB, trusted, issuer pki.ClientCA) *tls.Config {
	t.Helper()
	key, err := pki.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := issuer.IssueOperator(rand.Reader, time.Now(), key)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key.PEM())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(trusted.Certificate())
	return &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}}
}

func (b *testbed) write(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (b *testbed) inspector() *client.Client {
	return client.New(b.spec, func() (*tls.Config, error) { return b.tls, nil })
}

func (b *testbed) url(h cluster.Host, port uint16) string {
	return b.spec.Scheme() + "://" + netip.AddrPortFrom(h.Address, port).String()
}

// founds are the flags of founding members.
func (b *testbed) founds() []string {
	var peers []string
	for _, p := range b.hosts {
		peers = append(peers, string(p.Name)+"="+b.url(p, p.Ports.Peer))
	}
	return []string{"--initial-cluster=" + strings.Join(peers, ",")}
}

// joins are the flags of a member that joins those of a list.
func (b *testbed) joins(list []cluster.Member) []string {
	var peers []string
	for _, m := range list {
		name := m.Name
		if name == "" {
			name = b.joiner.Name
		}
		peers = append(peers, string(name)+"="+m.PeerURLs[0])
	}
	return []string{"--initial-cluster=" + strings.Join(peers, ","), "--initial-cluster-state=existing"}
}

// args let members find each other by address, without DNS. Time runs four
// times as fast as by default.
func (b *testbed) args(h cluster.Host) []string {
	file := func(name string) string { return filepath.Join(b.dir, name) }
	a := []string{
		"--name=" + string(h.Name), "--data-dir=" + file(string(h.Name)),
		"--listen-peer-urls=" + b.url(h, h.Ports.Peer), "--listen-client-urls=" + b.url(h, h.Ports.Client),
		"--initial-advertise-peer-urls=" + b.url(h, h.Ports.Peer), "--advertise-client-urls=" + b.url(h, h.Ports.Client),
		"--initial-cluster-token=" + b.dir,
		"--heartbeat-interval=25", "--election-timeout=250", "--unsafe-no-fsync", "--log-outputs=stderr",
	}
	if b.spec.TLS {
		of := func(use, end string) string { return file(string(h.Name) + "-" + use + end) }
		a = append(a, "--cert-file="+of("server", ".crt"), "--key-file="+of("server", ".key"), "--trusted-ca-file="+file("client-ca.crt"), "--client-cert-auth",
			"--peer-cert-file="+of("peer", ".crt"), "--peer-key-file="+of("peer", ".key"), "--peer-trusted-ca-file="+file("peer-ca.crt"), "--peer-client-cert-auth",
			"--enable-grpc-gateway=false") // it would need a certificate of its own
	}
	return a
}

// start starts a founding member.
func (b *testbed) start(t testing.TB, i int) {
	t.Helper()
	b.run(t, i, b.founds()...)
}

// run returns as soon as the client port accepts connections.
func (b *testbed) run(t testing.TB, i int, flags ...string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	h := b.all()[i]
	m := &member{cmd: exec.Command(self, append(b.args(h), flags...)...), exited: make(chan struct{})}
	m.cmd.Env = []string{"PLEIAD_TEST_MEMBER=1"}
	if m.stdin, err = m.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := os.OpenFile(filepath.Join(b.dir, string(h.Name)+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	m.cmd.Stdout, m.cmd.Stderr = out, out
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(m.exited)
		_ = m.cmd.Wait() // it is killed in the end
	}()
	b.running[i] = m
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := net.Dial("tcp", netip.AddrPortFrom(h.Address, h.Ports.Client).String())
		if err == nil {
			c.Close()
			return
		}
		select {
		case <-m.exited:
			t.Fatalf("member %s ended before it listened", h.Name)
		case <-tick.C:
		}
	}
}

func (b *testbed) stop(t testing.TB, i int) {
	t.Helper()
	m := b.running[i]
	if m == nil {
		return
	}
	b.running[i] = nil
	if err := m.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	<-m.exited
	m.stdin.Close()
}

// world is the testbed as the conformance suite wants it.
func (b *testbed) world() etcdtest.World {
	c := b.inspector()
	return etcdtest.World{
		Inspector: c, Changer: c, Hosts: b.all(), PeerURL: b.url(b.joiner, b.joiner.Ports.Peer),
		Start: func(t *testing.T, i int) { b.start(t, i) },
		Stop:  func(t *testing.T, i int) { b.stop(t, i) },
		Join:  func(t *testing.T, list []cluster.Member) { b.run(t, len(b.hosts), b.joins(list)...) },
	}
}
