package hosts

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/e2e/site"
	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
)

const (
	// domain is the discovery domain as name servers write it.
	domain = site.Domain + "."
	// serverSRV is the list of members in DNS.
	serverSRV = "_etcd-server-ssl._tcp." + domain
)

// world is a site that goes with its test. What is bad luck there, the tests
// bring about.
type world struct {
	testing.TB
	*site.Site
	dir string // what operators hold
}

// newWorld makes fresh hosts, an empty zone, and an operator who has a spec for
// all of the hosts.
func newWorld(t testing.TB, hosts int) (*world, operator) {
	t.Helper()
	w := &world{TB: t, dir: t.TempDir()}
	begun := time.Now()
	s, err := site.Open(t.Context(), w.dir, hosts)
	w.ok(err)
	w.Site = s
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Logf("%d hosts and a name server after %s", hosts, tenths(time.Since(begun)))
	return w, w.operator("a")
}

// in is the same world in a subtest.
func (w *world) in(t testing.TB) *world { return &world{TB: t, Site: w.Site, dir: w.dir} }

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// spec writes a spec for all hosts, after some replacements in its text, and
// returns its path.
func (w *world) spec(replace ...string) string {
	w.Helper()
	text := w.Spec(w.Hosts)
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			w.Fatalf("the spec has no %q", replace[i])
		}
	}
	return w.file("pleiad.yaml", strings.NewReplacer(replace...).Replace(text))
}

// file makes a file of the operator's.
func (w *world) file(name, text string) string {
	w.Helper()
	dir, err := os.MkdirTemp(w.dir, "file-")
	w.ok(err)
	path := filepath.Join(dir, name)
	w.ok(os.WriteFile(path, []byte(text), 0o600))
	return path
}

// on runs a shell command on a host, reachable or not, and returns what it
// printed.
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

// eventually waits for a condition that somebody else brings about.
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

func tenths(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }
