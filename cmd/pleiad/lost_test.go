//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// What of a state directory can be lost. What lies in something that is lost is
// lost with it.
func losable() []string {
	return []string{"home.json", "spec.yaml", "pki", "pki/client-ca.key", "pki/operator.key", "dns", "dns/tsig.key", "hosts"}
}

// Whatever is lost of a state directory, each command does right or says what is
// damaged and what can be done. There is never a second cluster, no CA is made or
// deleted while the member lives, and nothing is left half-written.
func TestLostFiles(t *testing.T) {
	t.Parallel()
	l := newLosses(t)
	for set := range 1 << len(losable()) {
		var lost []string
		for i, name := range losable() {
			if set&(1<<i) != 0 {
				lost = append(lost, name)
			}
		}
		if nested := func(name string) bool { return slices.Contains(lost, filepath.Dir(name)) }; !slices.ContainsFunc(lost, nested) {
			l.try(lost)
		}
		if t.Failed() {
			return
		}
	}
}

// calm is a member that does not look for old files each 30 seconds
// (server/etcdserver/server.go, purgeFile): it would end while its folder is away.
const calm = `cluster: dev
domain: dev.test
members: 1
etcd:
  options:
    max-wals: "0"
    max-snapshots: "0"
hosts:
  local: {}
dns:
  embedded: {}
`

// losses is one cluster of one member, parts of whose state directory are taken
// away and put back.
type losses struct {
	*testing.T
	root, dir, aside string
	pid              int
	owner, ca, zone  string
}

func newLosses(t *testing.T) *losses {
	root := t.TempDir()
	l := &losses{T: t, root: root, dir: filepath.Join(root, "dev"), aside: t.TempDir()}
	t.Cleanup(func() { l.pleiad("destroy", "--yes") })
	file := filepath.Join(root, "dev.yaml")
	if err := os.WriteFile(file, []byte(calm), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, said := l.pleiad("up", "-f", file); code != 0 {
		t.Fatal(said)
	}
	l.pid = l.member()
	l.owner, l.ca, l.zone = l.ownerNow(), l.read("pki/client-ca.crt"), l.marker()
	return l
}

func (l *losses) pleiad(args ...string) (code int, said string) {
	var out bytes.Buffer
	cmd := exec.Command("pleiad", append(args, "--state-dir", l.root, "--timeout", "1s")...)
	cmd.Stdout, cmd.Stderr = &out, &out
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		l.Error(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

func (l *losses) read(name string) string {
	b, err := os.ReadFile(filepath.Join(l.dir, name))
	if err != nil {
		return ""
	}
	return string(b)
}

func (l *losses) ownerNow() string {
	var m struct{ Owner string }
	_ = json.Unmarshal([]byte(l.read("home.json")), &m) // it may be lost
	return m.Owner
}

// marker is what the zone says of the cluster, less the generation.
func (l *losses) marker() string {
	for line := range strings.Lines(l.read("dns/zone")) {
		if strings.Contains(line, "v=1 cluster=dev") {
			_, token, _ := strings.Cut(line, "token=")
			return token
		}
	}
	return ""
}

// member is the process of the healthy member.
func (l *losses) member() int {
	_, said := l.pleiad("status", "--output", "json")
	var status struct {
		Hosts []struct {
			PID    int
			Health string
		}
	}
	if err := json.Unmarshal([]byte(said), &status); err != nil || len(status.Hosts) != 1 || status.Hosts[0].Health != "healthy" {
		l.Fatalf("status: %s", said)
	}
	return status.Hosts[0].PID
}

func (l *losses) try(lost []string) {
	l.Helper()
	for _, name := range lost {
		if err := os.Rename(filepath.Join(l.dir, name), l.place(name)); err != nil {
			l.Fatal(err)
		}
	}
	for _, args := range [][]string{{"status"}, {"plan", "--destroy"}, {"up"}} {
		code, said := l.pleiad(args...)
		right := code == 0 || code == 2 && args[0] == "plan"
		if !right && !strings.Contains(said, "hint:") && !strings.Contains(said, "remedy ") || code == 1 || said == "" {
			l.Errorf("without %q, %s exits %d: %s", lost, args, code, said)
		}
	}
	l.check(lost)
	for _, name := range lost {
		if made := name == "dns/tsig.key" || name == "pki/operator.key"; made && l.read(name) != "" {
			continue // the new one is in use
		}
		at := filepath.Join(l.dir, name)
		if err := errors.Join(os.RemoveAll(at), os.MkdirAll(filepath.Dir(at), 0o700), os.Rename(l.place(name), at)); err != nil {
			l.Fatal(err)
		}
	}
	if err := errors.Join(os.RemoveAll(l.place("dns/tsig.key")), os.RemoveAll(l.place("pki/operator.key"))); err != nil {
		l.Fatal(err)
	}
	if pid := l.member(); pid != l.pid {
		l.Errorf("without %q the member became another process", lost)
	}
}

func (l *losses) place(name string) string {
	return filepath.Join(l.aside, strings.ReplaceAll(name, "/", "-"))
}

// check looks that nothing was begun, replaced, deleted or left half-written.
func (l *losses) check(lost []string) {
	l.Helper()
	gone := func(name string) bool { return slices.Contains(lost, name) }
	if err := syscall.Kill(l.pid, 0); err != nil {
		l.Errorf("without %q the member ended: %v", lost, err)
	}
	if owner := l.ownerNow(); owner != l.owner && !(owner == "" && gone("home.json")) {
		l.Errorf("without %q the owner is %q, want %q", lost, owner, l.owner)
	}
	if ca := l.read("pki/client-ca.crt"); ca != l.ca && !gone("pki") || ca != "" && gone("pki") {
		l.Errorf("without %q there is another CA: %s", lost, ca)
	}
	if l.read("pki/client-ca.key") != "" && gone("pki/client-ca.key") {
		l.Errorf("without %q there is another key of the CA", lost)
	}
	if marker := l.marker(); marker != l.zone && !gone("dns") || marker != "" && gone("dns") {
		l.Errorf("without %q the marker says %q, want %q", lost, marker, l.zone)
	}
	half, err := filepath.Glob(filepath.Join(l.dir, "*", "*.new"))
	if beside, wrong := filepath.Glob(filepath.Join(l.dir, "*.new")); err != nil || wrong != nil || len(half)+len(beside) > 0 {
		l.Errorf("without %q there is half of %q", lost, append(half, beside...))
	}
}
