package hosts

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
	nothing := func(*world, *run) {} // the other spec is what it says
	here := func(before string) func(*world, *run) {
		return func(w *world, r *run) { w.typed(".", r.printed(before)) }
	}
	there := func(before string) func(*world, *run) {
		return func(w *world, r *run) { w.on(h, r.printed(before)) }
	}
	known := w.file("known_hosts", w.knownHostsText(w.newKey()))
	unknown, named := w.file("known_hosts", ""), "" // a spec
	key := w.strangersKey()
	build := filepath.Join(w.dir, "none")
	for _, c := range []struct {
		name   string
		spec   string
		before func(w *world)
		at     string // the boundary at which it happens; none: before the command
		code   int
		says   []string
		remedy func(w *world, r *run) // done as it was printed
		fixed  bool                   // the same spec is right after the remedy
	}{
		{name: "the name server has another secret", code: 5,
			spec: w.spec(w.Server.KeyFile(), w.file("key", `key "pleiad" { algorithm hmac-sha256; secret "d3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmcgd3I="; };`)),
			says: []string{"the key's secret differs from the server's", "compare the key with the server's"}},
		{name: "the host key is another one", code: 5, spec: w.spec(w.KnownHosts(), known),
			says: []string{h.Addr.String(), "HAS CHANGED", "SHA256:", "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub", "replace the old line with this one:"},
			remedy: func(w *world, r *run) {
				line := r.printed("only if both are equal, replace the old line with this one:\n")
				w.ok(os.WriteFile(known, []byte(line+"\n"), 0o600))
			}, fixed: true},
		{name: "the host key is unknown", code: 5, spec: w.spec(w.KnownHosts(), unknown),
			says:   []string{h.Addr.String(), "host key of", "is unknown", "SHA256:", "accept it:"},
			remedy: here("accept it:\n"), fixed: true},
		{name: "the host key is unknown, and is named in the spec", code: 5, spec: w.spec(w.KnownHosts(), w.file("known_hosts", "")),
			says: []string{"fingerprints: ["},
			remedy: func(w *world, r *run) {
				named = w.spec(w.KnownHosts(), w.file("known_hosts", ""), "    user: root\n", "    user: root\n    "+r.printed("under hosts.ssh: ")+"\n")
			}},
		{name: "no host knows the key", code: 5, spec: w.spec("identityFile: ", "identityFile: "+key+" # "),
			says: []string{h.Addr.String(), "login denied", key},
			remedy: func(w *world, r *run) {
				w.typed(".", "PATH="+w.friend()+":$PATH "+r.printed("authorize one of these keys: "))
			}, fixed: true},
		{name: "no such user", code: 5, spec: w.spec("user: root", "user: nobody-such"),
			says: []string{h.Addr.String(), "login denied", "name another user:"}},
		{name: "sudo asks for a password", code: 5, spec: w.spec("user: root", "user: admin"),
			before: func(w *world) { w.on(h, "sed -i s/NOPASSWD:// /etc/sudoers.d/admin") },
			says:   []string{h.Addr.String(), "sudo"},
			remedy: there("as root there: "), fixed: true},
		{name: "sudo asks for a terminal", code: 5, spec: w.spec("user: root", "user: admin"),
			before: func(w *world) { w.on(h, "echo 'Defaults requiretty' >/etc/sudoers.d/requiretty") },
			says:   []string{h.Addr.String(), "must have a tty"},
			remedy: there("without a terminal, as root there: "), fixed: true},
		{name: "sudo does not know the user", code: 5, spec: w.spec("user: root", "user: admin"),
			before: func(w *world) {
				w.on(h, "rm -f /etc/sudoers.d/admin /etc/sudoers.d/zz-pleiad; gpasswd -d admin sudo || true")
			},
			says:   []string{h.Addr.String(), "a password is required"}, // it says so before it says that it does not know the user
			remedy: there("as root there: "), fixed: true},
		{name: "there is no sudo", code: 5, spec: w.spec("user: root", "user: admin"),
			before: func(w *world) { w.on(h, "mv /usr/bin/sudo /usr/bin/sudo.away; rm -f /etc/sudoers.d/zz-pleiad") },
			says:   []string{h.Addr.String(), "sudo", "install sudo there"},
			remedy: func(w *world, r *run) {
				w.on(h, "mv /usr/bin/sudo.away /usr/bin/sudo") // for apt-get, which has nowhere to get it from
				there("as root there: ")(w, r)
			}, fixed: true},
		{name: "there is no build for its architecture", code: 1, spec: w.builds(build),
			says: []string{"pleiad for linux/" + runtime.GOARCH, build, "binaries: {" + runtime.GOARCH + ": PATH}"},
			remedy: func(w *world, r *run) {
				made := filepath.Join("..", "..", "pleiad-linux-"+runtime.GOARCH)
				defer os.Remove(made)
				w.typed(filepath.Join("..", ".."), r.printed("in the source of pleiad: "))
				program, err := os.ReadFile(made)
				w.ok(err)
				w.ok(os.WriteFile(build, program, 0o700))
			}, fixed: true},
		{name: "the build is for another architecture", code: 1, spec: w.builds(w.foreignBuild()),
			says: []string{"is not a pleiad for linux/" + runtime.GOARCH, "it is for EM_", "hint: build one"}},
		{name: "the disk is full", code: 1,
			before: func(w *world) {
				w.on(h, "mkdir -p /usr/local/lib/pleiad && mount -t tmpfs -o size=1m small /usr/local/lib/pleiad")
			},
			says: []string{h.Addr.String(), "/usr/local/lib/pleiad", "No space left on device"},
			remedy: func(w *world, r *run) {
				if out := w.on(h, r.printed("free 100 MB there: ")); !strings.Contains(out, "1.0M") {
					w.Errorf("the small disk is not shown:\n%s", out)
				}
				w.on(h, "umount /usr/local/lib/pleiad")
			}},
		{name: "port 2380 is taken after the claim", code: 9, at: "before start member ",
			before: func(w *world) {
				w.on(h, "systemd-run --quiet --unit=theirs systemd-socket-activate --accept --listen=2380 /bin/cat; until ss -ltn | grep -q ':2380 '; do sleep 0.05; done")
			},
			says: []string{h.Addr.String() + ":2380"},
			remedy: func(w *world, r *run) {
				if out := w.on(h, r.printed("see who listens there, with: ")); !strings.Contains(out, ":2380") {
					w.Errorf("nobody is shown to listen at port 2380:\n%s", out)
				}
				w.on(h, "systemctl stop theirs")
			}},
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
				c.before = never
			}
			if c.remedy == nil {
				c.remedy = nothing
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
			r.ends(c.code, c.says...)
			c.remedy(w, r)
			if c.fixed {
				o = bad
			}
			if named != "" {
				o.SpecFile, named = named, ""
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

// knownHostsText says of all hosts that they have this key.
func (w *world) knownHostsText(key string) string {
	w.Helper()
	var lines strings.Builder
	for _, h := range w.Hosts {
		lines.WriteString(h.Addr.String() + " " + key + "\n")
	}
	return lines.String()
}

// strangersKey is a key pair that no host knows.
func (w *world) strangersKey() string {
	w.Helper()
	path := filepath.Join(w.dir, "stranger")
	w.ok(exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path).Run())
	return path
}

// printed is the rest of the line after some words.
func (r *run) printed(before string) string {
	r.Helper()
	said := hinted.ReplaceAllString(r.said.String(), "\n")
	_, rest, ok := strings.Cut(said, before)
	if !ok {
		r.Fatalf("no %q: %s", before, r)
	}
	line, _, _ := strings.Cut(rest, "\n")
	return line
}

// hinted is what stands before each line of a remedy.
var hinted = regexp.MustCompile(`\n +(hint: )?`)

// friend is a folder with an ssh for somebody who is let in by another key, unless
// it is asked to try one key alone.
func (w *world) friend() string {
	w.Helper()
	script := w.file("ssh", "#!/bin/sh\ncase \"$*\" in *IdentitiesOnly*) ;; *) set -- -i "+w.Key()+" \"$@\" ;; esac\n"+
		"exec /usr/bin/ssh -F none -o UserKnownHostsFile="+w.KnownHosts()+" \"$@\"\n")
	w.ok(os.Chmod(script, 0o700))
	return filepath.Dir(script)
}

// typed is what a person types at a shell of their own.
func (w *world) typed(dir, command string) {
	w.Helper()
	cmd := w.Command(w.Context(), "sh", "-c", command)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		w.Fatalf("%s: %v\n%s", command, err, out)
	}
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
