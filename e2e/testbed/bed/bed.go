// Package bed gives Go tests a test bed: several real Debian hosts on one
// machine, in a network of their own that nothing leaves. It wraps the script
// testbed beside it, whose README says what the hosts are and what they cannot
// show.
//
// [Up] starts a bed for a test and takes it down when the test ends. The test
// stands beside the bed's controller: [Bed.Command] runs a program there,
// [Bed.Dial] and [Bed.Listen] reach into its network from the test itself. A
// [Host] is spoken to by ssh, cut off, frozen, and has its power cut.
//
// Beds never collide. Each has a name, network namespace and folder of its own,
// so that all may use the same addresses; a lock says that its test still
// lives, and what a killed test left behind is taken down by the next.
package bed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/system/process"
)

const (
	// network holds a bed's addresses: .1 is the controller and its DNS
	// forwarder, .2 to .10 are the controller's to give away, hosts follow.
	network       = "10.231.0"
	firstAddress  = 2
	lastAddress   = 10
	verbTimeLimit = 2 * time.Minute
	// locks holds one locked file for each bed whose owner lives.
	locks = "/run/pleiad-beds"
)

// Bed is one test bed. Its methods may be called from several goroutines.
type Bed struct {
	Hosts []*Host // h1, h2, … in this order

	name   string
	script string // the absolute path of testbed
	dir    string // keys, disks and logs
	lock   *process.Lock

	mu       sync.Mutex
	next     int                     // the controller's next address
	forwards map[string][]netip.Addr // zone -> its name servers
}

// Option is about the hosts of a bed.
type Option []string

// Disk gives each host a disk of this size, such as "1G", that [Host.Fill] can
// fill. It is in memory.
func Disk(size string) Option { return Option{"--disk", size} }

// Up starts a bed of n hosts and waits until ssh answers on each. The bed is
// taken down when the test ends.
func Up(t testing.TB, n int, options ...Option) *Bed {
	t.Helper()
	begun := time.Now()
	b, err := Open(t.Context(), n, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Logf("bed %s: %d hosts after %s", b.name, n, time.Since(begun).Round(10*time.Millisecond))
	return b
}

// Open is [Up] for programs that are no tests. If it fails, nothing is left.
func Open(ctx context.Context, n int, options ...Option) (*Bed, error) {
	script, err := find()
	if err != nil {
		return nil, err
	}
	if err := complete(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(locks, 0o755); err != nil {
		return nil, fmt.Errorf("open bed: %w", err)
	}
	if err := sweep(ctx, script); err != nil {
		return nil, fmt.Errorf("take down what an earlier run left: %w", err)
	}
	b, err := claim(script)
	if err != nil {
		return nil, fmt.Errorf("open bed: %w", err)
	}
	if _, err := b.verb(ctx, append([]string{"up", fmt.Sprint(n)}, slices.Concat(options...)...)...); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	for i := range n {
		b.Hosts = append(b.Hosts, &Host{Name: fmt.Sprintf("h%d", i+1), Addr: address(lastAddress + 1 + i), bed: b, index: i + 1})
	}
	return b, nil
}

// Launch starts a host more, as a cloud does: it is made from user data, and shows
// and takes the keys that cloud-init gives it. It does not wait for ssh.
func (b *Bed) Launch(ctx context.Context, name string, at netip.Addr, userData []byte) (*Host, error) {
	file := filepath.Join(b.dir, name+".user-data")
	if err := os.WriteFile(file, userData, 0o600); err != nil {
		return nil, err
	}
	if _, err := b.verb(ctx, "add", name, "--image", "cloud", "--address", at.String(), "--user-data", file, "--no-wait"); err != nil {
		return nil, err
	}
	return &Host{Name: name, Addr: at, bed: b, index: int(at.As4()[3]) - lastAddress}, nil
}

// Prefix is the network of the hosts.
func (b *Bed) Prefix() netip.Prefix { return netip.PrefixFrom(address(0), 24) }

// Close takes the bed down, with everything that runs on it.
func (b *Bed) Close() error {
	if _, err := b.verb(context.Background(), "down"); err != nil {
		return err
	}
	if err := os.Remove(b.lockFile()); err != nil {
		return fmt.Errorf("close bed: %w", err)
	}
	return b.lock.Release()
}

// find looks for the script from the working folder upwards, as go does for
// the module.
func find() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find test bed: %w", err)
	}
	for at := dir; ; at = filepath.Dir(at) {
		script := filepath.Join(at, "e2e", "testbed", "testbed")
		if _, err := os.Stat(script); err == nil {
			return script, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("find test bed: no e2e/testbed/testbed in %s or above", dir)
		}
	}
}

