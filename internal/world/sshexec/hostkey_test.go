package sshexec_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/world/sshexec"
	"github.com/pleiad-etcd/pleiad/internal/world/sshexec/sshexectest"
)

func ecdsaKey(t *testing.T) ssh.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return sshexectest.WriteKey(t, "", k, "")
}

func rsaKey(t *testing.T) ssh.Signer {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return sshexectest.WriteKey(t, "", k, "")
}

// certify makes a host certificate that is valid for some hours from a time on.
func certify(t *testing.T, authority, host ssh.Signer, from time.Time, names ...string) ssh.Signer {
	t.Helper()
	c := &ssh.Certificate{CertType: ssh.HostCert, Key: host.PublicKey(), ValidPrincipals: names,
		ValidAfter: uint64(from.Unix()), ValidBefore: uint64(from.Add(4 * time.Hour).Unix())}
	err := c.SignCert(rand.Reader, authority)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewCertSigner(c, host)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func line(name string, s ssh.Signer) string { return knownhosts.Line([]string{name}, s.PublicKey()) }

func TestHostKeys(t *testing.T) {
	t.Parallel()
	ed, ec, rs, other, authority := sshexectest.NewKey(t, ""), ecdsaKey(t), rsaKey(t), sshexectest.NewKey(t, ""), sshexectest.NewKey(t, "")
	now := time.Now().Add(-time.Hour)
	for name, test := range map[string]struct {
		server       []ssh.Signer
		known        func(addr string) string
		fingerprints []ssh.Signer
		want         sshexec.KeyProblem // "" for accepted
		shown        ssh.Signer         // the key in the error
	}{
		"known":                        {server: []ssh.Signer{ed}, known: func(a string) string { return line(a, ed) }},
		"hashed":                       {server: []ssh.Signer{ed}, known: func(a string) string { return line(knownhosts.HashHostname(knownhosts.Normalize(a)), ed) }},
		"known among several":          {server: []ssh.Signer{ec, rs, ed}, known: func(a string) string { return line(a, ed) }},
		"RSA known among several":      {server: []ssh.Signer{ec, ed, rs}, known: func(a string) string { return line(a, rs) }},
		"one of two known":             {server: []ssh.Signer{ec, ed}, known: func(a string) string { return line(a, rs) + "\n" + line(a, ec) }},
		"unknown":                      {server: []ssh.Signer{ed}, want: sshexec.KeyUnknown, shown: ed},
		"unknown port":                 {server: []ssh.Signer{ed}, known: func(string) string { return line("127.0.0.1", ed) }, want: sshexec.KeyUnknown, shown: ed},
		"changed":                      {server: []ssh.Signer{ed}, known: func(a string) string { return line(a, other) }, want: sshexec.KeyChanged, shown: ed},
		"changed type":                 {server: []ssh.Signer{ec}, known: func(a string) string { return line(a, ed) }, want: sshexec.KeyChanged, shown: ec},
		"revoked":                      {server: []ssh.Signer{ed}, known: func(a string) string { return line(a, ed) + "\n@revoked * " + line("x", ed)[2:] }, want: sshexec.KeyRevoked, shown: ed},
		"fingerprint":                  {server: []ssh.Signer{ed}, fingerprints: []ssh.Signer{other, ed}},
		"fingerprint of another type":  {server: []ssh.Signer{ed, ec, rs}, fingerprints: []ssh.Signer{rs}},
		"fingerprint of another key":   {server: []ssh.Signer{ed, ec}, fingerprints: []ssh.Signer{other}, want: sshexec.KeyUnknown, shown: ed},
		"fingerprint of a revoked key": {server: []ssh.Signer{ed}, known: func(string) string { return "@revoked * " + line("x", ed)[2:] }, fingerprints: []ssh.Signer{ed}, want: sshexec.KeyRevoked, shown: ed},
		"fingerprint of a changed key": {server: []ssh.Signer{ed}, known: func(a string) string { return line(a, other) }, fingerprints: []ssh.Signer{ed}},
		"certificate":                  {server: []ssh.Signer{certify(t, authority, ed, now, "127.0.0.1")}, known: func(a string) string { return "@cert-authority " + line(a, authority) }},
		"certificate beside keys":      {server: []ssh.Signer{ec, ed, certify(t, authority, ed, now, "127.0.0.1")}, known: func(a string) string { return "@cert-authority " + line(a, authority) }},
		"certificate for another host": {server: []ssh.Signer{certify(t, authority, ed, now, "10.0.0.9")}, known: func(a string) string { return "@cert-authority " + line(a, authority) }, want: sshexec.KeyInvalid, shown: ed},
		"expired certificate":          {server: []ssh.Signer{certify(t, authority, ed, now.Add(-24*time.Hour), "127.0.0.1")}, known: func(a string) string { return "@cert-authority " + line(a, authority) }, want: sshexec.KeyInvalid, shown: ed},
		"revoked certificate": {server: []ssh.Signer{certify(t, authority, ed, now, "127.0.0.1")}, known: func(a string) string {
			return "@cert-authority " + line(a, authority) + "\n@revoked * " + line("x", ed)[2:]
		}, want: sshexec.KeyRevoked, shown: ed},
		"certificate of a stranger":    {server: []ssh.Signer{certify(t, other, ed, now, "127.0.0.1")}, known: func(a string) string { return "@cert-authority " + line(a, authority) }, want: sshexec.KeyInvalid, shown: ed},
		"authority but no certificate": {server: []ssh.Signer{ed}, known: func(a string) string { return "@cert-authority " + line(a, authority) }, want: sshexec.KeyUnknown, shown: ed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sshexectest.Start(t, sshexectest.Options{Address: address, HostKeys: test.server})
			text := "# nothing\n"
			if test.known != nil {
				text = test.known(s.Addr) + "\n"
			}
			if err := os.WriteFile(s.KnownHosts, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			var c sshexec.Config
			for _, k := range test.fingerprints {
				c.Fingerprints = append(c.Fingerprints, ssh.FingerprintSHA256(k.PublicKey()))
			}
			_, err := machine(t, s, c).Run(t.Context(), "true", nil)
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var e *sshexec.HostKeyError
			if !errors.As(err, &e) || e.Problem != test.want || !fault.Lasting(err) {
				t.Fatalf("%v, want %s", err, test.want)
			}
			shown := ssh.FingerprintSHA256(test.shown.PublicKey())
			if e.Fingerprint != shown || e.Type != test.shown.PublicKey().Type() || !strings.Contains(err.Error(), shown) || !strings.Contains(err.Error(), e.Type) {
				t.Errorf("%v, want %s", err, shown)
			}
			if len(s.Offered()) > 0 {
				t.Error("it tried to log in")
			}
		})
	}
}

// The remedy for an unknown key, taken by word, lets the host in; that for a
// changed one warns first.
func TestHostKeyRemedy(t *testing.T) {
	t.Parallel()
	s := sshexectest.Start(t, sshexectest.Options{Address: address})
	if err := os.Remove(s.KnownHosts); err != nil {
		t.Fatal(err)
	}
	m := machine(t, s, sshexec.Config{})
	_, err := m.Run(t.Context(), "true", nil)
	remedy := strings.Join(fault.Remedy(err), "\n")
	for _, want := range []string{
		"ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub", fmt.Sprintf("ssh-keyscan -t ed25519 -p %d 127.0.0.1", s.Port),
		`fingerprints: ["` + s.Fingerprint + `"]`,
	} {
		if !strings.Contains(remedy, want) {
			t.Errorf("no %q in %s", want, remedy)
		}
	}
	for _, line := range fault.Remedy(err) {
		if strings.HasPrefix(line, "echo ") {
			if out, err := exec.Command("sh", "-c", line).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", line, err, out)
			}
		}
	}
	if _, err := m.Run(t.Context(), "true", nil); err != nil { // the same machine, as the next round will
		t.Error(err)
	}
}

