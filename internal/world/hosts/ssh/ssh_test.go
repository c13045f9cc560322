//go:build unix

package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts/hoststest"
	"github.com/pleiad-etcd/pleiad/internal/world/sshexec"
)

// fleet is a number of machines that are folders; commands run here, with the
// folder in the place of the root.
type fleet struct {
	*testing.T
	root string

	mu    sync.Mutex
	dark  map[netip.Addr]error // machines that cannot be reached
	slow  map[netip.Addr]bool  // machines that do not answer in time
	busy  map[netip.Addr]bool  // machines on which a member runs
	unfit map[netip.Addr]bool  // machines on which none can run
}

func newFleet(t *testing.T) *fleet {
	return &fleet{T: t, root: t.TempDir(), dark: map[netip.Addr]error{}, slow: map[netip.Addr]bool{}, busy: map[netip.Addr]bool{}, unfit: map[netip.Addr]bool{}}
}

func address(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 5, 1, byte(i)}) }

// path is a path of a machine as it lies here.
func (f *fleet) path(addr netip.Addr, path string) string {
	return filepath.Join(f.root, addr.String(), path)
}

// put makes a file on a machine.
func (f *fleet) put(addr netip.Addr, path, content string) {
	f.Helper()
	if err := os.MkdirAll(filepath.Dir(f.path(addr, path)), 0o700); err != nil {
		f.Fatal(err)
	}
	if err := os.WriteFile(f.path(addr, path), []byte(content), 0o600); err != nil {
		f.Fatal(err)
	}
}

// kept is where [fleet.provider] moves data aside.
const kept = "/var/lib/kept"

type machine struct {
	*fleet
	addr netip.Addr
}

func (m machine) Run(ctx context.Context, command string, stdin io.Reader) ([]byte, error) {
	m.mu.Lock()
	dark, slow := m.dark[m.addr], m.slow[m.addr]
	m.mu.Unlock()
	if slow {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	if dark != nil {
		return nil, dark
	}
	for _, folder := range []string{"etc", "usr/local", "var/lib", "proc"} {
		if err := os.MkdirAll(m.path(m.addr, folder), 0o700); err != nil {
			return nil, err
		}
	}
	command = absolute.ReplaceAllString(command, "${1}"+m.path(m.addr, "")+"/${2}")
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Stdin = stdin
	out, err := cmd.Output()
	var failed *exec.ExitError
	if ctx.Err() == nil && errors.As(err, &failed) {
		err = &sshexec.ExitError{Status: failed.ExitCode(), Stderr: string(failed.Stderr)}
	}
	return out, errors.Join(err, ctx.Err())
}

func (m machine) Look(ctx context.Context, command string) ([]byte, error) {
	return m.Run(ctx, command, nil)
}

// absolute are the paths in a command.
var absolute = regexp.MustCompile(`(^|[ =>\n])/(etc|usr/local|var/lib|proc)\b`)

var errUnfit = errors.New("no program for it")

var errSilent = errors.New("no answer within 2.5s")

// provider is one controller's, of a cluster with so many machines.
func (f *fleet) provider(name cluster.Name, machines int) *Provider {
	spec := cluster.Spec{Cluster: name, Domain: string(name) + ".test", Hosts: cluster.HostsSpec{SSH: &cluster.SSHHosts{}}}
	for i := machines; i > 0; i-- {
		spec.Hosts.SSH.Addresses = append(spec.Hosts.SSH.Addresses, address(i))
	}
	return New(Config{
		Spec:    spec,
		Machine: func(a netip.Addr) Machine { return machine{f, a} },
		Fits: func(_ context.Context, a netip.Addr) error {
			if f.unfit[a] {
				return errUnfit
			}
			return nil
		},
		Clear: func(_ context.Context, h cluster.Host, fate hosts.DataFate) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.busy[h.Address] {
				return hosts.ErrBusy
			}
			if data := f.path(h.Address, h.Paths.Data); fate == hosts.KeepData {
				if err := os.Rename(data, f.path(h.Address, kept)); err != nil && !errors.Is(err, os.ErrNotExist) {
					return err
				}
			}
			return os.RemoveAll(f.path(h.Address, node.StateFolder))
		},
	})
}

