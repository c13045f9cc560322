package hosts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"

	"github.com/pleiad-etcd/pleiad/e2e/nameserver"
	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
)

const (
	zone   = "bed.example"
	domain = "c1." + zone
	// name is the cluster's, and that of its folder in the state directory.
	name = "c1"
)

// world is a bed of hosts that hold nothing, a BIND with an empty zone, which
// the hosts see through the bed's forwarder, and an operator with a spec and an
// empty home. It goes with its test.
type world struct {
	*testing.T
	bed    *bed.Bed
	server *nameserver.Server
	dir    string // the operator's home, spec and state, and the name server's files
}

func newWorld(t *testing.T, hosts int) *world {
	t.Helper()
	w := &world{T: t, bed: bed.Up(t, hosts), dir: t.TempDir()}
	ctx := t.Context()
	at, err := w.bed.Address(ctx)
	w.ok(err)
	w.server, err = nameserver.New(ctx, nameserver.Config{
		Kind: nameserver.BIND, Dir: filepath.Join(w.dir, "bind"), At: netip.AddrPortFrom(at, 53),
		Zone: zone + ".", Domain: domain + ".", Clients: netip.PrefixFrom(at, 24).Masked(),
		Command: w.bed.Command, Dial: w.bed.Dial,
	})
	w.ok(err)
	w.ok(w.server.Start(ctx))
	t.Cleanup(w.server.Kill)
	w.ok(w.bed.Forward(ctx, zone+".", at))
	w.write(w.spec())
	return w
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// spec is the text of the spec that leads to all of the world.
func (w *world) spec() string {
	var addresses []string
	for _, h := range w.bed.Hosts {
		addresses = append(addresses, h.Addr.String())
	}
	return fmt.Sprintf(`cluster: %s
domain: %s
members: %d
hosts:
  ssh:
    addresses: [%s]
    user: root
    identityFile: %s
    knownHosts: %s
dns:
  rfc2136:
    server: %s
    zone: %s
    keyFile: %s
`, name, domain, len(addresses), strings.Join(addresses, ", "), w.bed.Key(), w.bed.KnownHosts(), w.server.Addr(), zone, w.server.KeyFile())
}

// write makes a text the spec of all commands to come.
func (w *world) write(spec string) {
	w.Helper()
	w.ok(os.WriteFile(w.specFile(), []byte(spec), 0o600))
}

func (w *world) specFile() string { return filepath.Join(w.dir, "pleiad.yaml") }
func (w *world) stateDir() string { return filepath.Join(w.dir, "state") }
func (w *world) pki() string      { return filepath.Join(w.stateDir(), name, "pki") }

// result is how a command ended.
type result struct {
	out, err string
	code     int
	took     time.Duration
}

func (r result) String() string {
	return fmt.Sprintf("exit %d\n--- stdout\n%s--- stderr\n%s", r.code, r.out, r.err)
}

func (r result) says(parts ...string) bool {
	return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(r.out+r.err, p) })
}

// command is pleiad on the bed's controller with the world's spec and state
// directory. Its process is pleiad's own, so that it can be signalled.
func (w *world) command(args ...string) *exec.Cmd {
	args = append(slices.Clone(args[:1]), append([]string{"-f", w.specFile(), "--state-dir", w.stateDir()}, args[1:]...)...)
	cmd := w.bed.Command(context.Background(), binary, args...)
	cmd.Env = append(cmd.Env, "HOME="+w.dir)
	return cmd
}

// run runs a command to its end, which must come within two minutes.
func (w *world) run(args ...string) result {
	w.Helper()
	return w.finish(w.command(args...))
}

func (w *world) finish(cmd *exec.Cmd) result {
	w.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	begun := time.Now()
	w.ok(cmd.Start())
	hung := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Signal(syscall.SIGQUIT) })
	defer hung.Stop()
	_ = cmd.Wait() // the exit code says it
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode(), tenths(time.Since(begun))}
}

// must runs a command that has to succeed.
func (w *world) must(args ...string) result {
	w.Helper()
	r := w.run(args...)
	if r.code != 0 {
		w.Fatalf("pleiad %s: %s", strings.Join(args, " "), r)
	}
	return r
}

// refuses runs a command that has to end with an exit code and certain words.
func (w *world) refuses(code int, words []string, args ...string) result {
	w.Helper()
	r := w.run(args...)
	if r.code != code || !r.says(words...) {
		w.Fatalf("pleiad %s: want exit %d and %q, got %s", strings.Join(args, " "), code, words, r)
	}
	return r
}

// on runs a shell command on a host, without ssh.
func (w *world) on(h *bed.Host, command string) string {
	w.Helper()
	out, err := h.Enter(w.Context(), command)
	w.ok(err)
	return out
}

// each does the same to several hosts at once.
func (w *world) each(hosts []*bed.Host, do func(*bed.Host, context.Context) error) {
	w.Helper()
	errs := make(chan error, len(hosts))
	for _, h := range hosts {
		go func() { errs <- do(h, w.Context()) }()
	}
	var all error
	for range hosts {
		all = errors.Join(all, <-errs)
	}
	w.ok(all)
}

// eventually waits for a condition that another process brings about.
func (w *world) eventually(what string, limit time.Duration, ok func() bool) {
	w.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	w.Fatalf("not within %s: %s", limit, what)
}

// endpoint is where a host's member serves clients, by its address.
func endpoint(h *bed.Host) string {
	return "https://" + net.JoinHostPort(h.Addr.String(), "2379")
}

// tls names the operator's files.
func (w *world) tls() transport.TLSInfo {
	return transport.TLSInfo{
		TrustedCAFile: filepath.Join(w.pki(), "ca.crt"),
		CertFile:      filepath.Join(w.pki(), "client.crt"), KeyFile: filepath.Join(w.pki(), "client.key"),
	}
}