// complete says what the machine lacks for a bed.
func complete() error {
	var missing []string
	for _, tool := range []string{"mmdebstrap", "systemd-nspawn", "ip", "nft", "dnsmasq", "ssh", "zstd", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, tool)
		}
	}
	if missing != nil {
		return fmt.Errorf("the test bed needs %s: run e2e/testbed/testbed deps", strings.Join(missing, ", "))
	}
	if os.Getuid() != 0 {
		return errors.New("the test bed needs root")
	}
	return nil
}

// sweep takes down the beds whose owner died without doing so.
func sweep(ctx context.Context, script string) error {
	files, err := filepath.Glob(filepath.Join(locks, "*"))
	if err != nil {
		return err
	}
	for _, f := range files {
		lock, err := process.Acquire(f)
		if errors.Is(err, process.ErrHeld) {
			continue
		}
		if err != nil {
			return err
		}
		dead := newBed(script, filepath.Base(f), lock)
		if _, err := dead.verb(ctx, "down"); err != nil {
			return errors.Join(err, lock.Release())
		}
		if err := errors.Join(os.Remove(f), lock.Release()); err != nil {
			return err
		}
	}
	return nil
}

// claim takes the first free name of this process's.
func claim(script string) (*Bed, error) {
	for i := 0; ; i++ {
		name := fmt.Sprintf("pl%d-%d", os.Getpid(), i)
		lock, err := process.Acquire(filepath.Join(locks, name))
		if errors.Is(err, process.ErrHeld) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return newBed(script, name, lock), nil
	}
}

func newBed(script, name string, lock *process.Lock) *Bed {
	state := os.Getenv("TESTBED_STATE")
	if state == "" {
		state = "/var/lib/testbed"
	}
	return &Bed{name: name, script: script, dir: filepath.Join(state, name), lock: lock, next: firstAddress, forwards: map[string][]netip.Addr{}}
}

func (b *Bed) lockFile() string { return filepath.Join(locks, b.name) }

func address(last int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("%s.%d", network, last)) }

// Command is a program on the controller: in the bed's network, with its
// resolver, and otherwise with this process's environment and files. The
// command's process is the program itself, so that it can be signalled.
func (b *Bed) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return b.testbed(ctx, append([]string{"run", name}, args...)...)
}

func (b *Bed) testbed(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, b.script, args...)
	cmd.Env = append(os.Environ(), "TESTBED_NAME="+b.name, "TESTBED_NET="+network)
	return cmd
}

// verb runs one verb of the script and returns what it printed.
func (b *Bed) verb(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, verbTimeLimit)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := b.testbed(ctx, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	// Whoever it left behind may hold its output open.
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("testbed %s: %w\n%s%s", strings.Join(args, " "), err, out.String(), errs.String())
	}
	return out.String(), nil
}

// Controller is the address of the controller and of its DNS forwarder.
func (b *Bed) Controller() netip.Addr { return address(1) }

// Key, KnownHosts and SSHConfig are files for ssh to the hosts, as root or as
// admin, who may use sudo without a password.
func (b *Bed) Key() string        { return filepath.Join(b.dir, "id_ed25519") }
func (b *Bed) KnownHosts() string { return filepath.Join(b.dir, "known_hosts") }
func (b *Bed) SSHConfig() string  { return filepath.Join(b.dir, "ssh_config") }

// Address gives the controller one more address, for a server of the test.
func (b *Bed) Address(ctx context.Context) (netip.Addr, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next > lastAddress {
		return netip.Addr{}, fmt.Errorf("the controller has no address left: .%d to .%d are taken", firstAddress, lastAddress)
	}
	a := address(b.next)
	if _, err := b.verb(ctx, "address", a.String()); err != nil {
		return netip.Addr{}, err
	}
	b.next++
	return a, nil
}

// Forward makes the controller's caching forwarder, which all hosts use, ask
// these name servers for a zone; none: nobody, and the zone is refused. Its
// cache is emptied.
func (b *Bed) Forward(ctx context.Context, zone string, servers ...netip.Addr) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forwards[zone] = servers
	args := []string{"dns"}
	for zone, servers := range b.forwards {
		for _, s := range servers {
			args = append(args, fmt.Sprintf("server=/%s/%s", strings.TrimSuffix(zone, "."), s))
		}
	}
	_, err := b.verb(ctx, args...)
	return err
}

// Silence stops the controller's forwarder, and with it all names of the bed,
// until the next [Bed.Forward].
func (b *Bed) Silence(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, err := b.verb(ctx, "dns-off")
	return err
}

// Heal undoes every partition and limit.
func (b *Bed) Heal(ctx context.Context) error {
	_, err := b.verb(ctx, "heal")
	return err
}