func TestConformance(t *testing.T) {
	hoststest.Run(t, func(t *testing.T) hoststest.World {
		f := newFleet(t)
		return hoststest.World{
			Provider: func(c cluster.Name) hosts.Provider { return f.provider(c, 9) },
			Member: func(_ cluster.Name, h cluster.Host) func() {
				set := func(busy bool) {
					f.mu.Lock()
					defer f.mu.Unlock()
					f.busy[h.Address] = busy
				}
				set(true)
				return func() { set(false) }
			},
			Data: func(_ cluster.Name, h cluster.Host) func() hoststest.Where {
				f.put(h.Address, h.Paths.Data+"/wal", string(h.Name))
				return func() hoststest.Where {
					for path, is := range map[string]hoststest.Where{h.Paths.Data: hoststest.OnHost, kept: hoststest.Kept} {
						if b, err := os.ReadFile(f.path(h.Address, path+"/wal")); err == nil && string(b) == string(h.Name) {
							return is
						}
					}
					return hoststest.Deleted
				}
			},
			Obscure: func(_ cluster.Name, h cluster.Host) func() {
				set := func(err error) {
					f.mu.Lock()
					defer f.mu.Unlock()
					f.dark[h.Address] = err
				}
				set(errSilent)
				return func() { set(nil) }
			},
		}
	})
}

const name, token = cluster.MemberName("etcd-k3v9qd2"), cluster.Token("8f2c6a0e8f2c6a0e")

// What is on a machine, and what that makes of it.
func TestPlaces(t *testing.T) {
	// Port 2380 in hexadecimal, listening; and as the other end of a
	// connection, which is no listener.
	const listens = "  sl  local_address rem_address   st\n   0: 0100007F:094C 00000000:0000 0A 00000000:00000000\n"
	const dials = "  sl  local_address rem_address   st\n   0: 0100007F:C350 0100007F:094C 01 00000000:00000000\n"
	for what, c := range map[string]struct {
		path, content string
		taken         string // part of; "" if the place is free
	}{
		"nothing":               {"/etc/hosts", "", ""},
		"a client of another's": {"/proc/net/tcp", dials, ""},
		"a listener":            {"/proc/net/tcp", listens, "something listens on port 2380"},
		"a listener on IPv6":    {"/proc/net/tcp6", listens, "something listens on port 2380"},
		"an etcd":               {"/proc/77/comm", "etcd\n", "an etcd runs, process 77"},
		"data":                  {"/var/lib/etcd/member/wal/0.wal", "", "/var/lib/etcd/member"},
		"Debian's data":         {"/var/lib/etcd/default/member/wal/0.wal", "", "/var/lib/etcd/default/member"},
		"what a member left":    {"/var/lib/pleiad/born.json", "{}", "there is "},
		"another cluster":       {"/etc/pleiad/host.json", `{"version":1,"cluster":"other","domain":"other.test","token":"t","name":"etcd-zzzzzzz","address":"10.5.1.1"}`, "host etcd-zzzzzzz of cluster other"},
		"this name elsewhere":   {"/etc/pleiad/host.json", `{"version":1,"cluster":"dev","domain":"prod.test","token":"t","name":"etcd-zzzzzzz","address":"10.5.1.1"}`, "of cluster dev on prod.test"},
		"a copied disk":         {"/etc/pleiad/host.json", `{"version":1,"cluster":"dev","domain":"dev.test","token":"t","name":"etcd-zzzzzzz","address":"10.5.1.9"}`, "a copy"},
	} {
		t.Run(what, func(t *testing.T) {
			f := newFleet(t)
			f.put(address(1), c.path, c.content)
			p := f.provider("dev", 1)
			l, err := p.List(t.Context())
			if err != nil || len(l.Hosts) != 0 || len(l.Places) != 1 {
				t.Fatalf("List = %+v, %v, want one place", l, err)
			}
			got := l.Places[0]
			if free := c.taken == ""; got.Free() != free || !strings.Contains(got.Taken, c.taken) {
				t.Errorf("place is %+v, want taken by %q", got, c.taken)
			}
			err = p.Launch(t.Context(), name, token)
			if free := c.taken == ""; free != (err == nil) || !free && !errors.Is(err, hosts.ErrNoPlace) {
				t.Errorf("Launch: %v, want ErrNoPlace %t", err, !free)
			}
			if b, err := os.ReadFile(f.path(address(1), c.path)); err != nil || string(b) != c.content {
				t.Errorf("%s holds %q, %v afterwards, want it untouched", c.path, b, err)
			}
		})
	}
}

