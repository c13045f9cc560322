package statedir

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

	"github.com/pleiad-etcd/pleiad/internal/node"
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
	pair, err := tls.X509KeyPair(creds.Server.Cert, creds.Server.Key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(creds.ClientCA)
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
	if b, err := os.ReadFile(files.CA); err != nil || string(b) != string(creds.ClientCA) {
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
		if changed := before[name] != after[name]; changed != (name == "pki/operator.crt") {
			t.Errorf("%s changed: %v", name, changed)
		}
	}
}

// snapshot is the contents of the files that matter.
func snapshot(t testing.TB, h *Home) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, name := range []string{"home.json", "spec.yaml", "pki/peer-ca.crt", "pki/peer-ca.key", "pki/client-ca.crt", "pki/client-ca.key", "pki/operator.crt", "pki/operator.key"} {
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
		"no certificate":     func(t *testing.T, h *Home) { remove(t, h.path("pki/operator.crt")) },
		"no key":             func(t *testing.T, h *Home) { remove(t, h.path("pki/operator.key")) },
		"half a certificate": func(t *testing.T, h *Home) { write(t, h.path("pki/operator.crt"), "-----BEGIN CERT") },
		"half a key":         func(t *testing.T, h *Home) { write(t, h.path("pki/operator.key"), "-----BEGIN PRIV") },
		"another key": func(t *testing.T, h *Home) {
			write(t, h.path("pki/operator.key"), snapshot(t, other)["pki/operator.key"])
		},
		"another CA's": func(t *testing.T, h *Home) {
			write(t, h.path("pki/operator.key"), snapshot(t, other)["pki/operator.key"])
			write(t, h.path("pki/operator.crt"), snapshot(t, other)["pki/operator.crt"])
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

// A damaged CA is unusable, never absent: nothing replaces it, nothing is
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
		{"no key", func(t *testing.T, h *Home) { remove(t, h.path("pki/client-ca.key")) }, "client-ca.key: missing"},
		{"no key for peers", func(t *testing.T, h *Home) { remove(t, h.path("pki/peer-ca.key")) }, "peer-ca.key: missing"},
		{"no CA for clients", func(t *testing.T, h *Home) {
			remove(t, h.path("pki/client-ca.key"))
			remove(t, h.path("pki/client-ca.crt"))
		}, "client-ca.key: missing"},
		{"one CA in the other's place", func(t *testing.T, h *Home) {
			write(t, h.path("pki/client-ca.crt"), snapshot(t, h)["pki/peer-ca.crt"])
			write(t, h.path("pki/client-ca.key"), snapshot(t, h)["pki/peer-ca.key"])
		}, `client CA certificate: it is of another CA, "pleiad peer CA of dev"`},
		{"no certificate", func(t *testing.T, h *Home) { remove(t, h.path("pki/client-ca.crt")) }, "client-ca.crt: missing"},
		{"half a key", func(t *testing.T, h *Home) {
			write(t, h.path("pki/client-ca.key"), snapshot(t, h)["pki/client-ca.key"][:100])
		}, "client CA key: no PEM block"},
		{"another's key", func(t *testing.T, h *Home) {
			write(t, h.path("pki/client-ca.key"), snapshot(t, other)["pki/client-ca.key"])
		}, "does not belong to the certificate"},
		{"a leaf for a CA", func(t *testing.T, h *Home) {
			write(t, h.path("pki/client-ca.crt"), snapshot(t, h)["pki/operator.crt"])
		}, "it is not a CA's"},
		{"key that others can read", func(t *testing.T, h *Home) { chmod(t, h.path("pki/client-ca.key"), 0o640) }, "others can read the key (mode 0640)"},
		{"folder that others can write", func(t *testing.T, h *Home) { chmod(t, h.path("pki"), 0o777) }, "others can write to it"},
		{"folder that is a link", func(t *testing.T, h *Home) {
			if err := os.Rename(h.path("pki"), h.path("..", "pki")); err != nil {
				t.Fatal(err)
			}
			symlink(t, filepath.Join("..", "pki"), h.path("pki"))
		}, "want a folder, not a symbolic link"},
		{"key that is a link", func(t *testing.T, h *Home) {
			if err := os.Rename(h.path("pki/client-ca.key"), h.path("..", "client-ca.key")); err != nil {
				t.Fatal(err)
			}
			symlink(t, filepath.Join("..", "..", "client-ca.key"), h.path("pki/client-ca.key"))
		}, "want a file, not a symbolic link"},
	} {
		t.Run(c.what, func(t *testing.T) {
			h := newHome(t, t.TempDir())
			if err := h.Create(t.Context(), owner, true); err != nil {
				t.Fatal(err)
			}
			c.spoil(t, h)
			before, key := snapshot(t, h), snapshot(t, other)["pki/client-ca.key"]
			// Whose the cluster is is known all the same, and it can be destroyed.
			control, err := h.Inspect(t.Context())
			if err != nil || control.Owner != owner || control.CA != "" || !strings.Contains(control.Unusable, c.want) || control.Remedy == "" {
				t.Errorf("Inspect: %+v, %v; want the owner and %q with a remedy", control, err, c.want)
			}
			_, issuing := h.Issue(t.Context(), "m", []string{"m.dev.test"})
			for what, err := range map[string]error{"Issue": issuing, "Create": h.Create(t.Context(), owner, true), "RenewOperator": h.RenewOperator(t.Context())} {
				var e *Error
				if !errors.As(err, &e) || e.Hint == "" || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s: have %v, want %q with a hint", what, err, c.want)
					continue
				}
				for _, k := range []string{before["pki/client-ca.key"], key} {
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
	files := snapshot(t, h)
	peers, err := pki.ParsePeerCA([]byte(files["pki/peer-ca.crt"]), []byte(files["pki/peer-ca.key"]))
	if err != nil {
		t.Fatal(err)
	}
	clients, err := pki.ParseClientCA([]byte(files["pki/client-ca.crt"]), []byte(files["pki/client-ca.key"]))
	if err != nil {
		t.Fatal(err)
	}
	if c, err := h.Inspect(t.Context()); err != nil || c.CA != pki.Fingerprint(peers, clients) {
		t.Errorf("Inspect: %+v, %v, want CA %s", c, err, pki.Fingerprint(peers, clients))
	}
}

// Rule R15: nothing that leaves the control machine holds a key of a CA.
func TestIssuedHoldsNoKeyOfACA(t *testing.T) {
	h := newHome(t, t.TempDir())
	if err := h.Create(t.Context(), owner, true); err != nil {
		t.Fatal(err)
	}
	creds, err := h.Issue(t.Context(), "etcd-k3v9qd2m", []string{"etcd-k3v9qd2m.dev.test"})
	if err != nil {
		t.Fatal(err)
	}
	app, err := h.IssueClient(t.Context(), pki.Application{Name: "patroni"}, time.Hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	leaving := append(creds.Files(), node.CredentialFile{Name: "application's key", Content: app.Key},
		node.CredentialFile{Name: "application's certificate", Content: app.Cert}, node.CredentialFile{Name: "application's CA", Content: app.CA})
	for _, secret := range []string{"pki/peer-ca.key", "pki/client-ca.key", "pki/operator.key"} {
		key := strings.Split(snapshot(t, h)[secret], "\n")[1] // of the base64 in the PEM block
		for _, f := range leaving {
			if strings.Contains(string(f.Content), key) {
				t.Errorf("%s holds %s", f.Name, secret)
			}
		}
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
		h, err := Create(b.Context(), root, "dev", seatOf("dev.test"))
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
