package e2e

import (
	"github.com/pleiad-etcd/pleiad/internal/system/process/processtest"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Bad input ends with one clear line, the place, and the right exit code, and
// leaves nothing.
func TestBadInput(t *testing.T) {
	b := newBed(t)
	file := func(text string) string {
		f := filepath.Join(t.TempDir(), "pleiad.yaml")
		if err := os.WriteFile(f, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return f
	}
	for name, tt := range map[string]struct {
		text string
		says []string
	}{
		"unknown key":   {"cluster: a\nmembres: 3\ndomain: a.test\n", []string{"pleiad.yaml:2:1", "members"}},
		"wrong type":    {"cluster: a\nmembers: many\ndomain: a.test\n", []string{"pleiad.yaml:2:10"}},
		"tab":           {"cluster: a\nhosts:\n\tlocal: {}\n", []string{"pleiad.yaml:3", "tab"}},
		"duplicate key": {"cluster: a\nmembers: 3\nmembers: 5\ndomain: a.test\n", []string{"pleiad.yaml:3:1", "second time"}},
		"no host name":  {"cluster: a\ndomain: not_a host\n", []string{"pleiad.yaml:2:9"}},
		"zero members":  {"cluster: a\nmembers: 0\ndomain: a.test\n", []string{"pleiad.yaml:2:10"}},
		"two members":   {"cluster: a\nmembers: 2\ndomain: a.test\n", []string{"pleiad.yaml:2:10"}},
		"dangerous":     {"cluster: a\netcd:\n  options: {force-new-cluster: true}\ndomain: a.test\n", []string{"pleiad.yaml:3:13", "force-new-cluster"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := &bed{T: t, state: b.state}
			b.refuses(4, tt.says, "up", "-f", file(tt.text))
		})
	}
	for _, n := range []string{"0", "-1", "2", "8"} {
		b.refuses(4, []string{"--members"}, "up", "--members", n)
	}
	b.refuses(4, []string{"--domain"}, "up", "--domain", "no such domain")
	b.refuses(6, nil, "destroy", "--cluster", "never-was", "--yes")
	b.refuses(6, nil, "status", "--cluster", "never-was")
	b.wantNothingLeft()
}

// Two ups at once: one works, the other waits, and nothing is doubled.
func TestTwoUpsAtOnce(t *testing.T) {
	b := newBed(t)
	var all sync.WaitGroup
	results := make([]result, 4)
	for i := range results {
		all.Go(func() { results[i] = b.run("up", "--cluster", "race") })
	}
	all.Wait()
	for _, r := range results {
		if r.code != 0 {
			t.Errorf("one of four ups at once: %s", r)
		}
	}
	if members, _ := b.children("race"); len(members) != 3 {
		t.Errorf("%d members", len(members))
	}
}

// Somebody else's process on a member's address is named and left alone.
func TestForeignProcessOnOurAddress(t *testing.T) {
	b := newBed(t)
	b.must("up", "--cluster", "taken")
	members, _ := b.children("taken")
	members[0].kill(t)
	var claim struct{ Address string }
	readJSON(b, filepath.Join(members[0].dir, "host.json"), &claim)
	l, err := net.Listen("tcp", net.JoinHostPort(claim.Address, "2380"))
	if err != nil {
		t.Fatal(err)
	}
	b.refuses(9, []string{claim.Address + ":2380"}, "up", "--cluster", "taken")
	if err := processtest.Close(l); err != nil {
		t.Fatal(err)
	}
	b.must("up", "--cluster", "taken")
}

// A full disk is said, loses nothing, and is over when there is room again.
func TestFullDisk(t *testing.T) {
	b := newBed(t)
	mount := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	// On the bed's own folder, so that all that is left is found there too.
	mount("mount", "-t", "tmpfs", "-o", "size=700M", "pleiad-e2e", b.state)
	t.Cleanup(func() {
		// Before the bed's own cleanup, which looks for leftovers.
		b.run("destroy", "--cluster", "full", "--yes")
		mount("umount", "-l", b.state)
	})
	mount("mount", "-o", "remount,size=100k", b.state)
	r := b.run("up", "--cluster", "full", "--timeout", "5s")
	if r.code == 0 || !r.says("no space left on device") {
		t.Fatalf("up on a full disk: %s", r)
	}
	mount("mount", "-o", "remount,size=700M", b.state)
	b.must("up", "--cluster", "full")
	b.must("health", "--cluster", "full")

	// Almost full: 100 MB or so are left, and etcd would soon need more.
	mount("mount", "-o", "remount,size=460M", b.state)
	if r := b.must("status", "--cluster", "full"); !r.says("its disk is almost full") {
		t.Errorf("status on a disk that is almost full: %s", r)
	}
	b.refuses(5, []string{"make room on the disk of"}, "up", "--cluster", "full")
	mount("mount", "-o", "remount,size=700M", b.state)
	b.must("up", "--cluster", "full")
}

// State directories that are not ours to use.
func TestStateDirectories(t *testing.T) {
	b := newBed(t)
	b.must("up", "--cluster", "mine", "--members", "1")
	home := filepath.Join(b.state, "mine", "home.json")
	raw, err := os.ReadFile(home)
	if err != nil {
		t.Fatal(err)
	}
	edit := func(old, new string) {
		t.Helper()
		if !strings.Contains(string(raw), old) {
			t.Fatalf("%s holds no %q", home, old)
		}
		if err := os.WriteFile(home, []byte(strings.Replace(string(raw), old, new, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	edit(`"mine"`, `"yours"`)
	b.refuses(9, []string{"yours"}, "up", "--cluster", "mine")
	edit(`"version": 1`, `"version": 99`)
	b.refuses(11, []string{"99"}, "up", "--cluster", "mine")
	edit("", "")
	b.must("up", "--cluster", "mine")

	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := b.finish(exec.Command(binary, "up", "--state-dir", filepath.Join(file, "below")))
	if r.code != 11 {
		t.Errorf("up below a file: %s", r)
	}
}