// A claim that cannot be understood may be this cluster's. The place is unknown:
// not free, not somebody else's, and whatever might be on it may be there.
func TestClaimUnreadable(t *testing.T) {
	const whole = `{"version":1,"cluster":"dev","domain":"dev.test","token":"8f2c6a0e8f2c6a0e","name":"etcd-k3v9qd2","address":"10.5.1.1"}`
	for what, c := range map[string]struct{ content, why string }{
		"empty":            {"", "is empty"},
		"blank":            {" \n", "is empty"},
		"half":             {whole[:40], "is not a claim"},
		"something else":   {"hello", "is not a claim"},
		"newer":            {`{"version":2}`, "version 2"},
		"incomplete":       {`{"version":1}`, "is not complete"},
		"without an end":   {whole[:len(whole)-1] + `,"x":"` + strings.Repeat("x", 1<<20), "is not a claim"},
		"like other words": {"unclaimed\n", "is not a claim"},
	} {
		t.Run(what, func(t *testing.T) {
			f := newFleet(t)
			f.put(address(1), "/etc/pleiad/host.json", c.content)
			p := f.provider("dev", 1)
			l, err := p.List(t.Context())
			if err != nil || len(l.Hosts) != 0 || len(l.Places) != 1 {
				t.Fatalf("List = %+v, %v, want one place", l, err)
			}
			place := l.Places[0]
			if place.Taken != "" || !strings.Contains(place.Unknown, c.why) || !place.Lasting {
				t.Errorf("place is %+v, want unknown until somebody mends it: %s", place, c.why)
			}
			for what, err := range map[string]error{"Launch": p.Launch(t.Context(), name, token), "Terminate": p.Terminate(t.Context(), cluster.Host{Name: name}, hosts.DeleteData)} {
				if err == nil || errors.Is(err, hosts.ErrNoPlace) || !strings.Contains(err.Error(), "10.5.1.1") {
					t.Errorf("%s: %v, want that the host may be there", what, err)
				}
			}
			// The remedy, done as printed.
			mend := strings.NewReplacer("TOKEN", string(token), "NAME", string(name)).Replace(place.Remedy[2])
			if _, err := (machine{f, address(1)}).Run(t.Context(), mend, nil); err != nil {
				t.Fatal(err)
			}
			if l, err := p.List(t.Context()); err != nil || len(l.Hosts) != 1 || l.Hosts[0].Name != name || l.Hosts[0].Token != token {
				t.Errorf("after the remedy List = %+v, %v, want host %s", l, err, name)
			}
			if err := p.Terminate(t.Context(), cluster.Host{Name: name}, hosts.DeleteData); err != nil {
				t.Errorf("after the remedy: %v", err)
			}
			// The other one, where there is no member.
			f.put(address(1), "/etc/pleiad/host.json", c.content)
			_, remove, _ := strings.Cut(place.Remedy[3], "if nothing of etcd is on the machine: ")
			if _, err := (machine{f, address(1)}).Run(t.Context(), remove, nil); err != nil {
				t.Fatal(err)
			}
			if l, err := p.List(t.Context()); err != nil || len(l.Places) != 1 || !l.Places[0].Free() {
				t.Errorf("after %s List = %+v, %v, want a free place", remove, l, err)
			}
		})
	}
	t.Run("not a file", func(t *testing.T) {
		f := newFleet(t)
		f.put(address(1), "/etc/pleiad/host.json/x", "")
		if l, err := f.provider("dev", 1).List(t.Context()); err != nil || len(l.Places) != 1 || !strings.Contains(l.Places[0].Unknown, "not a regular file") {
			t.Errorf("List = %+v, %v, want an unknown place", l, err)
		}
	})
	t.Run("a link to nowhere", func(t *testing.T) {
		f := newFleet(t)
		f.put(address(1), "/etc/pleiad/other", "")
		if err := os.Symlink("/nowhere", f.path(address(1), "/etc/pleiad/host.json")); err != nil {
			t.Fatal(err)
		}
		if l, err := f.provider("dev", 1).List(t.Context()); err != nil || len(l.Places) != 1 || l.Places[0].Unknown == "" {
			t.Errorf("List = %+v, %v, want an unknown place", l, err)
		}
	})
}

