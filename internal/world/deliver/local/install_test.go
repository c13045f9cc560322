package local_test

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver/local"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
	hostslocal "github.com/pleiad-etcd/pleiad/internal/world/hosts/local"
)

// cancelWhen is a context that ends as soon as ok holds.
func cancelWhen(t *testing.T, ok func() bool) (context.Context, func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !ok() && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	return ctx, func() { cancel(); <-done }
}

func install(t *testing.T, h cluster.Host, creds *node.Credentials) error {
	t.Helper()
	return local.New(nil, cluster.Program{}).Install(t.Context(), h, rendered(h), creds, false)
}

func creds(s string) *node.Credentials {
	of := func(what string) []byte { return []byte(what + " " + s) }
	pair := func(what string) node.Pair { return node.Pair{Cert: of(what + " cert"), Key: of(what + " key")} }
	return &node.Credentials{PeerCA: of("peer CA"), ClientCA: of("client CA"), Peer: pair("peer"), Server: pair("server"), Gateway: pair("gateway")}
}

// files are all files below a host's config folder with their content.
func files(t *testing.T, h cluster.Host) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(h.Paths.Config, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(h.Paths.Config, path)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		out[filepath.ToSlash(name)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// delivered are all files of a host that got the credentials of this name.
func delivered(h cluster.Host, name string) map[string]string {
	return map[string]string{
		"member.json": string(rendered(h).Encode()), "pki/peer-ca.crt": "peer CA " + name, "pki/client-ca.crt": "client CA " + name,
		"pki/peer.crt": "peer cert " + name, "pki/peer.key": "peer key " + name, "pki/server.crt": "server cert " + name,
		"pki/server.key": "server key " + name, "pki/gateway.crt": "gateway cert " + name, "pki/gateway.key": "gateway key " + name,
	}
}

func TestInstallWritesExactlyThis(t *testing.T) {
	t.Parallel()
	h := freeHost(t)
	if err := install(t, h, creds("1")); err != nil {
		t.Fatal(err)
	}
	want := delivered(h, "1")
	if got := files(t, h); !maps.Equal(got, want) {
		t.Errorf("files are %v, want %v", got, want)
	}
	err := filepath.WalkDir(h.Paths.Config, func(path string, e fs.DirEntry, err error) error {
		if info, e := e.Info(); err == nil && e == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is open to others: %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(h.Paths.Data); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the data directory was touched: %v", err)
	}
}

// What is there already is not written again: inode and time stay.
func TestInstallComparesFirst(t *testing.T) {
	t.Parallel()
	h := freeHost(t)
	look := func() map[string]fs.FileInfo {
		out := map[string]fs.FileInfo{}
		for name := range files(t, h) {
			info, err := os.Stat(filepath.Join(h.Paths.Config, name))
			if err != nil {
				t.Fatal(err)
			}
			out[name] = info
		}
		return out
	}
	changed := func(before, after map[string]fs.FileInfo) (names []string) {
		for name, info := range after {
			if b := before[name]; b == nil || !os.SameFile(b, info) || !b.ModTime().Equal(info.ModTime()) {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
	if err := install(t, h, creds("1")); err != nil {
		t.Fatal(err)
	}
	first := look()
	if err := install(t, h, creds("1")); err != nil {
		t.Fatal(err)
	}
	if c := changed(first, look()); len(c) > 0 {
		t.Errorf("the same again has written %v", c)
	}
	if err := os.Chmod(filepath.Join(h.Paths.Config, node.PeerKeyFile), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := install(t, h, creds("1")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(h.Paths.Config, node.PeerKeyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a key open to others stays %v, %v", info.Mode(), err)
	}
}

// Install may be cut short after any of its steps. Before the last one the host
// must show as one to which nothing was delivered, if keys change; and the next
// Install ends well. A file where a folder belongs, or a folder where a file
// belongs, stands for a full disk: unlike permissions it also stops root.
func TestInstallCutShort(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"pki/peer-ca.crt.new", "pki/client-ca.crt.new", "pki/peer.key.new", "pki/server.crt.new", "pki/gateway.crt.new", "member.json.new"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			h := freeHost(t)
			if err := install(t, h, creds("1")); err != nil {
				t.Fatal(err)
			}
			inTheWay := filepath.Join(h.Paths.Config, filepath.FromSlash(at))
			if err := os.MkdirAll(filepath.Join(inTheWay, "full"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := install(t, h, creds("2")); err == nil || !strings.Contains(err.Error(), inTheWay) {
				t.Fatalf("Install: %v, want an error with %s", err, inTheWay)
			}
			left := files(t, h)
			if _, ok := left["member.json"]; ok {
				t.Errorf("left with %v: this counts as delivered", slices.Sorted(maps.Keys(left)))
			}
			for name, content := range left {
				if content == "" || strings.HasSuffix(name, ".new") {
					t.Errorf("%s is half written", name)
				}
			}
			if err := install(t, h, creds("2")); err != nil {
				t.Fatalf("the next Install: %v", err)
			}
			if got := files(t, h); !maps.Equal(got, delivered(h, "2")) {
				t.Errorf("the next Install left %v", got)
			}
		})
	}
}

// Without new keys the old member.json is in force until the new one is.
func TestInstallWithoutKeysReplacesInOneStep(t *testing.T) {
	t.Parallel()
	h := freeHost(t)
	if err := install(t, h, creds("1")); err != nil {
		t.Fatal(err)
	}
	before := files(t, h)
	if err := os.MkdirAll(filepath.Join(h.Paths.Config, "member.json.new", "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	n := rendered(h)
	n.Sealed = true
	if err := local.New(nil, cluster.Program{}).Install(t.Context(), h, n, nil, false); err == nil {
		t.Fatal("Install: nil, want an error")
	}
	if after := files(t, h); !maps.Equal(before, after) {
		t.Errorf("files are %v, want them as before, %v", after, before)
	}
}

// A host that was terminated meanwhile does not come back.
func TestInstallOnTerminatedHost(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "dev")
	h := newHost(t, root, "etcd-k3v9qd2")
	p, err := hostslocal.New(root, "dev")
	if err == nil {
		err = p.Terminate(t.Context(), h, hosts.DeleteData)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := install(t, h, creds("1")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Install: %v, want that the folder does not exist", err)
	}
	if err := local.New(command("fake"), cluster.Program{}).Start(t.Context(), h); err == nil {
		t.Error("Start: nil, want an error")
	}
	if _, err := os.Stat(filepath.Dir(h.Paths.Config)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the host's folder is back: %v", err)
	}
}

func TestInstallWhereNothingCanBeWritten(t *testing.T) {
	t.Parallel()
	h := freeHost(t)
	if err := os.WriteFile(h.Paths.Config, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := install(t, h, creds("1"))
	if !errors.Is(err, syscall.ENOTDIR) || !strings.Contains(err.Error(), h.Paths.Config) {
		t.Errorf("Install: %v, want an error with %s", err, h.Paths.Config)
	}
	if strings.Contains(err.Error(), "key 1") {
		t.Errorf("Install: %v holds the key", err)
	}
	if err := install(t, freeHost(t), &node.Credentials{PeerCA: []byte("ca"), Peer: node.Pair{Key: []byte("key")}}); err == nil {
		t.Error("Install of credentials without a certificate: nil, want an error")
	}
}
