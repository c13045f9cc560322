package hosts

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/e2e/site"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// Whatever the controller has lost of what it keeps, the member serves on, and
// what is printed, done as it was printed, brings the cluster back: the same one.
// What only a backup has is put back from one, after the data was saved as
// printed.
func TestLostFiles(t *testing.T) {
	t.Parallel()
	w, o := newWorld(t, 1)
	h := w.Hosts[0]
	o.must("up")
	o.must("etcdctl", "--", "put", "greeting", "hello")
	began := w.life()
	at := func(name string) string { return filepath.Join(o.StateDir, site.Cluster, name) }
	restore := func(w *world, l lost, _ *run) { w.ok(os.Rename(l.aside, l.path)) }
	for _, c := range []struct {
		name, path string
		bare       bool // without the operator's file
		code       int
		says       []string
		remedy     func(w *world, l lost, r *run) // nil: up has done it
	}{
		{name: "spec, which the operator has", path: at("spec.yaml")},
		{name: "spec", path: at("spec.yaml"), bare: true, code: 11,
			says: []string{"spec.yaml: missing, but this directory owns cluster", "hosts of kind ssh", "its records in zone " + site.Zone},
			remedy: func(w *world, _ lost, r *run) {
				command := r.printed("else give it again, with the values the cluster had: ")
				w.typed(filepath.Dir(o.SpecFile), w.personally(command))
			}},
		{name: "home", path: at("home.json"), code: 11, says: []string{"home.json: missing"},
			remedy: func(w *world, _ lost, r *run) {
				asks := o.in(w).enters(r.printed("recreate it from the rest: ")).ends(3, "safe only if")
				w.typed(w.dir, w.personally(asks.printed("confirm it: ")))
			}},
		{name: "certificate of a CA", path: at("pki/peer-ca.crt"), code: 5, says: []string{"each member has a copy of it, in the folder pki beside its " + node.FileName},
			remedy: func(w *world, l lost, _ *run) {
				w.ok(os.WriteFile(l.path, []byte(w.on(h, "cat "+node.MachinePaths().Config+"/pki/peer-ca.crt")), 0o600))
			}},
		{name: "key of a CA", path: at("pki/client-ca.key"), code: 5, says: []string{"client-ca.key: missing", "restore it from a backup"},
			remedy: func(w *world, l lost, r *run) { w.saved(r); restore(w, l, r) }},
		{name: "all keys", path: at("pki"), code: 5, says: []string{"there is no CA key"},
			remedy: func(w *world, l lost, r *run) { w.saved(r); restore(w, l, r) }},
		{name: "operator's key", path: at("pki/operator.key")},
		{name: "key of the zone", path: w.Server.KeyFile(), code: 5, says: []string{"put the key, as tsig-keygen writes it, into " + w.Server.KeyFile()}, remedy: restore},
		{name: "identity", path: w.Key(), code: 5, says: []string{h.Addr.String(), w.Key()}, remedy: restore},
		{name: "known hosts", path: w.KnownHosts(), code: 5, says: []string{h.Addr.String(), "is unknown"},
			remedy: func(w *world, _ lost, r *run) { w.typed(w.dir, r.printed("accept it:\n")) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.in(t)
			o := o.in(w)
			l := lost{c.path, filepath.Join(t.TempDir(), "aside")}
			w.ok(os.Rename(l.path, l.aside))
			command := "pleiad up --timeout 5s --state-dir " + o.StateDir + " -f " + o.SpecFile
			if c.bare {
				command = "pleiad up --timeout 5s --state-dir " + o.StateDir + " --cluster " + site.Cluster
			}
			r := o.enters(command)
			r.ends(c.code, c.says...)
			if c.remedy != nil {
				c.remedy(w, l, r)
			}
			o.must("up").ends(0, "nothing to do")
			if now := w.life(); now != began {
				t.Errorf("the member became another process: %s, was %s", now, began)
			}
			if out, _ := o.output("etcdctl", "--", "get", "greeting"); !strings.Contains(out, "hello") {
				t.Errorf("the data is %q", out)
			}
		})
	}
}

// lost is a file that is lost, and its backup.
type lost struct{ path, aside string }

// life is the process of the member of the only host.
func (w *world) life() string {
	w.Helper()
	return strings.TrimSpace(w.on(w.Hosts[0], "systemctl show --property=MainPID "+node.UnitName))
}

// saved saves the data as printed.
func (w *world) saved(r *run) {
	w.Helper()
	dir := w.TempDir()
	w.typed(dir, w.personally(r.printed("save the data with a certificate that a member has:\n")))
	w.typed(dir, w.personally("pleiad etcdctl "+r.printed("pleiad etcdctl ")))
	if info, err := os.Stat(filepath.Join(dir, "FILE")); err != nil || info.Size() == 0 {
		w.Errorf("nothing was saved: %v", err)
	}
}

// personally is a command at a shell of somebody who has this pleiad, and whose
// ssh gets in.
func (w *world) personally(command string) string {
	w.Helper()
	return "export SSH_AUTH_SOCK= HOME=" + filepath.Dir(binary) + " PATH=" + w.friend() + ":" + filepath.Dir(binary) + ":$PATH; " + command
}

// enters starts a command as a person types it.
func (o operator) enters(command string) *run {
	o.Helper()
	r := o.prepare("up")
	r.args = []string{command}
	r.cmd = o.Command(context.Background(), "sh", "-c", o.personally(command))
	r.cmd.Stdout, r.cmd.Stderr = &r.said, &r.said
	return r.start()
}