// Who loses the race for a place goes on to the next, however late it learns.
func TestLostRace(t *testing.T) {
	f := newFleet(t)
	p := f.provider("dev", 2)
	p.seen, p.seenAt = p.look(t.Context(), p.places), time.Now().Add(time.Hour) // from before the rival
	if err := f.provider("dev", 1).Launch(t.Context(), "etcd-rival22", token); err != nil {
		t.Fatal(err)
	}
	if err := p.Launch(t.Context(), name, token); err != nil {
		t.Fatalf("Launch: %v, want the host on the second machine", err)
	}
	l, err := p.List(t.Context())
	if err != nil || len(l.Hosts) != 2 || l.Hosts[0].Name != name || l.Hosts[0].Address != address(2) {
		t.Errorf("List = %+v, %v, want %s on %s beside its rival", l, err, name, address(2))
	}
}

// A claim that could not be made for another reason is not a lost race.
func TestClaimFails(t *testing.T) {
	f := newFleet(t)
	p := f.provider("dev", 1)
	f.put(address(1), "/etc/pleiad", "") // in the way of the folder
	if err := p.Launch(t.Context(), name, token); err == nil || !strings.Contains(err.Error(), "exit status") {
		t.Errorf("Launch: %v, want why the claim could not be made", err)
	}
}

// A person looks for what is slow as pleiad logs in, and at sudo only where it is
// asked.
func TestSlowRemedy(t *testing.T) {
	spec := cluster.Spec{Hosts: cluster.HostsSpec{SSH: &cluster.SSHHosts{User: "ops", Port: 2222, IdentityFile: "/my key"}}}
	const login = "ssh -p 2222 -i '/my key' ops@10.0.0.1"
	at := netip.MustParseAddr("10.0.0.1")
	if got := slow(spec, at); len(got) != 3 || !strings.HasSuffix(got[0], ": time "+login+" true") || !strings.HasSuffix(got[1], ": time "+login+" sudo -n true") {
		t.Errorf("ops is told %q", got)
	}
	spec.Hosts.SSH.User = "root"
	if got := slow(spec, at); len(got) != 1 || !strings.HasSuffix(got[0], " root@10.0.0.1 true") {
		t.Errorf("root is told %q", got)
	}
}

