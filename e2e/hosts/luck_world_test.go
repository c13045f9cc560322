package hosts

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/e2e/nameserver"
	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
)

const (
	luckZone   = "bed.example."
	luckDomain = "c1.bed.example."
	luckPeers  = "_etcd-server-ssl._tcp." + luckDomain
)

// luckWorld is a bed with a name server, and one operator on its controller.
// What is bad luck there, the tests bring about.
type luckWorld struct {
	testing.TB
	lab    *bed.Bed
	server *nameserver.Server
	dir    string // home, specs and states
}

// newLuckWorld makes fresh hosts and an empty zone.
func newLuckWorld(t testing.TB, hosts int) *luckWorld {
	t.Helper()
	w := &luckWorld{TB: t, lab: bed.Up(t, hosts), dir: t.TempDir()}
	at := w.address()
	server, err := nameserver.New(t.Context(), nameserver.Config{
		Kind: nameserver.BIND, Dir: filepath.Join(w.dir, "bind"), At: netip.AddrPortFrom(at, 53),
		Zone: luckZone, Domain: luckDomain, Clients: netip.PrefixFrom(at, 24).Masked(),
		Command: w.lab.Command, Dial: w.lab.Dial,
	})
	w.check(err)
	w.server = server
	w.check(server.Start(t.Context()))
	t.Cleanup(server.Kill)
	w.check(w.lab.Forward(t.Context(), luckZone, at))
	return w
}

func (w *luckWorld) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *luckWorld) address() netip.Addr {
	w.Helper()
	at, err := w.lab.Address(w.Context())
	w.check(err)
	return at
}

// spec writes a spec for these hosts, one member on each, after some
// replacements in its text, and returns its path.
func (w *luckWorld) spec(hosts []*bed.Host, replace ...string) string {
	w.Helper()
	var addresses []string
	for _, h := range hosts {
		addresses = append(addresses, h.Addr.String())
	}
	text := fmt.Sprintf(`cluster: luck
domain: c1.bed.example
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
    zone: bed.example
    keyFile: %s
`, len(hosts), strings.Join(addresses, ", "), w.lab.Key(), w.lab.KnownHosts(), w.server.Addr(), w.server.KeyFile())
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			w.Fatalf("the spec has no %q", replace[i])
		}
	}
	f, err := os.CreateTemp(w.dir, "*.yaml")
	w.check(err)
	_, err = strings.NewReplacer(replace...).WriteString(f, text)
	w.check(err)
	w.check(f.Close())
	return f.Name()
}

// luckOperator is who works with a spec and a state directory.
type luckOperator struct {
	*luckWorld
	spec, state string
}

// operator is the one whose state directory has this name.
func (w *luckWorld) operator(name, spec string) luckOperator {
	return luckOperator{w, spec, filepath.Join(w.dir, "state-"+name)}
}

// luckRun is a command that runs, or has ended. What it says can be read
// meanwhile.
type luckRun struct {
	*luckWorld
	args  []string
	cmd   *exec.Cmd
	said  luckText
	ended chan struct{}
}

type luckText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (t *luckText) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *luckText) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

// start starts pleiad. It must end within three minutes.
func (o luckOperator) start(args ...string) *luckRun { return o.startAt(nil, args...) }

// startAt starts pleiad and stops it at each boundary between steps, until at
// returns; see CONTRIBUTING.md.
func (o luckOperator) startAt(at func(r *luckRun, line string), args ...string) *luckRun {
	o.Helper()
	command := append([]string{args[0], "-f", o.spec, "--state-dir", o.state}, args[1:]...)
	r := &luckRun{luckWorld: o.luckWorld, args: args, cmd: o.lab.Command(context.Background(), binary, command...), ended: make(chan struct{})}
	r.cmd.Stdout, r.cmd.Stderr = &r.said, &r.said
	// One home for all: it holds the packed program, and no ssh_config.
	r.cmd.Env = append(r.cmd.Environ(), "HOME="+filepath.Dir(binary), "SSH_AUTH_SOCK=")
	closed := func() {}
	if at != nil {
		socket, done := luckBreakpoints(o.TB, func(line string) { at(r, line) })
		r.cmd.Env = append(r.cmd.Env, "PLEIAD_BREAKPOINT="+socket)
		closed = done
	}
	o.check(r.cmd.Start())
	hung := time.AfterFunc(3*time.Minute, func() { _ = r.cmd.Process.Signal(syscall.SIGQUIT) })
	go func() {
		_ = r.cmd.Wait() // its exit code says it
		hung.Stop()
		closed()
		close(r.ended)
	}()
	o.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		<-r.ended
	})
	return r
}