func TestChangedKeyIsLoud(t *testing.T) {
	t.Parallel()
	s := sshexectest.Start(t, sshexectest.Options{Address: address})
	if err := os.WriteFile(s.KnownHosts, []byte(line(s.Addr, sshexectest.NewKey(t, ""))+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := machine(t, s, sshexec.Config{}).Run(t.Context(), "true", nil)
	if err == nil || !strings.Contains(err.Error(), "HAS CHANGED") || !strings.Contains(err.Error(), s.KnownHosts+":1") {
		t.Error(err)
	}
	remedy := strings.Join(fault.Remedy(err), "\n")
	if !strings.HasPrefix(remedy, "ask the administrator of the host") || strings.Contains(remedy, "ssh-keygen -R") || strings.Contains(remedy, "delete") || strings.Contains(remedy, "remove") {
		t.Errorf("remedy %q", remedy)
	}
}

// A line that cannot be read may be the one that revokes.
func TestBrokenKnownHosts(t *testing.T) {
	t.Parallel()
	s := sshexectest.Start(t, sshexectest.Options{Address: address})
	f, err := os.OpenFile(s.KnownHosts, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(f, "@revoked * ssh-ed25519 nonsense")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = machine(t, s, sshexec.Config{}).Run(t.Context(), "true", nil)
	if !errors.Is(err, sshexec.ErrSetup) || !fault.Lasting(err) || !strings.Contains(err.Error(), s.KnownHosts+":2") || len(fault.Remedy(err)) == 0 {
		t.Error(err)
	}
}

func TestHostKeyAlias(t *testing.T) {
	t.Parallel()
	key := sshexectest.NewKey(t, "")
	s := sshexectest.Start(t, sshexectest.Options{Address: address, HostKeys: []ssh.Signer{key}})
	if err := os.WriteFile(s.KnownHosts, []byte(line("gold", key)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf("Host 192.0.2.?\n HostKeyAlias gold\nInclude %s\n", sshexectest.Config(t, s))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := pool(t, sshexec.Config{SSHConfig: config}).Machine(addr(address)).Run(t.Context(), "true", nil); err != nil {
		t.Error(err)
	}
}

// Without ssh_config the fields of Config alone lead to the machine.
func TestConfigAlone(t *testing.T) {
	t.Parallel()
	s := sshexectest.Start(t, sshexectest.Options{})
	c := sshexec.Config{SSHConfig: "none", User: "root", Port: s.Port, IdentityFile: s.KeyFile, KnownHosts: s.KnownHosts}
	host, _, err := net.SplitHostPort(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pool(t, c).Machine(addr(host)).Run(t.Context(), "true", nil); err != nil {
		t.Error(err)
	}
}