// One machine that does not answer in time hides none of the others.
func TestSlowMachine(t *testing.T) {
	f := newFleet(t)
	p := f.provider("dev", 3)
	if err := p.Launch(t.Context(), name, token); err != nil {
		t.Fatal(err)
	}
	f.slow[address(2)] = true
	ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Second, errSilent)
	defer cancel()
	l, err := p.List(ctx)
	if err != nil || len(l.Hosts) != 1 || len(l.Places) != 2 {
		t.Fatalf("List = %+v, %v, want a host and two places", l, err)
	}
	if slow := l.Places[0]; slow.Address != address(2) || slow.Unknown == "" || slow.Lasting || slow.Remedy == nil || !l.Places[1].Free() {
		t.Errorf("places are %+v, want the slow one unknown and the other free", l.Places)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if l, err := p.List(gone); err == nil {
		t.Errorf("List = %+v after its caller gave up, want an error", l)
	}
}

func TestUnseen(t *testing.T) {
	f := newFleet(t)
	f.dark[address(1)], f.dark[address(2)] = errSilent, fault.WithRemedy(fault.New(fault.Denied, "unknown host key"), "mend it")
	p := f.provider("dev", 3)
	l, err := p.List(t.Context())
	if err != nil || len(l.Places) != 3 {
		t.Fatalf("List = %+v, %v", l, err)
	}
	if l.Places[0].Lasting || !l.Places[1].Lasting || l.Places[1].Remedy[0] != "mend it" || !l.Places[2].Free() {
		t.Errorf("places are %+v, want one to ask again, one to mend, one free", l.Places)
	}
	// There may be a host of this name in the dark.
	for what, err := range map[string]error{"Launch": p.Launch(t.Context(), name, token), "Terminate": p.Terminate(t.Context(), cluster.Host{Name: name}, hosts.DeleteData)} {
		if err == nil || !strings.Contains(err.Error(), "10.5.1.1") {
			t.Errorf("%s: %v, want the place that could not be inspected", what, err)
		}
	}
}

// Two controllers that launch the same names at once, over and over: a name is
// never on two machines.
func TestRivals(t *testing.T) {
	for range 3 {
		f := newFleet(t)
		var all sync.WaitGroup
		for range 2 {
			p := f.provider("dev", 4)
			for i := range 4 {
				all.Go(func() {
					if err := p.Launch(t.Context(), cluster.MemberName(fmt.Sprintf("etcd-aaaaaa%d", i)), token); err != nil {
						t.Error(err)
					}
				})
			}
		}
		all.Wait()
		if l, err := f.provider("dev", 4).List(t.Context()); err != nil || len(l.Hosts) != 4 {
			t.Fatalf("List = %+v, %v, want 4 hosts", l, err)
		}
	}
}

func TestClaimedTwice(t *testing.T) {
	f := newFleet(t)
	for i := 1; i <= 2; i++ {
		f.put(address(i), "/etc/pleiad/host.json", fmt.Sprintf(`{"version":1,"cluster":"dev","domain":"dev.test","token":"t","name":"%s","address":"%s"}`, name, address(i)))
	}
	if l, err := f.provider("dev", 2).List(t.Context()); err == nil || len(l.Hosts) != 0 || !strings.Contains(err.Error(), "10.5.1.2") {
		t.Errorf("List = %+v, %v, want an error that names both machines", l, err)
	}
}

// Terminate leaves nothing, and no claim but this host's is ever removed.
func TestTerminateLeavesNothing(t *testing.T) {
	f := newFleet(t)
	p := f.provider("dev", 1)
	if err := p.Launch(t.Context(), name, token); err != nil {
		t.Fatal(err)
	}
	f.put(address(1), "/usr/local/lib/pleiad/0123/pleiad", "")
	f.put(address(1), "/etc/pleiad/.claim.99", "") // of a Launch that was cut short
	if err := p.Terminate(t.Context(), cluster.Host{Name: name}, hosts.DeleteData); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/etc/pleiad", "/usr/local/lib/pleiad", "/var/lib/pleiad"} {
		if _, err := os.Stat(f.path(address(1), path)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there", path)
		}
	}
	if l, err := p.List(t.Context()); err != nil || len(l.Places) != 1 || !l.Places[0].Free() {
		t.Errorf("List = %+v, %v, want a free place", l, err)
	}
}

