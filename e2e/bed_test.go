// Package e2e holds the end-to-end tests: the built binary, real etcd, stock
// clients that nobody here wrote. They need root on Linux and Debian's
// etcd-client, prometheus, patroni, postgresql and bind9-dnsutils, and run only with PLEIAD_E2E=1;
// with that set, none of them may be skipped.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/e2e/tier"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
)

// binary is the pleiad under test, built once.
var binary string

func TestMain(m *testing.M) {
	os.Exit(tier.Main(m, tier.Needs{Binary: &binary, Tools: map[string]string{
		"etcdctl": "etcd-client", "prometheus": "prometheus", "nsupdate": "bind9-dnsutils", "unshare": "util-linux", "curl": "curl",
		"patroni": "patroni python3-etcd python3-idna postgresql",
	}}))
}

// bed is one state directory; its clusters are destroyed when the test ends,
// and then nothing of them may be left.
type bed struct {
	*testing.T
	state string
}

func newBed(t *testing.T) *bed {
	t.Helper()
	// Not t.TempDir: what a failing test leaves is destroyed before it goes.
	state, err := os.MkdirTemp("", "pleiad-bed-")
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{T: t, state: state}
	t.Cleanup(func() {
		b.destroyAll()
		os.RemoveAll(state)
	})
	return b
}

// result is how a command ended.
type result struct {
	out, err string
	code     int
}

func (r result) String() string {
	return fmt.Sprintf("exit %d\n--- stdout\n%s--- stderr\n%s", r.code, r.out, r.err)
}

func (r result) says(parts ...string) bool {
	return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(r.out+r.err, p) })
}

// command is pleiad with this bed's state directory.
func (b *bed) command(args ...string) *exec.Cmd {
	args = append(slices.Clone(args[:1]), append([]string{"--state-dir", b.state}, args[1:]...)...)
	return exec.Command(binary, args...)
}

// run runs a command to its end, which must come within two minutes.
func (b *bed) run(args ...string) result {
	b.Helper()
	return b.finish(b.command(args...))
}

func (b *bed) finish(cmd *exec.Cmd) result {
	b.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	hung := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Signal(syscall.SIGQUIT) })
	defer hung.Stop()
	_ = cmd.Wait()
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// must runs a command that has to succeed.
func (b *bed) must(args ...string) result {
	b.Helper()
	r := b.run(args...)
	if r.code != 0 {
		b.Fatalf("pleiad %s: %s", strings.Join(args, " "), r)
	}
	return r
}

// refuses runs a command that has to end with an exit code and certain words.
func (b *bed) refuses(code int, words []string, args ...string) result {
	b.Helper()
	r := b.run(args...)
	if r.code != code || !r.says(words...) {
		b.Fatalf("pleiad %s: want exit %d and %q, got %s", strings.Join(args, " "), code, words, r)
	}
	return r
}

// put and get go through `pleiad etcdctl`.
func (b *bed) put(cluster, key, value string) {
	b.Helper()
	b.must("etcdctl", "--cluster", cluster, "--", "put", key, value)
}

func (b *bed) wantValue(cluster, key, value string) {
	b.Helper()
	if r := b.must("etcdctl", "--cluster", cluster, "--", "get", key, "--print-value-only"); r.out != value+"\n" {
		b.Fatalf("get %s: %q, want %q", key, r.out, value)
	}
}

// child is a process of a cluster: a member or the name server.
type child struct {
	name  string
	dir   string // its host's folder, or the name server's
	stamp process.Stamp
}

func (c child) alive() bool { return c.stamp.Alive() }

func (c child) kill(t testing.TB) {
	t.Helper()
	if err := c.stamp.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := c.stamp.Wait(ctx); err != nil {
		t.Fatal(err)
	}
}

// children are the members of a cluster, sorted by name, and its name server.
func (b *bed) children(cluster string) (members []child, server child) {
	b.Helper()
	files, _ := filepath.Glob(filepath.Join(b.state, cluster, "hosts", "*", "config", "status.json"))
	slices.Sort(files)
	for _, f := range files {
		dir := filepath.Dir(filepath.Dir(f))
		members = append(members, child{name: filepath.Base(dir), dir: dir, stamp: stampIn(b, f)})
	}
	dir := filepath.Join(b.state, cluster, "dns")
	files, _ = filepath.Glob(filepath.Join(dir, "server.json"))
	if len(files) == 1 {
		server = child{name: "name server", dir: dir, stamp: stampIn(b, files[0])}
	}
	return members, server
}

func stampIn(b *bed, file string) process.Stamp {
	b.Helper()
	var v struct{ Process process.Stamp }
	readJSON(b, file, &v)
	return v.Process
}

func readJSON(b *bed, file string, into any) {
	b.Helper()
	raw, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		b.Fatalf("read %s: %v", file, err)
	}
}

// server is where a cluster's name server answers: host:port.
func (b *bed) server(cluster string) string {
	b.Helper()
	var v struct{ Address string }
	readJSON(b, filepath.Join(b.state, cluster, "dns", "server.json"), &v)
	return v.Address
}

// nsupdate changes the cluster's zone as a person would who has its key.
func (b *bed) nsupdate(cluster, command string) {
	b.Helper()
	host, port, err := net.SplitHostPort(b.server(cluster))
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command("nsupdate", "-v", "-k", filepath.Join(b.state, cluster, "dns", "tsig.key"))
	cmd.Stdin = strings.NewReader(fmt.Sprintf("server %s %s\n%s\nsend\n", host, port, command))
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("nsupdate %q: %v\n%s", command, err, out)
	}
}

// ids are the cluster IDs that the data directories of a cluster carry, as
// pleiad status reports them.
func (b *bed) running(cluster string) int {
	b.Helper()
	members, _ := b.children(cluster)
	n := 0
	for _, m := range members {
		if m.alive() {
			n++
		}
	}
	return n
}

// destroyAll takes every cluster of the bed down and looks for leftovers.
func (b *bed) destroyAll() {
	b.Helper()
	entries, _ := os.ReadDir(b.state)
	for _, e := range entries {
		if r := b.run("destroy", "--cluster", e.Name(), "--yes"); r.code != 0 && r.code != 6 {
			b.Errorf("destroy %s: %s", e.Name(), r)
		}
	}
	b.wantNothingLeft()
}

// wantNothingLeft looks for processes with the bed's folder in their
// arguments, and for the folder itself.
func (b *bed) wantNothingLeft() {
	b.Helper()
	for _, p := range b.processes() {
		b.Errorf("left behind: process %s", p)
	}
	entries, err := os.ReadDir(b.state)
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range entries {
		b.Errorf("left behind: %s", filepath.Join(b.state, e.Name()))
	}
}

func (b *bed) processes() []string {
	var out []string
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		line, err := os.ReadFile(f)
		if err != nil || !bytes.Contains(line, []byte(b.state)) {
			continue
		}
		stat, err := os.ReadFile(filepath.Join(filepath.Dir(f), "stat"))
		if err != nil || bytes.Contains(stat, []byte(") Z ")) {
			continue
		}
		out = append(out, strings.ReplaceAll(string(line), "\x00", " "))
	}
	return out
}

// eventually waits for a condition that another process brings about.
func (b *bed) eventually(what string, limit time.Duration, ok func() bool) {
	b.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	b.Fatalf("not within %s: %s", limit, what)
}
