package sshexec

import (
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// RevokedHostKeys of ssh_config has the last word, over known_hosts and
// fingerprints alike.
func TestRevokedHostKeys(t *testing.T) {
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	list := write("revoked", "# withdrawn\n"+string(ssh.MarshalAuthorizedKey(key)))
	config := write("config", "RevokedHostKeys "+list+"\n")
	pool := New(Config{SSHConfig: config})
	defer pool.Close()
	r, err := pool.route(t.Context(), target{host: "10.5.1.81"})
	if err != nil || r.revoked != list {
		t.Fatalf("route: %q, %v, want %s", r.revoked, err, list)
	}
	known := write("known_hosts", knownhosts.Line([]string{"10.5.1.81"}, key)+"\n")
	keys, err := readHostKeys("10.5.1.81:22", []string{known}, []string{ssh.FingerprintSHA256(key)}, "hosts.ssh")
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.judge(key); err != nil {
		t.Errorf("before: %v", err)
	}
	if keys.revoked, err = readRevoked(t.Context(), r.revoked); err != nil {
		t.Fatal(err)
	}
	var wrong *HostKeyError
	if err := keys.judge(key); !errors.As(err, &wrong) || wrong.Problem != KeyRevoked || !strings.Contains(err.Error(), "revoked:2") {
		t.Errorf("a revoked key: %v", err)
	}
	for name, file := range map[string]string{"absent": filepath.Join(dir, "absent"), "binary": write("krl", "SSHKRL\n\x00")} {
		if _, err := readRevoked(t.Context(), file); !errors.Is(err, ErrSetup) {
			t.Errorf("%s list: %v, want an error that lets nobody in", name, err)
		}
	}
}
