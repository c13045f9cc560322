package sshexec_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/world/sshexec"
	"github.com/pleiad-etcd/pleiad/internal/world/sshexec/sshexectest"
)

// startAgent serves an agent with keys and returns its socket. The folder of
// t.TempDir can be too long a name for one.
func startAgent(t *testing.T, keys ...any) string {
	t.Helper()
	ring := agent.NewKeyring()
	for _, k := range keys {
		if err := ring.Add(agent.AddedKey{PrivateKey: k}); err != nil {
			t.Fatal(err)
		}
	}
	folder, err := os.MkdirTemp("", "agent")
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(folder, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { agent.ServeAgent(ring, conn); conn.Close() })
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait(); os.RemoveAll(folder) })
	return socket
}

func privateKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// with writes an ssh_config that says more about a server's address.
func with(t *testing.T, s *sshexectest.Server, lines ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	text := "Host *\n" + strings.Join(lines, "\n") + "\nInclude " + sshexectest.Config(t, s) + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestAgentLogsIn(t *testing.T) {
	t.Parallel()
	key := privateKey(t)
	s := sshexectest.Start(t, sshexectest.Options{Address: address})
	s.Forbid()
	s.Allow(sshexectest.WriteKey(t, "", key, "").PublicKey())
	c := sshexec.Config{SSHConfig: with(t, s, "IdentityAgent "+startAgent(t, privateKey(t), key), "IdentityFile none")}
	if _, err := pool(t, c).Machine(addr(address)).Run(t.Context(), "true", nil); err != nil {
		t.Error(err)
	}
}

// An encrypted key works through the agent that holds it, and is offered before
// the agent's others: a server hangs up after a few wrong ones.
func TestEncryptedKeyInAgent(t *testing.T) {
	t.Parallel()
	key := privateKey(t)
	file := filepath.Join(t.TempDir(), "id")
	public := sshexectest.WriteKey(t, file, key, "secret").PublicKey()
	s := sshexectest.Start(t, sshexectest.Options{Address: address})
	s.Allow(public)
	var keys []any
	for range 9 {
		keys = append(keys, privateKey(t))
	}
	c := sshexec.Config{IdentityFile: file, SSHConfig: with(t, s, "IdentityAgent "+startAgent(t, append(keys, key)...))}
	if _, err := pool(t, c).Machine(addr(address)).Run(t.Context(), "true", nil); err != nil {
		t.Fatal(err)
	}
	want := "root " + ssh.FingerprintSHA256(public)
	if got := slices.Compact(s.Offered()); len(got) != 1 || got[0] != want {
		t.Errorf("offered %q, want %q alone", got, want)
	}
}

func TestUserCertificate(t *testing.T) {
	t.Parallel()
	s := sshexectest.Start(t, sshexectest.Options{Address: address})
	file := filepath.Join(t.TempDir(), "id")
	signer := sshexectest.NewKey(t, file)
	c := &ssh.Certificate{CertType: ssh.UserCert, Key: signer.PublicKey(), ValidBefore: ssh.CertTimeInfinity}
	if err := c.SignCert(rand.Reader, sshexectest.NewKey(t, "")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file+"-cert.pub", ssh.MarshalAuthorizedKey(c), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := machine(t, s, sshexec.Config{IdentityFile: file}).Run(t.Context(), "true", nil)
	if !errors.Is(err, sshexec.ErrDenied) || !strings.Contains(err.Error(), file+"-cert.pub") || !strings.Contains(err.Error(), "("+file+")") {
		t.Errorf("%v: want certificate and key to be offered", err)
	}
	s.Allow(signer.PublicKey())
	if _, err := machine(t, s, sshexec.Config{IdentityFile: file}).Run(t.Context(), "true", nil); err != nil {
		t.Error(err)
	}
}

func TestDenied(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	stranger, encrypted := filepath.Join(folder, "stranger"), filepath.Join(folder, "encrypted")
	fingerprint := ssh.FingerprintSHA256(sshexectest.NewKey(t, stranger).PublicKey())
	sshexectest.WriteKey(t, encrypted, privateKey(t), "secret")
	for name, test := range map[string]struct {
		config sshexec.Config
		text   []string
		remedy string
	}{
		"wrong key":       {sshexec.Config{IdentityFile: stranger}, []string{`user "root"`, fingerprint, stranger}, "ssh-copy-id -i " + stranger + " -p"},
		"wrong user":      {sshexec.Config{User: "nobody"}, []string{`user "nobody"`, "id_ed25519"}, "user:"},
		"encrypted key":   {sshexec.Config{IdentityFile: encrypted}, []string{"no key to offer", encrypted, "passphrase"}, "ssh-add " + encrypted},
		"no such key":     {sshexec.Config{IdentityFile: folder + "/none"}, []string{"no key to offer", folder + "/none", "no such file"}, "identityFile:"},
		"not a key":       {sshexec.Config{IdentityFile: os.Args[0]}, []string{"no key to offer", os.Args[0]}, "identityFile:"},
		"agent that died": {sshexec.Config{IdentityFile: stranger, SSHConfig: "IdentityAgent " + folder + "/socket"}, []string{"agent:", stranger}, "identityFile:"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sshexectest.Start(t, sshexectest.Options{Address: address})
			test.config.SSHConfig = with(t, s, test.config.SSHConfig)
			_, err := pool(t, test.config).Machine(addr(address)).Run(t.Context(), "true", nil)
			if !errors.Is(err, sshexec.ErrDenied) || !fault.Lasting(err) || errors.Is(err, sshexec.ErrUnreachable) {
				t.Fatal(err)
			}
			for _, want := range test.text {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in %v", want, err)
				}
			}
			if r := fmt.Sprint(fault.Remedy(err)); !strings.Contains(r, test.remedy) {
				t.Errorf("no %q in %s", test.remedy, r)
			}
			if len(s.Lines()) > 0 {
				t.Error("a command ran")
			}
		})
	}
}

