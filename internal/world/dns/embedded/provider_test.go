//go:build unix

package embedded

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	wire "github.com/miekg/dns"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
	"github.com/pleiad-etcd/pleiad/internal/system/process/processtest"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/dnstest"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/rfc2136"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/rr"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/tsig"
)

var marker = cluster.NewRecordSet("_pleiad.dev.test.", cluster.TXT, "gen=1")

// provider makes a provider with a folder and an address of its own, whose
// child is this test binary; whatever runs at the end is killed.
func provider(t *testing.T) *Provider {
	t.Helper()
	p := providerAt(t, filepath.Join(t.TempDir(), "state", "dns"), dnstest.Address())
	t.Cleanup(func() {
		if s, running, err := readState(p.config.Dir); err == nil && running {
			err := s.Process.Signal(syscall.SIGKILL)
			if err := errors.Join(err, s.Process.Wait(context.Background())); err != nil {
				t.Error(err)
			}
		}
	})
	return p
}

func providerAt(t *testing.T, dir string, ip netip.Addr) *Provider {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(Config{Dir: dir, Zone: "dev.test", IP: ip, Argv: []string{self, childArg, dir}, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func start(t *testing.T, p *Provider) {
	t.Helper()
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// running demands a status and returns the address.
func running(t *testing.T, p *Provider, want bool) string {
	t.Helper()
	s, err := p.Status(t.Context())
	if err != nil || s.Running != want || !s.Managed {
		t.Fatalf("Status: %+v, %v; want running %v", s, err, want)
	}
	return s.Address
}

func stampOf(t *testing.T, p *Provider) process.Stamp {
	t.Helper()
	s, ok, err := readState(p.config.Dir)
	if err != nil || !ok {
		t.Fatalf("no server runs: %v", err)
	}
	return s.Process
}

func TestConformance(t *testing.T) {
	dnstest.Run(t, func(t *testing.T) dnstest.Harness {
		p := provider(t)
		start(t, p)
		server := stampOf(t, p)
		address := running(t, p, true)
		key, err := tsig.ReadFile(t.Context(), p.path(keyFile))
		if err != nil {
			t.Fatal(err)
		}
		stranger, err := tsig.Generate(key.Name())
		if err != nil {
			t.Fatal(err)
		}
		denied, err := rfc2136.New(rfc2136.Config{Server: address, Zone: "dev.test", Key: stranger})
		if err != nil {
			t.Fatal(err)
		}
		return dnstest.Harness{
			Zone:    p,
			Domain:  "dev.test",
			Rival:   providerAt(t, p.config.Dir, p.config.IP),
			Denied:  map[string]dns.Zone{"another secret": denied},
			Foreign: func(set cluster.RecordSet) { foreign(t, p, address, key, set) },
			// A stopped process still takes connections, by its backlog.
			Stall: func() {
				if err := processtest.Stop(server.PID); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}

// While no server runs, records are read and changed in its file, under the same
// contract.
func TestConformanceOffline(t *testing.T) {
	dnstest.Run(t, func(t *testing.T) dnstest.Harness {
		p := provider(t)
		if _, err := Create(t.Context(), p.config.Dir, p.zone, p.config.IP); err != nil {
			t.Fatal(err)
		}
		return dnstest.Harness{Zone: p, Domain: "dev.test", Rival: providerAt(t, p.config.Dir, p.config.IP)}
	})
}

func foreign(t *testing.T, p *Provider, address string, key tsig.Key, set cluster.RecordSet) {
	t.Helper()
	records, err := rr.Pack(set)
	if err != nil {
		t.Fatal(err)
	}
	m := new(wire.Msg).SetUpdate(p.zone)
	m.Insert(records)
	packed, _, err := key.Sign(m, "")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := wire.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(packed); err != nil {
		t.Fatal(err)
	}
	raw, err := conn.ReadMsgHeader(nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := unpacked(t, raw); got.Rcode != wire.RcodeSuccess {
		t.Fatalf("write %s: %s", set, got)
	}
}

func TestLife(t *testing.T) {
	t.Parallel()
	p := provider(t)
	add := []cluster.Change{{Key: marker.Key, New: &marker}}

	// Before the first start nothing exists, and nothing is made by looking.
	if got := running(t, p, false); got != "" || p.Resolver() != "" {
		t.Errorf("address %q before the first start", got)
	}
	if got, err := p.Read(t.Context(), []cluster.Key{marker.Key}); err != nil || len(got.Sets) != 0 {
		t.Errorf("Read: %v, %v", got, err)
	}
	for name, act := range map[string]error{"Stop": p.Stop(t.Context()), "Remove": p.Remove(t.Context())} {
		if act != nil {
			t.Errorf("%s of what does not exist: %v", name, act)
		}
	}
	if _, err := os.Stat(filepath.Dir(p.config.Dir)); err == nil {
		t.Error("looking made a folder")
	}

	start(t, p)
	address, first := running(t, p, true), stampOf(t, p)
	if p.Resolver() != address {
		t.Errorf("Resolver %s, want %s", p.Resolver(), address)
	}
	if _, err := p.Apply(t.Context(), add); err != nil {
		t.Fatal(err)
	}
	start(t, p) // again: nothing happens
	if got := stampOf(t, p); got != first {
		t.Errorf("a second start made process %v beside %v", got, first)
	}
	if err := p.Remove(t.Context()); err == nil {
		t.Error("Remove of a running server: no error")
	}
	running(t, p, true)

	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if first.Alive() {
		t.Error("it still runs")
	}
	if got := running(t, p, false); got != address {
		t.Errorf("stopped, its address is %q, want %q", got, address)
	}
	if got, err := p.Read(t.Context(), []cluster.Key{marker.Key}); err != nil || !cmp.Equal(got.Sets, []cluster.RecordSet{marker}) {
		t.Errorf("Read of a stopped server: %v, %v", got, err)
	}
	if _, err := p.Apply(t.Context(), []cluster.Change{{Key: marker.Key, Old: &marker}}); err != nil {
		t.Errorf("Apply while it is stopped: %v", err)
	}

	start(t, p)
	if got := running(t, p, true); got != address {
		t.Errorf("started again at %s, want %s", got, address)
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Dir(p.config.Dir)); err != nil || len(left) > 0 {
		t.Errorf("after Remove there is %v, %v", left, err)
	}
	if got := running(t, p, false); got != "" {
		t.Errorf("removed, its address is %q", got)
	}
}

func TestStopIsGraceful(t *testing.T) {
	t.Parallel()
	p := provider(t)
	start(t, p)
	conn, err := net.Dial("tcp", running(t, p, true)) // an idle client must not hold it up
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(p.path(stateFile)); err == nil {
		t.Error("server.json is still there: it was killed")
	}
	log, err := os.ReadFile(p.path(logFile))
	if err != nil || !strings.Contains(string(log), "msg=stopped") {
		t.Errorf("log: %s, %v", log, err)
	}
}

// An acknowledged update survives kill -9 at any moment.
func TestAcknowledgedUpdatesSurviveKill(t *testing.T) {
	t.Parallel()
	p := provider(t)
	start(t, p)
	value := func(n int) *cluster.RecordSet {
		s := cluster.NewRecordSet(marker.Name, cluster.TXT, strconv.Itoa(n))
		return &s
	}
	if _, err := p.Apply(t.Context(), []cluster.Change{{Key: marker.Key, New: value(0)}}); err != nil {
		t.Fatal(err)
	}
	at := 0
	for round := range 15 {
		server := stampOf(t, p)
		client, err := p.client(t.Context(), running(t, p, true)) // the server, never its file
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		tried := at
		for n := 0; ; n++ {
			if n == round%3 { // the shot falls somewhere into this update or the next
				wg.Go(func() {
					for range round {
						server.Alive()
					}
					_ = server.Signal(syscall.SIGKILL)
				})
			}
			_, err := client.Apply(t.Context(), []cluster.Change{{Key: marker.Key, Old: value(at), New: value(at + 1)}})
			if err != nil {
				if !errors.Is(err, dns.ErrUnknownOutcome) && !errors.Is(err, dns.ErrUnreachable) {
					t.Fatal(err)
				}
				tried = at + 1
				break
			}
			at++
		}
		wg.Wait()
		if err := server.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, err := p.Read(t.Context(), []cluster.Key{marker.Key}) // offline
		if err != nil || len(got.Sets) != 1 {
			t.Fatalf("round %d: %v, %v", round, got, err)
		}
		n, _ := strconv.Atoi(got.Sets[0].Values[0])
		if n < at || n > tried {
			t.Fatalf("round %d: the zone says %d; %d was acknowledged, %d was tried", round, n, at, tried)
		}
		at = n
		start(t, p)
	}
}

func TestOccupiedAddress(t *testing.T) {
	t.Parallel()
	p := provider(t)
	start(t, p)
	address := running(t, p, true)
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, network := range []string{"tcp", "udp"} {
		var c interface{ Close() error }
		var err error
		if network == "tcp" {
			c, err = net.Listen(network, address)
		} else {
			c, err = net.ListenPacket(network, address)
		}
		if err != nil {
			t.Fatal(err)
		}
		err = p.Start(t.Context())
		if !errors.Is(err, dns.ErrOccupied) || !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), "stop it and try again") {
			t.Errorf("%s: %v", network, err)
		}
		// The child says the same, should somebody be faster than us.
		err = Serve(t.Context(), p.config.Dir, slog.New(slog.DiscardHandler))
		if !errors.Is(err, dns.ErrOccupied) || !strings.Contains(err.Error(), address) {
			t.Errorf("%s: Serve: %v", network, err)
		}
		running(t, p, false)
		if err := processtest.Close(c); err != nil {
			t.Fatal(err)
		}
	}
	start(t, p)
}

// Where only 127.0.0.1 exists, servers share it, each on a port that stays.
func TestSharedAddress(t *testing.T) {
	t.Parallel()
	var taken []string
	for range 3 {
		p := providerAt(t, filepath.Join(t.TempDir(), "dns"), netip.MustParseAddr("127.0.0.1"))
		address, err := Create(t.Context(), p.config.Dir, "dev.test", p.config.IP)
		if err != nil {
			t.Fatal(err)
		}
		s, err := bind(t.Context(), address) // as if it ran
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		taken = append(taken, address)
		if got := p.Resolver(); got != address {
			t.Errorf("%s, want %s", got, address)
		}
	}
	dir := filepath.Join(t.TempDir(), "dns")
	free, err := chooseAddress(t.Context(), netip.MustParseAddr("127.0.0.1"), dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := bind(t.Context(), free)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	next, err := chooseAddress(t.Context(), netip.MustParseAddr("127.0.0.1"), dir)
	if err != nil || next == free {
		t.Errorf("chose %s, %v, which is taken", next, err)
	}
	_, port, _ := net.SplitHostPort(next)
	if n, _ := strconv.Atoi(port); n < Port || n >= Port+sharedPorts {
		t.Errorf("chose %s; taken are %v", next, taken)
	}
}

func TestChildThatEndsIsAnErrorWithItsReason(t *testing.T) {
	t.Parallel()
	p := provider(t)
	p.config.Argv = []string{"/bin/sh", "-c", "echo first >&2; echo 'Error: out of luck' >&2; exit 1"}
	if err := p.Start(t.Context()); err == nil || !strings.HasSuffix(err.Error(), "it ended at once: Error: out of luck") {
		t.Error(err)
	}
	running(t, p, false)
}

func TestOnlyOneServes(t *testing.T) {
	t.Parallel()
	p := provider(t)
	start(t, p)
	if err := Serve(t.Context(), p.config.Dir, slog.New(slog.DiscardHandler)); !errors.Is(err, process.ErrHeld) {
		t.Errorf("a second server: %v", err)
	}
	if !stampOf(t, p).Alive() {
		t.Error("the first one ended")
	}
}

func TestDamageIsNeverAFreshStart(t *testing.T) {
	t.Parallel()
	for _, file := range []string{zoneFile, settingsFile} {
		p := provider(t)
		start(t, p)
		if _, err := p.Apply(t.Context(), []cluster.Change{{Key: marker.Key, New: &marker}}); err != nil {
			t.Fatal(err)
		}
		if err := p.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(p.path(file)); err != nil {
			t.Fatal(err)
		}
		err := p.Start(t.Context())
		if err == nil || !strings.Contains(err.Error(), p.path(file)) || !errors.Is(err, dns.ErrDamaged) {
			t.Errorf("Start without %s: %v", file, err)
		}
		if !strings.Contains(strings.Join(fault.Remedy(err), "\n"), p.config.Dir+".damaged") {
			t.Errorf("Start without %s: %v, want the way out", file, err)
		}
		if _, err := p.Apply(t.Context(), nil); file == settingsFile && err == nil {
			t.Errorf("Apply without %s: no error", file)
		}
		if got, err := p.Read(t.Context(), []cluster.Key{marker.Key}); err == nil || len(got.Sets) > 0 {
			t.Errorf("Read without %s: %v, %v", file, got, err)
		}
	}
}

func TestFolderOfAnotherZone(t *testing.T) {
	t.Parallel()
	p := provider(t)
	start(t, p)
	c := p.config
	c.Zone = "other.test"
	other, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	_, statusErr := other.Status(t.Context())
	_, readErr := other.Read(t.Context(), nil)
	for name, err := range map[string]error{"Status": statusErr, "Read": readErr, "Start": other.Start(t.Context()), "Remove": other.Remove(t.Context())} {
		if err == nil || !strings.Contains(err.Error(), "holds zone dev.test., want other.test.") {
			t.Errorf("%s: %v", name, err)
		}
	}
	running(t, p, true)
}

// A copy of the folder is told as that, and neither read nor served from, until it
// takes the place of the original.
func TestCopiedFolder(t *testing.T) {
	t.Parallel()
	p := provider(t)
	start(t, p)
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "dns")
	if err := os.CopyFS(dir, os.DirFS(p.config.Dir)); err != nil {
		t.Fatal(err)
	}
	copied := providerAt(t, dir, p.config.IP)
	if s, err := copied.Status(t.Context()); err != nil || !s.Managed || s.Running || !strings.Contains(s.Copy, dir+" is a copy") {
		t.Errorf("Status: %+v, %v", s, err)
	}
	_, reading := copied.Read(t.Context(), nil)
	for act, err := range map[string]error{"Read": reading, "Start": copied.Start(t.Context())} {
		if err == nil || !strings.Contains(err.Error(), dir+" is a copy") {
			t.Errorf("%s: %v", act, err)
		}
	}
	if err := copied.TakeOver(); err != nil {
		t.Fatal(err)
	}
	if s, err := copied.Status(t.Context()); err != nil || s.Copy != "" {
		t.Errorf("Status after the take-over: %+v, %v", s, err)
	}
}

func TestLogIsBounded(t *testing.T) {
	t.Parallel()
	p := provider(t)
	start(t, p)
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(p.path(logFile), maxLog+1); err != nil {
		t.Fatal(err)
	}
	start(t, p)
	if info, err := os.Stat(p.path(logFile)); err != nil || info.Size() > 10_000 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := os.Stat(p.path(logFile) + ".old"); err != nil {
		t.Error(err)
	}
}

// A crash while the folder was being made or removed leaves nothing that
// disturbs.
func TestHalfMadeFolders(t *testing.T) {
	t.Parallel()
	p := provider(t)
	for _, half := range []string{".new", ".gone"} {
		if err := os.MkdirAll(p.config.Dir+half, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(p.config.Dir+half, keyFile), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	start(t, p)
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Dir(p.config.Dir)); err != nil || len(left) > 0 {
		t.Errorf("after Remove there is %v, %v", left, err)
	}
}

func TestPort53(t *testing.T) {
	t.Parallel()
	p := provider(t)
	start(t, p)
	state, _, err := readState(p.config.Dir)
	if err != nil {
		t.Fatal(err)
	}
	host, _, err := net.SplitHostPort(state.Address)
	if err != nil {
		t.Fatal(err)
	}
	for _, network := range []string{"udp", "tcp"} {
		m := question("dev.test.", wire.TypeSOA, wire.ClassINET)
		c := wire.Client{Net: network, Timeout: time.Second}
		_, _, err := c.Exchange(m, net.JoinHostPort(host, "53"))
		if answered := err == nil; answered != state.Port53 {
			t.Errorf("server.json says %v of port 53; over %s: %v", state.Port53, network, err)
		}
		if _, _, err := c.Exchange(m, state.Address); err != nil {
			t.Errorf("%s over %s: %v", state.Address, network, err)
		}
	}
}

func TestNew(t *testing.T) {
	good := Config{Dir: "/x", Zone: "dev.test", IP: netip.MustParseAddr("127.0.0.1"), Argv: []string{"x"}}
	for name, spoil := range map[string]func(*Config){
		"relative folder": func(c *Config) { c.Dir = "x" },
		"bad zone":        func(c *Config) { c.Zone = "dev..test" },
		"no zone":         func(c *Config) { c.Zone = "" },
		"no address":      func(c *Config) { c.IP = netip.Addr{} },
		"no command":      func(c *Config) { c.Argv = nil },
	} {
		c := good
		spoil(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
}

// Whatever lies under the name of a file of ours: nobody waits for it, or reads it
// without end.
func TestOddFilesAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	for _, name := range []string{settingsFile, stateFile, zoneFile, keyFile} {
		for what, put := range map[string]func(path string) error{
			"a FIFO":     func(path string) error { return syscall.Mkfifo(path, 0o600) },
			"a terabyte": func(path string) error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 1<<40)) },
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				t.Parallel()
				p := providerAt(t, filepath.Join(t.TempDir(), "dns"), dnstest.Address())
				if _, err := Create(t.Context(), p.config.Dir, p.zone, p.config.IP); err != nil {
					t.Fatal(err)
				}
				if err := os.Remove(p.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Fatal(err)
				}
				if err := put(p.path(name)); err != nil {
					t.Fatal(err)
				}
				done := make(chan error, 1)
				go func() {
					_, err := p.Read(t.Context(), nil)
					if name == keyFile { // records can be read without it
						err = p.Start(t.Context())
					}
					done <- err
				}()
				select {
				case err := <-done:
					if err == nil {
						t.Error("it is read as if it were ours")
					}
				case <-time.After(10 * time.Second):
					t.Error("it waits")
				}
			})
		}
	}
}