// luckBreakpoints listens where pleiad stops before and after each step.
func luckBreakpoints(t testing.TB, at func(line string)) (socket string, done func()) {
	t.Helper()
	dir, err := os.MkdirTemp("", "luck-") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "b")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { // steps of one batch stop at once
				defer c.Close()
				if line, err := bufio.NewReader(c).ReadString('\n'); err == nil {
					at(strings.TrimSpace(line))
					_, _ = c.Write([]byte("go\n")) // pleiad may have been killed
				}
			})
		}
	})
	return socket, func() {
		l.Close()
		all.Wait()
		os.RemoveAll(dir)
	}
}

// end waits for the end.
func (r *luckRun) end() (code int) {
	<-r.ended
	return r.cmd.ProcessState.ExitCode()
}

func (r *luckRun) running() bool {
	select {
	case <-r.ended:
		return false
	default:
		return true
	}
}

func (r *luckRun) String() string {
	return fmt.Sprintf("pleiad %s:\n%s", strings.Join(r.args, " "), &r.said)
}

// ends waits for a certain end: an exit code, and words that were said.
func (r *luckRun) ends(code int, words ...string) *luckRun {
	r.Helper()
	if got := r.end(); got != code {
		r.Fatalf("exit %d, want %d: %s", got, code, r)
	}
	r.wantSaid(words...)
	if code != 0 {
		r.wantOneLine()
	}
	return r
}

func (r *luckRun) wantSaid(words ...string) {
	r.Helper()
	for _, word := range words {
		if !strings.Contains(r.said.String(), word) {
			r.Errorf("not said: %q: %s", word, r)
		}
	}
}

// wantOneLine wants the reason in one line that is followed by nothing but
// hints.
func (r *luckRun) wantOneLine() {
	r.Helper()
	_, reason, found := strings.Cut("\n"+r.said.String(), "\npleiad: ")
	lines := strings.Split(strings.TrimSpace(reason), "\n")
	if !found || slices.ContainsFunc(lines[1:], func(l string) bool { return !strings.HasPrefix(l, "  hint: ") }) {
		r.Errorf("want one line with the reason, then hints: %s", r)
	}
	if len(lines[0]) > 1000 {
		r.Errorf("the reason is %d bytes long: %s", len(lines[0]), r)
	}
}

