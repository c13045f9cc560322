package home

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pleiad-etcd/pleiad/internal/pki"
	"github.com/pleiad-etcd/pleiad/internal/world/authority"
	"github.com/pleiad-etcd/pleiad/internal/world/authority/authoritytest"
)

func TestAuthorityContract(t *testing.T) {
	authoritytest.Run(t, func(t *testing.T) authority.Authority { return newHome(t, t.TempDir()) })
}

// The operator and a member that was issued a certificate accept each other.
func TestOperatorTalksToMember(t *testing.T) {
	h := newHome(t, t.TempDir())
	if err := h.Create(t.Context(), owner, true); err != nil {
		t.Fatal(err)
	}
	creds, err := h.Issue(t.Context(), "etcd-k3v9qd2m", []string{"etcd-k3v9qd2m.dev.test", "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(creds.Cert, creds.Key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(creds.CA)
	client, err := h.ClientTLS()
	if err != nil {
		t.Fatal(err)
	}
	client.ServerName = "etcd-k3v9qd2m.dev.test"
	a, b := net.Pipe()
	done := make(chan error)
	go func() {
		done <- tls.Server(a, &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, SessionTicketsDisabled: true}).Handshake()
	}()
	if err := tls.Client(b, client).Handshake(); err != nil {
		t.Errorf("client: %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("member: %v", err)
	}
	files := h.OperatorFiles()
	if _, err := tls.LoadX509KeyPair(files.Cert, files.Key); err != nil {
		t.Errorf("operator's files: %v", err)
	}
	if b, err := os.ReadFile(files.CA); err != nil || string(b) != string(creds.CA) {
		t.Errorf("CA's file is not what members trust: %v", err)
	}
}

func TestRenewOperatorKeepsTheKey(t *testing.T) {
	h := newHome(t, t.TempDir())
	start := time.Now()
	h.now = func() time.Time { return start }
	if err := h.Create(t.Context(), owner, true); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, h)
	h.now = func() time.Time { return start.AddDate(0, 9, 0) }
	c, err := h.Inspect(t.Context())
	if err != nil || !c.Operator.Due(h.now()) {
		t.Fatalf("after nine months the operator is not due: %+v, %v", c.Operator, err)
	}
	if err := h.RenewOperator(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err = h.Inspect(t.Context())
	if err != nil || c.Operator.Due(h.now()) {
		t.Errorf("after renewal: %+v, %v", c.Operator, err)
	}
	after := snapshot(t, h)
	for name := range after {
		if changed := before[name] != after[name]; changed != (name == "pki/client.crt") {
			t.Errorf("%s changed: %v", name, changed)
		}
	}
}

// snapshot is the contents of the files that matter.
func snapshot(t testing.TB, h *Home) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, name := range []string{"home.json", "spec.yaml", "pki/ca.crt", "pki/ca.key", "pki/client.crt", "pki/client.key"} {
		if b, err := os.ReadFile(h.path(name)); err == nil {
			out[name] = string(b)
		}
	}
	return out
}

// An operator's pair that is missing, cut short or another's is as good as
// none, and is issued again under the same CA.
func TestOperatorIsMended(t *testing.T) {
	other := newHome(t, t.TempDir())
	if err := other.Create(t.Context(), owner, true); err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func(t *testing.T, h *Home){
		"no certificate":     func(t *testing.T, h *Home) { remove(t, h.path("pki/client.crt")) },
		"no key":             func(t *testing.T, h *Home) { remove(t, h.path("pki/client.key")) },
		"half a certificate": func(t *testing.T, h *Home) { write(t, h.path("pki/client.crt"), "-----BEGIN CERT") },
		"half a key":         func(t *testing.T, h *Home) { write(t, h.path("pki/client.key"), "-----BEGIN PRIV") },
		"another key":        func(t *testing.T, h *Home) { write(t, h.path("pki/client.key"), snapshot(t, other)["pki/client.key"]) },
		"another CA's": func(t *testing.T, h *Home) {
			write(t, h.path("pki/client.key"), snapshot(t, other)["pki/client.key"])
			write(t, h.path("pki/client.crt"), snapshot(t, other)["pki/client.crt"])
		},
	} {
		t.Run(what, func(t *testing.T) {
			h := newHome(t, t.TempDir())
			if err := h.Create(t.Context(), owner, true); err != nil {
				t.Fatal(err)
			}
			before, err := h.Inspect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			spoil(t, h)
			spoiled, err := h.Inspect(t.Context())
			if err != nil || spoiled.Operator != nil || spoiled.CA != before.CA {
				t.Errorf("spoiled: %+v, %v", spoiled, err)
			}
			if _, err := h.ClientTLS(); err == nil {
				t.Error("a spoiled operator is presented")
			}
			if err := h.Create(t.Context(), owner, true); err != nil {
				t.Fatal(err)
			}
			after, err := h.Inspect(t.Context())
			if err != nil || after.Operator == nil || after.CA != before.CA {
				t.Errorf("mended: %+v, %v", after, err)
			}
			if _, err := h.ClientTLS(); err != nil {
				t.Errorf("a mended operator is not presented: %v", err)
			}
		})
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// A damaged CA is unknown, never absent: nothing replaces it, nothing is
// issued, and the error names the file without showing what is in it.
func TestDamagedCAIsNeverReplaced(t *testing.T) {
	other := newHome(t, t.TempDir())
	if err := other.Create(t.Context(), owner, true); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what  string
		spoil func(t *testing.T, h *Home)
		want  string
	}{
		{"no key", func(t *testing.T, h *Home) { remove(t, h.path("pki/ca.key")) }, "ca.key: missing"},
		{"no certificate", func(t *testing.T, h *Home) { remove(t, h.path("pki/ca.crt")) }, "ca.crt: missing"},
		{"half a key", func(t *testing.T, h *Home) {
			write(t, h.path("pki/ca.key"), snapshot(t, h)["pki/ca.key"][:100])
		}, "CA key: no PEM block"},
		{"another's key", func(t *testing.T, h *Home) {
			write(t, h.path("pki/ca.key"), snapshot(t, other)["pki/ca.key"])
		}, "does not belong to the CA certificate"},
		{"a leaf for a CA", func(t *testing.T, h *Home) {
			write(t, h.path("pki/ca.crt"), snapshot(t, h)["pki/client.crt"])
		}, "it is not a CA's"},
		{"key that others can read", func(t *testing.T, h *Home) { chmod(t, h.path("pki/ca.key"), 0o640) }, "others can read the key (mode 0640)"},
		{"folder that others can write", func(t *testing.T, h *Home) { chmod(t, h.path("pki"), 0o777) }, "others can write to it"},
		{"folder that is a link", func(t *testing.T, h *Home) {
			if err := os.Rename(h.path("pki"), h.path("..", "pki")); err != nil {
				t.Fatal(err)
			}
			symlink(t, filepath.Join("..", "pki"), h.path("pki"))
		}, "want a folder, not a symbolic link"},
		{"key that is a link", func(t *testing.T, h *Home) {
			if err := os.Rename(h.path("pki/ca.key"), h.path("..", "ca.key")); err != nil {
				t.Fatal(err)
			}
			symlink(t, filepath.Join("..", "..", "ca.key"), h.path("pki/ca.key"))
		}, "want a file, not a symbolic link"},
	} {
		t.Run(c.what, func(t *testing.T) {
			h := newHome(t, t.TempDir())
			if err := h.Create(t.Context(), owner, true); err != nil {
				t.Fatal(err)
			}
			c.spoil(t, h)
			before, key := snapshot(t, h), snapshot(t, other)["pki/ca.key"]
			_, inspecting := h.Inspect(t.Context())
			_, issuing := h.Issue(t.Context(), "m", []string{"m.dev.test"})
			for what, err := range map[string]error{"Inspect": inspecting, "Issue": issuing, "Create": h.Create(t.Context(), owner, true), "RenewOperator": h.RenewOperator(t.Context())} {
				var e *Error
				if !errors.As(err, &e) || e.Hint == "" || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s: have %v, want %q with a hint", what, err, c.want)
					continue
				}
				for _, k := range []string{before["pki/ca.key"], key} {
					if lines := strings.Split(k, "\n"); len(lines) > 1 && strings.Contains(err.Error()+e.Hint, lines[1]) {
						t.Errorf("%s: the error shows the key", what)
					}
				}
			}
			if d := cmp.Diff(before, snapshot(t, h)); d != "" {
				t.Errorf("files were changed (-before +after):\n%s", d)
			}
		})
	}
}

// Something else in the place of the CA is not overwritten, and not deleted.
func TestForeignFilesInPKI(t *testing.T) {
	h := newHome(t, t.TempDir())
	write(t, h.path("pki", "notes"), "x")
	if err := h.Create(t.Context(), owner, true); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "notes") {
		t.Errorf("Create over a foreign file: %v", err)
	}
	if err := h.Forget(t.Context()); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "notes") {
		t.Errorf("Forget over a foreign file: %v", err)
	}
	if _, err := os.Stat(h.path("pki", "notes")); err != nil {
		t.Error(err)
	}
	remove(t, h.path("pki", "notes"))
	if err := h.Create(t.Context(), owner, true); err != nil {
		t.Errorf("Create over an empty folder: %v", err)
	}
}

func TestFingerprintIsTheCAs(t *testing.T) {
	h := newHome(t, t.TempDir())
	if err := h.Create(t.Context(), owner, true); err != nil {
		t.Fatal(err)
	}
	cert, err := pki.ParseCertificate("CA certificate", []byte(snapshot(t, h)["pki/ca.crt"]))
	if err != nil {
		t.Fatal(err)
	}
	if c, err := h.Inspect(t.Context()); err != nil || c.CA != pki.Fingerprint(cert) {
		t.Errorf("Inspect: %+v, %v, want CA %s", c, err, pki.Fingerprint(cert))
	}
}

func BenchmarkIssue(b *testing.B) {
	h := newHome(b, b.TempDir())
	if err := h.Create(b.Context(), owner, true); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := h.Issue(b.Context(), "m", []string{"m.dev.test", "127.0.0.1"}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCreate(b *testing.B) {
	root := b.TempDir()
	for b.Loop() {
		h, err := Create(b.Context(), root, "dev", "dev.test")
		if err != nil {
			b.Fatal(err)
		}
		if err := h.Create(b.Context(), owner, true); err != nil {
			b.Fatal(err)
		}
		if err := os.RemoveAll(h.Dir()); err != nil {
			b.Fatal(err)
		}
	}
}
