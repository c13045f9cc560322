package statedir

import (
	"crypto/x509"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/pki"
)

// No member is there yet whose clock this machine's could be compared with when
// the CAs are made. Made by a clock that is far ahead or behind they are of use
// with the right one, and what they issue then is valid; a clock that has
// forgotten the time makes none.
func TestCAByAWrongClock(t *testing.T) {
	right := written().AddDate(1, 0, 0)
	for name, wrong := range map[string]time.Time{
		"300 days ahead": right.AddDate(0, 0, 300), "nine years ahead": right.AddDate(9, 0, 0), "300 days behind": right.AddDate(0, 0, -300),
	} {
		h := newHome(t, t.TempDir())
		h.now = func() time.Time { return wrong }
		if err := h.Create(t.Context(), owner, true); err != nil {
			t.Fatal(err)
		}
		h.now = func() time.Time { return right }
		control, err := h.Inspect(t.Context())
		if err != nil || control.Unusable != "" {
			t.Fatalf("%s: %+v, %v", name, control, err)
		}
		if !control.Operator.Due(right) {
			t.Errorf("%s: the operator's certificate is not due for renewal", name)
		}
		creds, err := h.Issue(t.Context(), "m", []string{"m.dev.test"})
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(creds.PeerCA)
		cert, err := pki.ParseCertificate("peer", creds.Peer.Cert)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: right, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
			t.Errorf("%s: what is issued with the right clock: %v", name, err)
		}
	}
	h := newHome(t, t.TempDir())
	h.now = func() time.Time { return time.Unix(0, 0) }
	if err := h.Create(t.Context(), owner, true); err == nil || !strings.Contains(err.Error(), "the clock of this machine says 1970-01-01") {
		t.Errorf("in 1970: %v", err)
	}
	if _, err := os.Stat(h.path(pkiFolder)); err == nil {
		t.Error("in 1970: keys were made")
	}
	h.now = func() time.Time { return right }
	if err := h.Create(t.Context(), owner, true); err != nil {
		t.Errorf("with the clock corrected: %v", err)
	}
}
