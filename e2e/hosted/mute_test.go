package hosted

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/e2e/hosted/edge"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/cloudflare/cloudflaretest"
)

// The first name server of resolv.conf is mute: the resolver of the system, and Go's, ask
// the second one five seconds later, at each lookup anew. A cluster is made, looked at and
// destroyed all the same, though the API itself is known by its name only.
func TestMuteNameServer(t *testing.T) {
	f := cloudflaretest.New(t)
	f.AddZone(cloudflaretest.Zone{Name: zone, NameServers: []string{edge.Server(zone)}})
	f.Allow(token, zone, cloudflaretest.EditRecords)
	api, authority := named(t, "api."+zone, f.URL)
	ofZone := edge.Cloudflare(f, zone)
	records := func() []string { return append(ofZone(), "api."+zone+". 60 IN A 127.0.0.1") }
	o := newOperator(t, "{cloudflare: {endpoint: \""+api+"\"}}", records, token, "CLOUDFLARE_API_TOKEN="+token, "SSL_CERT_FILE="+authority)
	good, err := os.ReadFile(filepath.Join(o.folder, "resolv.conf"))
	if err != nil {
		t.Fatal(err)
	}
	o.write("resolv.conf", "nameserver "+mute(t)+"\n"+string(good))

	o.run(0, "up")
	o.run(0, "health")
	began := time.Now()
	if said := o.run(0, "status"); !strings.Contains(said, "sealed, 3 of 3 members healthy") {
		t.Errorf("status: %s", said)
	}
	// What shows the zone to others is asked too, and would wait for three seconds.
	if took := time.Since(began); took >= 3*time.Second {
		t.Errorf("status took %s, as long as a lookup with nobody asked beside the mute one", took)
	}
	o.run(0, "up")
	o.run(0, "destroy --yes")
}

// named makes an API reachable by a name, with a certificate for it. It returns the URL,
// and a file with whom to trust.
func named(t *testing.T, name, at string) (endpoint, authority string) {
	t.Helper()
	behind, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	authority = filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}), 0o600); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = behind.Scheme, behind.Host
	}})
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}}}
	s.StartTLS()
	t.Cleanup(s.Close)
	_, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "https://"), ":")
	return "https://" + name + ":" + port + behind.Path, authority
}
