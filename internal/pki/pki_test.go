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

func newCA(t testing.TB) CA {
	t.Helper()
	ca, err := NewCA(rand.Reader, epoch, "dev")
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

// pair is a leaf as crypto/tls takes it, issued at a time.
func pair(t testing.TB, ca CA, now time.Time, operator bool) tls.Certificate {
	t.Helper()
	key := newKey(t)
	cert, err := ca.IssueMember(rand.Reader, now, key, "etcd-k3v9qd2m", memberNames)
	if operator {
		cert, err = ca.IssueOperator(rand.Reader, now, key)
	}
	if err != nil {
		t.Fatal(err)
	}
	p, err := tls.X509KeyPair(cert, key.PEM())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestMemberCertificate(t *testing.T) {
	ca, key := newCA(t), newKey(t)
	pem, err := ca.IssueMember(rand.Reader, epoch, key, "etcd-k3v9qd2m", append(memberNames, "dev.test"))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ParseCertificate("member certificate", pem)
	if err != nil {
		t.Fatal(err)
	}
	type facts struct {
		CN        string
		DNS       []string
		IP        []string
		Usage     x509.KeyUsage
		Extended  []x509.ExtKeyUsage
		IsCA      bool
		NotBefore time.Time
		NotAfter  time.Time
	}
	var ips []string
	for _, ip := range cert.IPAddresses {
		ips = append(ips, ip.String())
	}
	have := facts{cert.Subject.CommonName, cert.DNSNames, ips, cert.KeyUsage, cert.ExtKeyUsage, cert.IsCA, cert.NotBefore, cert.NotAfter}
	want := facts{"etcd-k3v9qd2m", []string{"etcd-k3v9qd2m.dev.test", "dev.test"}, []string{"127.71.0.1", "127.0.0.1"},
		x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, false,
		epoch.Add(-5 * time.Minute), epoch.AddDate(1, 0, 0)}
	if d := cmp.Diff(want, have); d != "" {
		t.Errorf("member certificate (-want +have):\n%s", d)
	}
	if !ca.Issued(cert) || newCA(t).Issued(cert) || !key.Matches(cert) || newKey(t).Matches(cert) {
		t.Error("the certificate is not taken for exactly its CA's and its key's")
	}
}

func TestOperatorCertificate(t *testing.T) {
	cert := pair(t, newCA(t), epoch, true).Leaf
	if cert.Subject.CommonName != OperatorName || !slices.Equal(cert.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}) {
		t.Errorf("operator's certificate is of %q for %v, want %q and clientAuth only", cert.Subject.CommonName, cert.ExtKeyUsage, OperatorName)
	}
}

func TestCACertificate(t *testing.T) {
	cert := newCA(t).Certificate()
	if !cert.IsCA || !cert.MaxPathLenZero || cert.MaxPathLen != 0 {
		t.Errorf("IsCA %v, MaxPathLen %d (zero %v): want a CA of leaves only", cert.IsCA, cert.MaxPathLen, cert.MaxPathLenZero)
	}
	if want := epoch.AddDate(10, 0, 0); !cert.NotAfter.Equal(want) || !cert.NotBefore.Equal(epoch.Add(-skew)) {
		t.Errorf("valid from %v to %v, want %v to %v", cert.NotBefore, cert.NotAfter, epoch.Add(-skew), want)
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
	c := tls.Client(b, &tls.Config{Certificates: []tls.Certificate{client}, RootCAs: pool, ServerName: name, Time: now})
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
	ca, other := newCA(t), newCA(t)
	member, operator := pair(t, ca, epoch, false), pair(t, ca, epoch, true)
	for _, c := range []struct {
		what           string
		server, client tls.Certificate
		name           string
		at             time.Time
		want           string // in either end's error; empty for success
	}{
		{"operator to member by name", member, operator, "etcd-k3v9qd2m.dev.test", epoch, ""},
		{"operator to member by domain", member, operator, "dev.test", epoch, ""},
		{"operator to member by address", member, operator, "127.71.0.1", epoch, ""},
		{"member to member", member, member, "etcd-k3v9qd2m.dev.test", epoch, ""},
		{"member whose clock is behind", member, member, "dev.test", epoch.Add(-4 * time.Minute), ""},
		{"clock too far behind", member, member, "dev.test", epoch.Add(-6 * time.Minute), "not yet valid"},
		{"after a year", member, member, "dev.test", epoch.AddDate(1, 0, 1), "expired"},
		{"another member's name", member, operator, "etcd-0000000.dev.test", epoch, "not etcd-0000000.dev.test"},
		{"operator as server", operator, member, "dev.test", epoch, "x509"},
		{"member of another CA", pair(t, other, epoch, false), operator, "dev.test", epoch, "unknown authority"},
		{"operator of another CA", member, pair(t, other, epoch, true), "dev.test", epoch, "certificate"},
	} {
		client, server := handshake(ca, c.server, c.client, c.name, c.at)
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
	ca := newCA(t)
	last := ca.Certificate().NotAfter
	leaf := pair(t, ca, last.AddDate(0, -2, 0), false).Leaf
	if !leaf.NotAfter.Equal(last) {
		t.Errorf("leaf is valid until %v, the CA until %v", leaf.NotAfter, last)
	}
	if w := Window(leaf); !w.RenewAt.Before(last) {
		t.Errorf("renewal at %v is not before the end at %v", w.RenewAt, last)
	}
	_, err := ca.IssueMember(rand.Reader, last, newKey(t), "m", memberNames)
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
	ca, key := newCA(t), newKey(t)
	for _, names := range [][]string{nil, {""}, {"*.dev.test"}, {"dev.test."}, {"Dev.test"}, {"a b"}, {"-a.test"}, {"a..test"}, {"fe80::1%eth0x y"},
		{strings.Repeat("a", 64) + ".test"}, {strings.Repeat("a.", 127) + "ab"}} {
		if pem, err := ca.IssueMember(rand.Reader, epoch, key, "etcd-k3v9qd2m", names); err == nil || !strings.Contains(err.Error(), "etcd-k3v9qd2m") {
			t.Errorf("names %q: issued %d bytes, error %v", names, len(pem), err)
		}
	}
}

func TestCARoundTrip(t *testing.T) {
	ca := newCA(t)
	again, err := ParseCA(ca.PEM(), ca.Key().PEM())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.PEM(), ca.PEM()) || !bytes.Equal(again.Key().PEM(), ca.Key().PEM()) {
		t.Error("a CA that was stored and read again is not the same")
	}
	id := Fingerprint(ca.Certificate())
	if len(id) != 16 || strings.Trim(id, "0123456789abcdef") != "" || id != Fingerprint(again.Certificate()) || id == Fingerprint(newCA(t).Certificate()) {
		t.Errorf("fingerprint %q: want 16 hexadecimal digits, the same for the same CA only", id)
	}
}

func TestParseCASaysWhichFileAndWhy(t *testing.T) {
	ca, other := newCA(t), newCA(t)
	cert, key := ca.PEM(), []byte(ca.Key().PEM())
	leaf, err := ca.IssueMember(rand.Reader, epoch, ca.Key(), "m", memberNames)
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
		{nil, key, "CA certificate: empty"},
		{cert[:len(cert)/2], key, "CA certificate: no PEM block"},
		{key, key, `CA certificate: the PEM block is not of type "CERTIFICATE"`},
		{slices.Concat(cert, cert), key, "CA certificate: more than one PEM block"},
		{slices.Concat([]byte("x\n"), cert), key, "CA certificate: text before the PEM block"},
		{encode(certificateBlock, []byte("x")), key, "CA certificate: x509: malformed certificate"},
		{leaf, key, "CA certificate: it is not a CA's"},
		{cert, nil, "CA key: empty"},
		{cert, key[:len(key)-30], "CA key: no PEM block"},
		{cert, cert, `CA key: the PEM block is not of type "PRIVATE KEY" (PKCS #8)`},
		{cert, encode(keyBlock, []byte("x")), "CA key: the PEM block holds no PKCS #8 key"},
		{cert, encode(keyBlock, der), "CA key: want an ECDSA key on P-256"},
		{cert, other.Key().PEM(), "CA key: it does not belong to the CA certificate"},
	} {
		_, err := ParseCA(c.cert, c.key)
		if err == nil || err.Error() != c.want {
			t.Errorf("have %v, want %s", err, c.want)
		}
	}
}

// A CA that may not sign CAs does not make one: MaxPathLen 0.
func TestNoCABelowTheCA(t *testing.T) {
	ca, sub := newCA(t), newKey(t)
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "sub"}, NotBefore: epoch, NotAfter: epoch.AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, sub.private.Public(), ca.key.private)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	leaf := pair(t, CA{cert: cert, key: sub}, epoch, false).Leaf
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
		ca, key := newCA(t), newKey(t)
		cert, err := ca.IssueMember(rand.Reader, epoch, key, "m", memberNames)
		if err != nil {
			t.Fatal(err)
		}
		return slices.Concat(ca.PEM(), ca.Key().PEM(), key.PEM(), cert)
	}
	if !bytes.Equal(make(), make()) {
		t.Error("the same randomness and time gave different certificates")
	}
}

func BenchmarkIssueMember(b *testing.B) {
	ca := newCA(b)
	for b.Loop() {
		if _, err := ca.IssueMember(rand.Reader, epoch, newKey(b), "m", memberNames); err != nil {
			b.Fatal(err)
		}
	}
}
