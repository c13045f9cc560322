package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var epoch = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

var memberNames = []string{"etcd-k3v9qd2m.dev.test", "dev.test", "127.71.0.1", "127.0.0.1"}

func newPeerCA(t testing.TB) PeerCA {
	t.Helper()
	ca, err := NewPeerCA(rand.Reader, epoch, "dev")
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func newClientCA(t testing.TB) ClientCA {
	t.Helper()
	ca, err := NewClientCA(rand.Reader, epoch, "dev")
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func newKey(t testing.TB) Key {
	t.Helper()
	k, err := NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// pair is a leaf as crypto/tls takes it.
func pair(t testing.TB, issue func(Key) ([]byte, error)) tls.Certificate {
	t.Helper()
	key := newKey(t)
	cert, err := issue(key)
	if err != nil {
		t.Fatal(err)
	}
	p, err := tls.X509KeyPair(cert, key.PEM())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func peer(t testing.TB, ca PeerCA, now time.Time) tls.Certificate {
	return pair(t, func(k Key) ([]byte, error) { return ca.IssuePeer(rand.Reader, now, k, "etcd-k3v9qd2m", memberNames) })
}

func server(t testing.TB, ca ClientCA, now time.Time) tls.Certificate {
	return pair(t, func(k Key) ([]byte, error) { return ca.IssueServer(rand.Reader, now, k, "etcd-k3v9qd2m", memberNames) })
}

func operator(t testing.TB, ca ClientCA, now time.Time) tls.Certificate {
	return pair(t, func(k Key) ([]byte, error) { return ca.IssueOperator(rand.Reader, now, k) })
}

// Which certificate says what about whom, and what it is good for.
func TestCertificates(t *testing.T) {
	peers, clients := newPeerCA(t), newClientCA(t)
	type facts struct {
		CN, O     string
		DNS, IP   []string
		Server    bool
		Client    bool
		NotBefore time.Time
		NotAfter  time.Time
	}
	start, year := epoch.Add(-5*time.Minute), epoch.AddDate(1, 0, 0)
	dns, ip := []string{"etcd-k3v9qd2m.dev.test", "dev.test"}, []string{"127.71.0.1", "127.0.0.1"}
	for _, c := range []struct {
		what  string
		ca    CA
		issue func(Key) ([]byte, error)
		want  facts
	}{
		{"peer", peers.CA, func(k Key) ([]byte, error) {
			return peers.IssuePeer(rand.Reader, epoch, k, "etcd-k3v9qd2m", append(memberNames, "dev.test"))
		}, facts{"etcd-k3v9qd2m", "", dns, ip, true, true, start, year}},
		{"server", clients.CA, func(k Key) ([]byte, error) {
			return clients.IssueServer(rand.Reader, epoch, k, "etcd-k3v9qd2m", append(memberNames, "dev.test"))
		}, facts{"etcd-k3v9qd2m", "", dns, ip, true, false, start, year}},
		{"gateway", clients.CA, func(k Key) ([]byte, error) { return clients.IssueGateway(rand.Reader, epoch, k, "etcd-k3v9qd2m") },
			facts{"", "JSON gateway of etcd-k3v9qd2m", nil, nil, false, true, start, year}},
		{"operator", clients.CA, func(k Key) ([]byte, error) { return clients.IssueOperator(rand.Reader, epoch, k) },
			facts{"pleiad", "", nil, nil, false, true, start, year}},
		{"application", clients.CA, func(k Key) ([]byte, error) {
			return clients.IssueClient(rand.Reader, epoch, k, Application{Name: "patroni"}, time.Hour)
		}, facts{"patroni", "", nil, nil, false, true, start, epoch.Add(time.Hour)}},
		{"application without a user", clients.CA, func(k Key) ([]byte, error) {
			return clients.IssueClient(rand.Reader, epoch, k, Application{Name: "patroni", NoUser: true}, time.Hour)
		}, facts{"", "patroni", nil, nil, false, true, start, epoch.Add(time.Hour)}},
	} {
		cert := pair(t, c.issue).Leaf
		have := facts{CN: cert.Subject.CommonName, O: strings.Join(cert.Subject.Organization, ","), DNS: cert.DNSNames, NotBefore: cert.NotBefore, NotAfter: cert.NotAfter,
			Server: slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageServerAuth), Client: slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageClientAuth)}
		for _, ip := range cert.IPAddresses {
			have.IP = append(have.IP, ip.String())
		}
		if d := cmp.Diff(c.want, have); d != "" {
			t.Errorf("%s certificate (-want +have):\n%s", c.what, d)
		}
		if cert.IsCA || cert.KeyUsage != x509.KeyUsageDigitalSignature || len(cert.ExtKeyUsage) > 2 {
			t.Errorf("%s certificate: CA %v, usage %v, %v", c.what, cert.IsCA, cert.KeyUsage, cert.ExtKeyUsage)
		}
		for other, ca := range map[string]CA{"peers": peers.CA, "clients": clients.CA, "another cluster": newClientCA(t).CA} {
			if ca.Issued(cert) != (ca.cert == c.ca.cert) {
				t.Errorf("%s certificate is taken for one of the CA of %s: %v", c.what, other, ca.Issued(cert))
			}
		}
	}
}

// Names that would give an application another's rights, take another's file,
// or mean something to a shell or a file system.
func TestApplicationNames(t *testing.T) {
	ca, key := newClientCA(t), newKey(t)
	for _, name := range []string{"", "pleiad", "Pleiad", "root", "Root", "ca", "CA", "a b", "-a", "a-", ".", "..", "a.", "a/b", "../a", "ä", "a\nb", strings.Repeat("a", 65)} {
		for _, app := range []Application{{Name: name}, {Name: name, NoUser: true}} {
			if pem, err := ca.IssueClient(rand.Reader, epoch, key, app, time.Hour); err == nil || !strings.Contains(err.Error(), "application name") {
				t.Errorf("name %q: issued %d bytes, error %v", name, len(pem), err)
			}
		}
	}
	for _, name := range []string{"a", "patroni", "Prometheus_2", "svc.backup-1", strings.Repeat("a", 64)} {
		app := Application{Name: name}
		cert := pair(t, func(k Key) ([]byte, error) { return ca.IssueClient(rand.Reader, epoch, k, app, MaxLife) }).Leaf
		if !app.Of(cert) || (Application{Name: name, NoUser: true}).Of(cert) || (Application{Name: "other"}).Of(cert) {
			t.Errorf("the certificate of %s is not taken for exactly its own", name)
		}
	}
	for _, life := range []time.Duration{0, -time.Hour, MaxLife + time.Second} {
		if pem, err := ca.IssueClient(rand.Reader, epoch, key, Application{Name: "patroni"}, life); err == nil || !strings.Contains(err.Error(), "want at most 8760h") {
			t.Errorf("life %s: issued %d bytes, error %v", life, len(pem), err)
		}
	}
}

func TestCACertificate(t *testing.T) {
	cert := newPeerCA(t).Certificate()
	if !cert.IsCA || !cert.MaxPathLenZero || cert.MaxPathLen != 0 {
		t.Errorf("IsCA %v, MaxPathLen %d (zero %v): want a CA of leaves only", cert.IsCA, cert.MaxPathLen, cert.MaxPathLenZero)
	}
	if from, to := epoch.AddDate(-10, 0, 0), epoch.AddDate(10, 0, 0); !cert.NotAfter.Equal(to) || !cert.NotBefore.Equal(from) {
		t.Errorf("valid from %v to %v, want %v to %v", cert.NotBefore, cert.NotAfter, from, to)
	}
}

// handshake is what a mutual TLS handshake at a time gives, client's error
// first.
func handshake(ca CA, server, client tls.Certificate, name string, at time.Time) (error, error) {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca.PEM())
	now := func() time.Time { return at }
	a, b := net.Pipe()
	done := make(chan error)
	go func() {
		s := tls.Server(a, &tls.Config{Certificates: []tls.Certificate{server}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, Time: now})
		err := s.Handshake()
		a.Close()
		done <- err
	}()
	// Of Certificates a client presents only what the server says it would accept.
	present := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &client, nil }
	c := tls.Client(b, &tls.Config{GetClientCertificate: present, RootCAs: pool, ServerName: name, Time: now})
	err := c.Handshake()
	if err == nil {
		_, err = c.Read(make([]byte, 1)) // with TLS 1.3 the server's verdict comes after the handshake
		if err != nil && err.Error() == "EOF" {
			err = nil
		}
	}
	b.Close()
	return err, <-done
}

