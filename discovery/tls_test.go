package discovery_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"testing"

	"github.com/pleiad-etcd/pleiad/discovery"
	"github.com/pleiad-etcd/pleiad/discovery/internal/testpki"
)

// A member is dialled by address and still has to prove its host name; its
// neighbour's certificate, from the same CA, is not enough.
func TestTLSConfigVerifiesTheHost(t *testing.T) {
	t.Parallel()
	ca, err := testpki.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Leaf("m1.lab.test")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(cert.CertFile, cert.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	address := serveTLS(t, pair)
	base := &tls.Config{RootCAs: ca.Pool(), ServerName: "somewhere.test", MinVersion: tls.VersionTLS13}
	for host, ok := range map[string]bool{"m1.lab.test": true, "m2.lab.test": false, "lab.test": false} {
		e := discovery.Endpoint{Host: host, Port: 2379, TLS: true}
		conn, err := tls.Dial("tcp", address, e.TLSConfig(base))
		if err == nil {
			conn.Close()
		}
		var mismatch x509.HostnameError
		if ok != (err == nil) || !ok && !errors.As(err, &mismatch) {
			t.Errorf("%s: error %v, want success: %v", host, err, ok)
		}
	}
	if base.ServerName != "somewhere.test" {
		t.Errorf("base was changed: %q", base.ServerName)
	}
}

// serveTLS finishes the handshake with whoever comes, until the test ends.
func serveTLS(t *testing.T, pair tls.Certificate) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			_ = conn.(*tls.Conn).Handshake() // the client reports it
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

func TestTLSConfigOfNothing(t *testing.T) {
	secure := discovery.Endpoint{Host: "m1.lab.test", Port: 2379, TLS: true}
	if c := secure.TLSConfig(nil); c == nil || c.ServerName != "m1.lab.test" || c.InsecureSkipVerify {
		t.Errorf("TLSConfig(nil) is %v", c)
	}
	plain := discovery.Endpoint{Host: "m1.lab.test", Port: 2379}
	if c := plain.TLSConfig(&tls.Config{}); c != nil {
		t.Errorf("an endpoint without TLS gives %v, want nil", c)
	}
}