// The public key of one that the agent holds is a name for it, as ssh has it: the
// agent's others are not offered before it.
func TestPublicKeyNamesOneInTheAgent(t *testing.T) {
	t.Parallel()
	key := privateKey(t)
	public := sshexectest.WriteKey(t, "", key, "").PublicKey()
	file := filepath.Join(t.TempDir(), "id.pub")
	if err := os.WriteFile(file, ssh.MarshalAuthorizedKey(public), 0o600); err != nil {
		t.Fatal(err)
	}
	s := sshexectest.Start(t, sshexectest.Options{Address: address})
	s.Allow(public)
	agent := startAgent(t, privateKey(t), key)
	c := sshexec.Config{IdentityFile: file, SSHConfig: with(t, s, "IdentityAgent "+agent, "IdentitiesOnly yes")}
	if _, err := pool(t, c).Machine(addr(address)).Run(t.Context(), "true", nil); err != nil {
		t.Fatal(err)
	}
	want := "root " + ssh.FingerprintSHA256(public)
	if got := slices.Compact(s.Offered()); len(got) != 1 || got[0] != want {
		t.Errorf("offered %q, want %q alone", got, want)
	}
	c.SSHConfig = with(t, s, "IdentityAgent "+startAgent(t, privateKey(t)), "IdentitiesOnly yes")
	_, err := pool(t, c).Machine(addr(address)).Run(t.Context(), "true", nil)
	if !errors.Is(err, sshexec.ErrDenied) || !strings.Contains(err.Error(), file+": a public key") {
		t.Errorf("without its private key: %v", err)
	}
	if r := strings.Join(fault.Remedy(err), "\n"); !strings.Contains(r, "ssh-add "+strings.TrimSuffix(file, ".pub")+"\n") || strings.Contains(r, "ssh-copy-id") {
		t.Errorf("remedy %q", r)
	}
}

// A certificate need not lie beside its key.
func TestCertificateFile(t *testing.T) {
	t.Parallel()
	s := sshexectest.Start(t, sshexectest.Options{Address: address})
	folder := t.TempDir()
	signer := sshexectest.NewKey(t, folder+"/id")
	c := &ssh.Certificate{CertType: ssh.UserCert, Key: signer.PublicKey(), ValidBefore: ssh.CertTimeInfinity}
	if err := c.SignCert(rand.Reader, sshexectest.NewKey(t, "")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(folder+"/signed", ssh.MarshalAuthorizedKey(c), 0o600); err != nil {
		t.Fatal(err)
	}
	config := sshexec.Config{IdentityFile: folder + "/id", SSHConfig: with(t, s, "CertificateFile "+folder+"/signed", "CertificateFile "+folder+"/none")}
	_, err := pool(t, config).Machine(addr(address)).Run(t.Context(), "true", nil)
	if !errors.Is(err, sshexec.ErrDenied) || !strings.Contains(err.Error(), "("+folder+"/signed), ssh-ed25519 ") || !strings.Contains(err.Error(), folder+"/none") {
		t.Errorf("%v: want the certificate to be offered before its key", err)
	}
}

// A server that knows the key and asks for more than that is not told to learn it.
func TestMoreThanAKey(t *testing.T) {
	t.Parallel()
	s := sshexectest.Start(t, sshexectest.Options{Address: address, More: true})
	_, err := machine(t, s, sshexec.Config{}).Run(t.Context(), "true", nil)
	if !errors.Is(err, sshexec.ErrDenied) || !strings.Contains(err.Error(), "knows the key ssh-ed25519") {
		t.Error(err)
	}
	if r := strings.Join(fault.Remedy(err), "\n"); !strings.Contains(r, "AuthenticationMethods publickey") || strings.Contains(r, "ssh-copy-id") {
		t.Errorf("remedy %q", r)
	}
}

// What the spec of a cluster in EC2 has is under another name than that of machines.
func TestRemediesNameTheSpec(t *testing.T) {
	t.Parallel()
	s := sshexectest.Start(t, sshexectest.Options{Address: address})
	s.Forbid()
	_, err := machine(t, s, sshexec.Config{Section: "hosts.ec2"}).Run(t.Context(), "true", nil)
	if r := strings.Join(fault.Remedy(err), "\n"); !strings.Contains(r, "under hosts.ec2 in the spec") || strings.Contains(r, "hosts.ssh") {
		t.Errorf("remedy %q", r)
	}
}
