package handout_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/pki"
	"github.com/pleiad-etcd/pleiad/internal/world/handout"
	"github.com/pleiad-etcd/pleiad/internal/world/statedir"
)

func newHome(t *testing.T) *statedir.Home {
	t.Helper()
	h, err := statedir.Create(t.Context(), t.TempDir(), "dev", statedir.SeatOf(cluster.Spec{Domain: "dev.test"}))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Create(t.Context(), "us", true); err != nil {
		t.Fatal(err)
	}
	return h
}

func request(folder string) handout.Request {
	return handout.Request{Application: pki.Application{Name: "app"}, Life: time.Hour, Folder: folder}
}

// contents are the files of a folder; there must be nothing else in it.
func contents(t *testing.T, folder string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(b)
	}
	return out
}

// A renewal replaces the certificate alone, which keeps the mode that somebody
// gave it for the application.
func TestRenewal(t *testing.T) {
	h, folder := newHome(t), filepath.Join(t.TempDir(), "new")
	if _, err := request(folder).Issue(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	before := contents(t, folder)
	if len(before) != 3 {
		t.Fatalf("%d files, want three", len(before))
	}
	cert := filepath.Join(folder, "app.crt")
	if err := os.Chmod(cert, 0o640); err != nil {
		t.Fatal(err)
	}
	again := request(folder)
	again.Renew, again.Life = true, 2*time.Hour
	until, err := again.Issue(t.Context(), h)
	if err != nil || time.Until(until) < time.Hour {
		t.Fatalf("renewal: until %v, %v", until, err)
	}
	after := contents(t, folder)
	for name := range after {
		if changed := before[name] != after[name]; changed != (name == "app.crt") {
			t.Errorf("%s changed: %t", name, changed)
		}
	}
	if info, err := os.Stat(cert); err != nil || info.Mode().Perm() != 0o640 && runtime.GOOS != "windows" {
		t.Errorf("mode %v, %v, want it kept", info.Mode(), err)
	}
	if err := os.Remove(cert); err != nil { // as after a crash
		t.Fatal(err)
	}
	if _, err := again.Issue(t.Context(), h); err != nil {
		t.Errorf("renewal after a crash: %v", err)
	}
}

// Whatever is in the way, nothing changes and the remedy fits.
func TestObstacles(t *testing.T) {
	h, other := newHome(t), newHome(t)
	issue := func(t *testing.T, h *statedir.Home, r handout.Request) {
		t.Helper()
		if _, err := r.Issue(t.Context(), h); err != nil {
			t.Fatal(err)
		}
	}
	put := func(t *testing.T, folder, name string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name), []byte("theirs"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		what    string
		prepare func(t *testing.T, folder string)
		change  func(*handout.Request)
		file    string
		remedy  handout.Remedy
	}{
		{"what is no key", func(t *testing.T, folder string) { put(t, folder, "app.key") }, nil, "app.key", handout.Elsewhere},
		{"a key without its certificate", func(t *testing.T, folder string) {
			issue(t, h, request(folder))
			if err := os.Remove(filepath.Join(folder, "app.crt")); err != nil {
				t.Fatal(err)
			}
		}, nil, "app.key", handout.Renew},
		{"a certificate", func(t *testing.T, folder string) { issue(t, h, request(folder)) }, nil, "app.key", handout.Renew},
		{"a certificate of another kind", func(t *testing.T, folder string) { issue(t, h, request(folder)) }, func(r *handout.Request) { r.NoUser = true }, "app.key", handout.Elsewhere},
		{"a certificate without its key", func(t *testing.T, folder string) { put(t, folder, "app.crt") }, nil, "app.crt", handout.Elsewhere},
		{"a certificate without its key to renew", func(t *testing.T, folder string) { put(t, folder, "app.crt") }, func(r *handout.Request) { r.Renew = true }, "app.key", handout.Elsewhere},
		{"a link to nowhere", func(t *testing.T, folder string) {
			if err := os.Symlink("nowhere", filepath.Join(folder, "app.key")); err != nil {
				t.Fatal(err)
			}
		}, nil, "app.key", handout.Elsewhere},
		{"another cluster's CA", func(t *testing.T, folder string) {
			r := request(folder)
			r.Name = "other"
			issue(t, other, r)
		}, nil, "ca.crt", handout.Elsewhere},
		{"nothing to renew", func(*testing.T, string) {}, func(r *handout.Request) { r.Renew = true }, "app.key", handout.First},
		{"no certificate to renew", func(t *testing.T, folder string) {
			issue(t, h, request(folder))
			put(t, folder, "app.crt")
		}, func(r *handout.Request) { r.Renew = true }, "app.crt", handout.Elsewhere},
		{"another kind to renew", func(t *testing.T, folder string) { issue(t, h, request(folder)) }, func(r *handout.Request) { r.Renew, r.NoUser = true, true }, "app.crt", handout.AsBefore},
	} {
		t.Run(c.what, func(t *testing.T) {
			folder := t.TempDir()
			c.prepare(t, folder)
			look := func() string {
				entries, err := os.ReadDir(folder)
				if err != nil {
					t.Fatal(err)
				}
				var out strings.Builder
				for _, e := range entries {
					b, _ := os.ReadFile(filepath.Join(folder, e.Name())) // the link leads nowhere
					out.WriteString(e.Name() + " " + string(b) + "\n")
				}
				return out.String()
			}
			before := look()
			r := request(folder)
			if c.change != nil {
				c.change(&r)
			}
			_, err := r.Issue(t.Context(), h)
			o, ok := errors.AsType[*handout.Obstacle](err)
			if !ok || filepath.Base(o.Path) != c.file || o.Remedy != c.remedy {
				t.Errorf("Issue: %v, want an obstacle %s with remedy %d", err, c.file, c.remedy)
			}
			if after := look(); after != before {
				t.Errorf("the folder changed from\n%sto\n%s", before, after)
			}
		})
	}
}