// A machine that left the spec is the cluster's as long as it carries the claim.
func TestOutsideTheSpec(t *testing.T) {
	f := newFleet(t)
	for i, p := 1, f.provider("dev", 2); i <= 2; i++ {
		if err := p.Launch(t.Context(), cluster.MemberName(fmt.Sprintf("etcd-aaaaaa%d", i)), token); err != nil {
			t.Fatal(err)
		}
	}
	p := f.provider("dev", 1)
	if l, err := p.List(t.Context()); err != nil || len(l.Hosts) != 1 || len(l.Places) != 0 {
		t.Fatalf("List = %+v, %v; want the host of the spec alone", l, err)
	}
	l, err := p.At(t.Context(), []netip.Addr{address(2), address(3)})
	if err != nil || len(l.Hosts) != 1 || l.Hosts[0].Name != "etcd-aaaaaa2" || len(l.Places) != 1 || !l.Places[0].Free() {
		t.Fatalf("At = %+v, %v; want the host on 10.5.1.2, and nothing on 10.5.1.3", l, err)
	}
	f.dark[address(2)] = errSilent
	if l, err := p.At(t.Context(), []netip.Addr{address(2)}); err != nil || len(l.Places) != 1 || l.Places[0].Unknown == "" {
		t.Errorf("At a machine that does not answer = %+v, %v; want an unknown place", l, err)
	}
	if err := p.Terminate(t.Context(), l.Hosts[0], hosts.DeleteData); err == nil {
		t.Error("Terminate of a host that cannot be reached succeeds")
	}
	delete(f.dark, address(2))
	if err := p.Terminate(t.Context(), l.Hosts[0], hosts.DeleteData); err != nil {
		t.Fatal(err)
	}
	if l, err := p.At(t.Context(), []netip.Addr{address(2)}); err != nil || len(l.Hosts) != 0 {
		t.Errorf("after Terminate At = %+v, %v", l, err)
	}
}

// A machine that cannot be reached does not hold a new host if it is another member's.
func TestLaunchBesideTheUnreachable(t *testing.T) {
	f := newFleet(t)
	p := f.provider("dev", 3)
	if err := p.Launch(t.Context(), "etcd-aaaaaa1", token); err != nil {
		t.Fatal(err)
	}
	f.dark[address(1)] = errSilent
	if err := p.Launch(t.Context(), name, token); err == nil || !strings.Contains(err.Error(), "10.5.1.1") {
		t.Errorf("Launch = %v; want that the host may be on 10.5.1.1", err)
	}
	if err := p.Launch(t.Context(), name, token, address(1)); err != nil {
		t.Fatal(err)
	}
	if l, err := p.List(t.Context()); err != nil || len(l.Hosts) != 1 || l.Hosts[0].Address != address(2) {
		t.Errorf("List = %+v, %v; want the host on 10.5.1.2", l, err)
	}
	f.dark[address(3)] = errSilent
	if err := p.Launch(t.Context(), "etcd-zzzzzzz", token, address(1)); err == nil || !strings.Contains(err.Error(), "10.5.1.3") {
		t.Errorf("Launch = %v; want that the host may be on 10.5.1.3", err)
	}
}

// A machine on which no member can run is not claimed.
func TestLaunchWhereNothingRuns(t *testing.T) {
	f := newFleet(t)
	p := f.provider("dev", 1)
	f.unfit[address(1)] = true
	if err := p.Launch(t.Context(), name, token); !errors.Is(err, errUnfit) || !strings.Contains(err.Error(), "10.5.1.1") {
		t.Errorf("Launch = %v, want why not, and where", err)
	}
	if l, err := p.List(t.Context()); err != nil || len(l.Hosts) != 0 {
		t.Errorf("List = %+v, %v, want no host", l, err)
	}
}
