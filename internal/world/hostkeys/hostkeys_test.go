package hostkeys_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/world/hostkeys"
)

const name = "etcd-k3v9qd2"

// line is a new public key.
func line(t *testing.T) string {
	t.Helper()
	_, public, err := hostkeys.In(t.TempDir()).First(name)
	if err != nil {
		t.Fatal(err)
	}
	return public
}

// The first key is the same each time, for each machine its own, and what OpenSSH
// reads.
func TestFirst(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	private, public, err := hostkeys.In(dir).First(name)
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := hostkeys.In(dir).First(name)
	if err != nil || again != private {
		t.Errorf("the second time it is another one: %v", err)
	}
	if other, _, _ := hostkeys.In(dir).First("etcd-zzzzzzz"); other == private {
		t.Error("two machines have one key")
	}
	signer, err := ssh.ParsePrivateKey([]byte(private))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))); got != public {
		t.Errorf("private and public half differ: %s, %s", got, public)
	}
	if info, err := os.Stat(filepath.Join(dir, hostkeys.Folder, "secret")); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the secret: %v, %v", info, err)
	}
}

// It is known when machines were given a first key, until they are forgotten. A folder
// with nothing but a machine that nobody forgot is not removed.
func TestGiven(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := hostkeys.In(dir)
	if given, err := s.Given(); err != nil || len(given) != 0 {
		t.Errorf("%v, %v, want none", given, err)
	}
	for range 2 {
		before := time.Now()
		if _, _, err := s.First(name); err != nil {
			t.Fatal(err)
		}
		if given, err := s.Given(); err != nil || len(given) != 1 || given[name].Before(before) || given[name].After(time.Now()) {
			t.Errorf("%v, %v, want %s after %s", given, err, name, before)
		}
	}
	folder := filepath.Join(dir, hostkeys.Folder)
	if err := s.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(folder); err != nil {
		t.Errorf("the folder is gone, and what was made with it: %v", err)
	}
	if err := s.Forget(name); err != nil {
		t.Fatal(err)
	}
	if given, err := s.Given(); err != nil || len(given) != 0 {
		t.Errorf("%v, %v, want none", given, err)
	}
	if err := s.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is there: %v", err)
	}
	if _, _, err := s.First(name); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".given"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Given(); !errors.Is(err, fault.Damaged) {
		t.Errorf("what is damaged: %v", err)
	}
}

// Where nothing was made nothing is accepted, and nothing is made by looking. What is
// damaged is told as that.
func TestVouch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := hostkeys.In(dir)
	keys, err := s.Vouch(name)
	if left, _ := os.ReadDir(dir); err != nil || len(keys.Keys) != 0 || len(left) != 0 {
		t.Errorf("of an empty store: %v, %v; %v", keys, err, left)
	}
	if _, _, err := s.First(name); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"secret", name + ".agreed", name + ".pub"} {
		path := filepath.Join(dir, hostkeys.Folder, file)
		backup, missing := os.ReadFile(path)
		if missing != nil {
			backup = []byte(line(t))
		}
		for _, content := range [][]byte{[]byte("x"), backup} {
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := s.Vouch(name)
			if damaged := content[0] == 'x'; damaged != errors.Is(err, fault.Damaged) || damaged && !strings.Contains(strings.Join(fault.Remedy(err), ""), file) {
				t.Errorf("%s is damaged: %t: %v, %q", file, damaged, err, fault.Remedy(err))
			}
		}
	}
}
