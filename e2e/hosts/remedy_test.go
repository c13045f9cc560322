package hosts

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// Each misfortune of one machine is a clear error with its exit code and what
// to do about it, and the up after that succeeds. A clock that is off on one
// side of a TSIG key needs two clocks: see e2e/dnsservers.
func TestRemedies(t *testing.T) {
	t.Parallel()
	w, o := newWorld(t, 1)
	h := w.Hosts[0]
	never := func(*world) {}
	for _, c := range []struct {
		name   string
		spec   string
		before func(w *world)
		at     string // the boundary at which it happens; none: before the command
		code   int
		says   []string
		remedy func(w *world)
		fixed  bool // the same spec is right after the remedy
	}{
		{name: "the name server has another secret", code: 5,
			spec: w.spec(w.Server.KeyFile(), w.file("key", `key "pleiad" { algorithm hmac-sha256; secret "d3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmcgd3I="; };`)),
			says: []string{"the secret of the key is another one than the server's", "compare the key with the server's"}},
		{name: "the host key is another one", code: 5, spec: w.spec(w.KnownHosts(), w.knownHosts(w.newKey())),
			says: []string{h.Addr.String(), "HAS CHANGED", "SHA256:", "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub", "put this line in the place of the old one"}},
		{name: "the host key is unknown", code: 5, spec: w.spec(w.KnownHosts(), w.file("known_hosts", "")),
			says: []string{h.Addr.String(), "host key of", "is unknown", "SHA256:", "accept it:", "fingerprints: ["}},
		{name: "no such user", code: 5, spec: w.spec("user: root", "user: nobody-such"),
			says: []string{h.Addr.String(), "login denied", "ssh-copy-id", "user:"}},
		{name: "sudo asks for a password", code: 5, spec: w.spec("user: root", "user: admin"),
			before: func(w *world) { w.on(h, "sed -i s/NOPASSWD:// /etc/sudoers.d/admin") },
			says:   []string{h.Addr.String(), "sudo", "NOPASSWD"},
			remedy: func(w *world) { w.on(h, "echo 'admin ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/admin") }, fixed: true},
		{name: "there is no build for its architecture", code: 1, spec: w.builds(filepath.Join(w.dir, "none")),
			says: []string{"pleiad for linux/" + runtime.GOARCH, filepath.Join(w.dir, "none"), "binaries: {" + runtime.GOARCH + ": PATH}", "GOARCH=" + runtime.GOARCH}},
		{name: "the build is for another architecture", code: 1, spec: w.builds(w.foreignBuild()),
			says: []string{"is no pleiad for linux/" + runtime.GOARCH, "it is for EM_", "hint: build one"}},
		{name: "the disk is full", code: 1,
			before: func(w *world) {
				w.on(h, "mkdir -p /usr/local/lib/pleiad && mount -t tmpfs -o size=1m small /usr/local/lib/pleiad")
			},
			says:   []string{h.Addr.String(), "/usr/local/lib/pleiad", "No space left on device", "free 100 MB there"},
			remedy: func(w *world) { w.on(h, "umount /usr/local/lib/pleiad") }},
		{name: "port 2380 is taken after the claim", code: 9, at: "before start member ",
			before: func(w *world) {
				w.on(h, "systemd-run --quiet --unit=theirs systemd-socket-activate --accept --listen=2380 /bin/cat; until ss -ltn | grep -q ':2380 '; do sleep 0.05; done")
			},
			says:   []string{h.Addr.String() + ":2380", "ss -lntup"},
			remedy: func(w *world) { w.on(h, "systemctl stop theirs") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.in(t)
			o := o.in(w)
			w.ok(w.Resolve(w.Context())) // the list of the case before is none of this one's trouble
			bad := o
			if c.spec != "" {
				bad.SpecFile = c.spec
			}
			if c.before == nil {
				c.before, c.remedy = never, never
			}
			var r *run
			if c.at == "" {
				c.before(w)
				r = bad.start("up", "--timeout", "5s")
			} else {
				var once sync.Once
				r = bad.startAt(func(_ *run, line string) {
					if strings.HasPrefix(line, c.at) {
						once.Do(func() { c.before(w) })
					}
				}, "up", "--timeout", "5s")
			}
			r.end()
			c.remedy(w)
			r.ends(c.code, c.says...)
			if c.fixed {
				o = bad
			}
			o.must("up")
			o.must("destroy", "--yes")
		})
	}
}

// newKey is a public key that nobody uses.
func (w *world) newKey() string {
	w.Helper()
	path := w.file("key", "")
	w.ok(os.Remove(path))
	w.ok(exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path).Run())
	public, err := os.ReadFile(path + ".pub")
	w.ok(err)
	return strings.Join(strings.Fields(string(public))[:2], " ")
}

// knownHosts is a file by which the hosts have this key.
func (w *world) knownHosts(key string) string {
	w.Helper()
	var lines strings.Builder
	for _, h := range w.Hosts {
		lines.WriteString(h.Addr.String() + " " + key + "\n")
	}
	return w.file("known_hosts", lines.String())
}

// builds is a spec that names a program for this machine's architecture, which
// is also the hosts'.
func (w *world) builds(path string) string {
	w.Helper()
	return w.spec("    user: root\n", "    user: root\n    binaries: {"+runtime.GOARCH+": "+path+"}\n")
}

// foreignBuild is a program for another architecture.
func (w *world) foreignBuild() string {
	w.Helper()
	source := w.file("main.go", "package main\nfunc main() {}\n")
	program := filepath.Join(w.dir, "foreign")
	build := exec.Command("go", "build", "-o", program, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH])
	out, err := build.CombinedOutput()
	if err != nil {
		w.Fatalf("build: %v\n%s", err, out)
	}
	return program
}
