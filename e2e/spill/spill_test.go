//go:build linux

package spill_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/e2e/spill"
)

const secret = "a-planted-secret"

var planted = spill.Secrets{"it": secret}

// run starts a shell with a script that says when it is ready and ends with its input.
func run(t *testing.T, script, environ string, arguments ...string) {
	t.Helper()
	c := exec.Command("/bin/sh", append([]string{"-c", script, "sh"}, arguments...)...)
	c.Env = []string{"PATH=" + os.Getenv("PATH"), environ}
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		c.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("%q, %v", line, err)
	}
}

// A planted secret is seen in arguments, in an environment, and with what a program
// that may have it started; with that program itself it is not.
func TestWatch(t *testing.T) {
	shell, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	const waits = "echo ready; read x; true"
	for _, c := range []struct {
		name, script, environ, holder string
		arguments                     []string
		want                          string // in the only find; none if empty
		holders                       int
	}{
		{"nothing", waits, "A=b", "", nil, "", 0},
		{"an argument", waits, "A=b", "", []string{"--token=" + secret}, "arguments", 0},
		{"an argument of the holder", waits, "A=b", shell, []string{secret}, "arguments", 0},
		{"an environment", waits, "A=" + secret, "", nil, "environment", 0},
		{"the holder", waits, "A=" + secret, shell, nil, "", 1},
		{"what the holder starts", "echo ready | cat; cat; true", "A=" + secret, shell, nil, "environment", 1},
		{"another of the holder", `sh -c "` + waits + `"; true`, "A=" + secret, shell, nil, "environment", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := spill.Start(c.holder)
			run(t, c.script, c.environ, c.arguments...)
			for found := []string(nil); c.want != "" && found == nil; found = w.Find(planted) {
				w.Look() // what the shell starts may not be there yet
			}
			w.Look()
			w.Stop()
			found := w.Find(planted)
			if c.want == "" && found != nil || c.want != "" && (len(found) == 0 || !strings.Contains(found[0], c.want)) {
				t.Errorf("%q, want %q", found, c.want)
			}
			if n := w.Holders(planted); n != c.holders {
				t.Errorf("%d holders, want %d", n, c.holders)
			}
		})
	}
}

// A private key is known by the lines of its base64, wherever they turn up and however
// they are broken; a certificate is no secret.
func TestKeys(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	s := spill.Secrets{}
	if s.AddKey("a certificate", bytes.ReplaceAll(text, []byte("PRIVATE KEY"), []byte("CERTIFICATE"))) {
		t.Errorf("a certificate is %v", s)
	}
	if !s.AddKey("the key", text) {
		t.Fatalf("no secrets in\n%s", text)
	}
	if public, err := x509.MarshalPKIXPublicKey(key.Public()); err != nil || s.In(base64.StdEncoding.EncodeToString(public)) != nil || len(s) != 2 {
		t.Errorf("%v, of which the public key is a part, too", s)
	}
	for _, spilt := range []string{string(text), base64.StdEncoding.EncodeToString(der), strings.ReplaceAll(string(text), "\n", `\n`)} {
		if s.In(spilt) == nil {
			t.Errorf("not found in %s", spilt)
		}
	}
	dir := t.TempDir()
	for name, content := range map[string]string{"log": "x" + string(text), "pki.key": string(text), "clean": "nothing"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, err := s.InFiles(dir, func(path string) bool { return strings.HasSuffix(path, ".key") })
	if err != nil || len(found) == 0 {
		t.Errorf("%q, %v", found, err)
	}
	for _, f := range found {
		if !strings.HasSuffix(f, " is in "+filepath.Join(dir, "log")) {
			t.Error(f)
		}
	}
}