func TestHandshake(t *testing.T) {
	peers, clients, other := newPeerCA(t), newClientCA(t), newClientCA(t)
	member, serving, operating := peer(t, peers, epoch), server(t, clients, epoch), operator(t, clients, epoch)
	for _, c := range []struct {
		what           string
		ca             CA
		server, client tls.Certificate
		name           string
		at             time.Time
		want           string // in either end's error; empty for success
	}{
		{"operator to member by name", clients.CA, serving, operating, "etcd-k3v9qd2m.dev.test", epoch, ""},
		{"operator to member by domain", clients.CA, serving, operating, "dev.test", epoch, ""},
		{"operator to member by address", clients.CA, serving, operating, "127.71.0.1", epoch, ""},
		{"member to member", peers.CA, member, member, "etcd-k3v9qd2m.dev.test", epoch, ""},
		{"member whose clock is behind", peers.CA, member, member, "dev.test", epoch.Add(-4 * time.Minute), ""},
		{"clock too far behind", peers.CA, member, member, "dev.test", epoch.Add(-6 * time.Minute), "not yet valid"},
		{"after a year", peers.CA, member, member, "dev.test", epoch.AddDate(1, 0, 1), "expired"},
		{"another member's name", clients.CA, serving, operating, "etcd-0000000.dev.test", epoch, "not etcd-0000000.dev.test"},
		{"operator as server", clients.CA, operating, operating, "dev.test", epoch, "x509"},
		{"server as client", clients.CA, serving, serving, "dev.test", epoch, "incompatible key usage"},
		{"operator to peers", peers.CA, member, operating, "dev.test", epoch, "unknown authority"},
		{"peer to clients' port", clients.CA, serving, member, "dev.test", epoch, "unknown authority"},
		{"member of another CA", clients.CA, server(t, other, epoch), operating, "dev.test", epoch, "unknown authority"},
		{"operator of another CA", clients.CA, serving, operator(t, other, epoch), "dev.test", epoch, "unknown authority"},
	} {
		client, server := handshake(c.ca, c.server, c.client, c.name, c.at)
		var text string
		for _, err := range []error{client, server} {
			if err != nil {
				text += err.Error() + "\n"
			}
		}
		if (c.want == "") != (text == "") || !strings.Contains(text, c.want) {
			t.Errorf("%s: have %q, want %q", c.what, text, c.want)
		}
	}
}