// says waits until words were said, while the command runs.
func (r *luckRun) says(words ...string) {
	r.Helper()
	end := time.Now().Add(time.Minute)
	for {
		over := !r.running() || time.Now().After(end)
		text := r.said.String()
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) }) {
			return
		}
		if over {
			r.Fatalf("not said within a minute or before it ended: %q: %s", words, r)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (o luckOperator) must(args ...string) *luckRun {
	o.Helper()
	return o.start(args...).ends(0)
}

// refused runs a command that must end with an exit code and certain words.
func (o luckOperator) refused(code int, words []string, args ...string) *luckRun {
	o.Helper()
	return o.start(args...).ends(code, words...)
}

// eventually waits for a condition that somebody else brings about.
func (w *luckWorld) eventually(limit time.Duration, what string, ok func() bool) {
	w.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	w.Fatalf("not within %s: %s", limit, what)
}

// on runs a command on a host, reachable or not, and returns what it printed.
func (w *luckWorld) on(h *bed.Host, command string) string {
	w.Helper()
	out, err := h.Enter(w.Context(), command)
	w.check(err)
	return strings.TrimSpace(out)
}

// nsupdate changes the zone as a person would who has its key.
func (w *luckWorld) nsupdate(commands ...string) {
	w.Helper()
	cmd := w.lab.Command(w.Context(), "nsupdate", "-v", "-k", w.server.KeyFile())
	at := w.server.Addr()
	cmd.Stdin = strings.NewReader(fmt.Sprintf("server %s %d\n%s\nsend\n", at.Addr(), at.Port(), strings.Join(commands, "\n")))
	if out, err := cmd.CombinedOutput(); err != nil {
		w.Fatalf("nsupdate %q: %v\n%s", commands, err, out)
	}
}

// records are the values of a record set at the name server, sorted.
func (w *luckWorld) records(name, rrtype string) []string {
	w.Helper()
	out, err := w.lab.Command(w.Context(), "dig", "+short", "+norecurse", "+tcp", "@"+w.server.Addr().Addr().String(), name, rrtype).Output()
	w.check(err)
	values := slices.DeleteFunc(strings.Split(string(out), "\n"), func(v string) bool { return v == "" })
	slices.Sort(values)
	return values
}

// claimed is the name under which a host is claimed, empty if it is not.
func (w *luckWorld) claimed(h *bed.Host) string {
	w.Helper()
	raw := w.on(h, "cat /etc/pleiad/host.json 2>/dev/null || true")
	if raw == "" {
		return ""
	}
	var claim struct{ Name string }
	w.check(json.Unmarshal([]byte(raw), &claim))
	return claim.Name
}

// hostOf is the host that is claimed by a name.
func (w *luckWorld) hostOf(name string) *bed.Host {
	w.Helper()
	i := slices.IndexFunc(w.lab.Hosts, func(h *bed.Host) bool { return w.claimed(h) == name })
	if i < 0 {
		w.Fatalf("no host is claimed by %s", name)
	}
	return w.lab.Hosts[i]
}

// formed are the cluster IDs that etcd has ever spoken of on these hosts since
// a moment, as their journals tell. What a log says of other members' IDs
// counts too.
func (w *luckWorld) formed(hosts []*bed.Host, since string) []string {
	w.Helper()
	var ids []string
	for _, h := range hosts {
		out := w.on(h, `journalctl --unit=pleiad-member --output=cat --quiet --since='`+since+`' | grep -oE '"(remote-(peer-)?|local-(member-)?)?cluster-id":"[0-9a-f]+"' | cut -d'"' -f4 || true`)
		ids = append(ids, strings.Fields(out)...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// now is the hosts' clock, for journals.
func (w *luckWorld) now() string { return time.Now().Format("2006-01-02 15:04:05.000000") }

// wantOne looks for anything doubled: one cluster on these hosts, one record
// for each of its members, and one cluster ID ever.
func (w *luckWorld) wantOne(hosts []*bed.Host, since string) {
	w.Helper()
	if ids := w.formed(hosts, since); len(ids) != 1 {
		w.Errorf("cluster IDs %v were formed, want one", ids)
	}
	var claimed, listed []string
	for _, h := range hosts {
		name := w.claimed(h)
		claimed = append(claimed, name)
		if got := w.records(name+"."+luckDomain, "A"); !slices.Equal(got, []string{h.Addr.String()}) {
			w.Errorf("%s has addresses %v, want %s", name, got, h.Addr)
		}
		if n := w.on(h, "pgrep -cf '/[p]leiad member' || true"); n != "1" {
			w.Errorf("%s members run on %s, want 1", n, h.Name)
		}
	}
	for _, v := range w.records(luckPeers, "SRV") {
		_, target, _ := strings.Cut(v, "2380 ")
		listed = append(listed, strings.TrimSuffix(target, "."+luckDomain))
	}
	slices.Sort(claimed)
	slices.Sort(listed)
	if !slices.Equal(claimed, listed) || len(slices.Compact(claimed)) != len(hosts) {
		w.Errorf("hosts are claimed by %v, listed are %v", claimed, listed)
	}
	if marker := w.records("_pleiad."+luckDomain, "TXT"); len(marker) != 1 || !strings.Contains(marker[0], "state=sealed") {
		w.Errorf("the marker is %q", marker)
	}
}

// reason is the line that says why the command failed.
func (r *luckRun) reason() string {
	_, reason, _ := strings.Cut("\n"+r.said.String(), "\npleiad: ")
	line, _, _ := strings.Cut(reason, "\n")
	return line
}

// in is the same world in a subtest.
func (w *luckWorld) in(t testing.TB) *luckWorld {
	return &luckWorld{TB: t, lab: w.lab, server: w.server, dir: w.dir}
}

// in is the same operator in a subtest.
func (o luckOperator) in(t testing.TB) luckOperator {
	o.luckWorld = o.luckWorld.in(t)
	return o
}