func TestLeafNeverOutlivesTheCA(t *testing.T) {
	ca := newPeerCA(t)
	last := ca.Certificate().NotAfter
	leaf := peer(t, ca, last.AddDate(0, -2, 0)).Leaf
	if !leaf.NotAfter.Equal(last) {
		t.Errorf("leaf is valid until %v, the CA until %v", leaf.NotAfter, last)
	}
	if w := Window(leaf); !w.RenewAt.Before(last) {
		t.Errorf("renewal at %v is not before the end at %v", w.RenewAt, last)
	}
	_, err := ca.IssuePeer(rand.Reader, last, newKey(t), "m", memberNames)
	if err == nil || !strings.Contains(err.Error(), "the CA expired on 2036-11-23") {
		t.Errorf("issue with an expired CA: %v", err)
	}
}

func TestWindow(t *testing.T) {
	w := Window(&x509.Certificate{NotBefore: epoch, NotAfter: epoch.Add(90 * time.Hour)})
	if !w.RenewAt.Equal(epoch.Add(60*time.Hour)) || !w.NotAfter.Equal(epoch.Add(90*time.Hour)) {
		t.Errorf("window of 90 hours is %v, want renewal after 60", w)
	}
	if w.Due(epoch.Add(60*time.Hour-time.Second)) || !w.Due(epoch.Add(60*time.Hour)) {
		t.Error("renewal is not due exactly from two thirds of its life on")
	}
}

func TestNamesThatCannotBeIssued(t *testing.T) {
	ca, key := newPeerCA(t), newKey(t)
	for _, names := range [][]string{nil, {""}, {"*.dev.test"}, {"dev.test."}, {"Dev.test"}, {"a b"}, {"-a.test"}, {"a..test"}, {"fe80::1%eth0x y"},
		{strings.Repeat("a", 64) + ".test"}, {strings.Repeat("a.", 127) + "ab"}} {
		if pem, err := ca.IssuePeer(rand.Reader, epoch, key, "etcd-k3v9qd2m", names); err == nil || !strings.Contains(err.Error(), "etcd-k3v9qd2m") {
			t.Errorf("names %q: issued %d bytes, error %v", names, len(pem), err)
		}
	}
}

func TestCARoundTrip(t *testing.T) {
	peers, clients := newPeerCA(t), newClientCA(t)
	again, err := ParsePeerCA(peers.PEM(), peers.Key().PEM())
	if err != nil {
		t.Fatal(err)
	}
	also, err := ParseClientCA(clients.PEM(), clients.Key().PEM())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.PEM(), peers.PEM()) || !bytes.Equal(again.Key().PEM(), peers.Key().PEM()) || !bytes.Equal(also.PEM(), clients.PEM()) {
		t.Error("a CA that was stored and read again is not the same")
	}
	id := Fingerprint(peers, clients)
	if len(id) != 16 || strings.Trim(id, "0123456789abcdef") != "" || id != Fingerprint(again, also) {
		t.Errorf("fingerprint %q: want 16 hexadecimal digits, the same for the same CAs", id)
	}
	if id == Fingerprint(newPeerCA(t), clients) || id == Fingerprint(peers, newClientCA(t)) {
		t.Error("another CA for peers or clients has the same fingerprint")
	}
}

func TestParseCASaysWhichFileAndWhy(t *testing.T) {
	ca, other := newPeerCA(t), newPeerCA(t)
	cert, key := ca.PEM(), []byte(ca.Key().PEM())
	leaf, err := ca.IssuePeer(rand.Reader, epoch, ca.Key(), "m", memberNames)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(p384)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		cert, key []byte
		want      string
	}{
		{nil, key, "peer CA certificate: empty"},
		{cert[:len(cert)/2], key, "peer CA certificate: no PEM block"},
		{key, key, `peer CA certificate: the PEM block is not of type "CERTIFICATE"`},
		{slices.Concat(cert, cert), key, "peer CA certificate: more than one PEM block"},
		{slices.Concat([]byte("x\n"), cert), key, "peer CA certificate: text before the PEM block"},
		{encode(certificateBlock, []byte("x")), key, "peer CA certificate: x509: malformed certificate"},
		{leaf, key, "peer CA certificate: it is not a CA's"},
		{newClientCA(t).PEM(), key, `peer CA certificate: it is of another CA, "pleiad client CA of dev"`},
		{cert, nil, "peer CA key: empty"},
		{cert, key[:len(key)-30], "peer CA key: no PEM block"},
		{cert, cert, `peer CA key: the PEM block is not of type "PRIVATE KEY" (PKCS #8)`},
		{cert, encode(keyBlock, []byte("x")), "peer CA key: the PEM block holds no PKCS #8 key"},
		{cert, encode(keyBlock, der), "peer CA key: want an ECDSA key on P-256"},
		{cert, other.Key().PEM(), "peer CA key: it does not belong to the certificate"},
	} {
		_, err := ParsePeerCA(c.cert, c.key)
		if err == nil || err.Error() != c.want {
			t.Errorf("have %v, want %s", err, c.want)
		}
	}
}

// A CA that may not sign CAs does not make one: MaxPathLen 0.
func TestNoCABelowTheCA(t *testing.T) {
	ca, sub := newPeerCA(t), newKey(t)
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "sub"}, NotBefore: epoch, NotAfter: epoch.AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, sub.private.Public(), ca.key.private)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	leaf := peer(t, PeerCA{CA{cert: cert, key: sub}}, epoch).Leaf
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(ca.cert)
	between.AddCert(cert)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: epoch}); err == nil {
		t.Error("a certificate signed by a CA below the CA was accepted")
	}
}

func TestSameRandomnessGivesTheSameBytes(t *testing.T) {
	make := func() (out []byte) {
		cryptotest.SetGlobalRandom(t, 7)
		ca, key := newPeerCA(t), newKey(t)
		cert, err := ca.IssuePeer(rand.Reader, epoch, key, "m", memberNames)
		if err != nil {
			t.Fatal(err)
		}
		return slices.Concat(ca.PEM(), ca.Key().PEM(), key.PEM(), cert)
	}
	if !bytes.Equal(make(), make()) {
		t.Error("the same randomness and time gave different certificates")
	}
}

func BenchmarkIssuePeer(b *testing.B) {
	ca := newPeerCA(b)
	for b.Loop() {
		if _, err := ca.IssuePeer(rand.Reader, epoch, newKey(b), "m", memberNames); err != nil {
			b.Fatal(err)
		}
	}
}
