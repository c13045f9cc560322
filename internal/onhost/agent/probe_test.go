//go:build linux

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/onhost/member"
	"github.com/pleiad-etcd/pleiad/internal/system/disk"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
)

// machine is a folder in the place of a machine.
type machine struct {
	*testing.T
	*Host
}

// nobody is no user of its own: what is done is done with the test's rights.
func nobody(context.Context, bool) (User, error) { return User{UID: -1, GID: -1}, nil }

func newMachine(t *testing.T) machine {
	m := machine{t, &Host{Root: t.TempDir(), User: nobody, Run: (&users{}).run, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no network here")
	}}}
	m.put("/var/lib/unrelated", "")
	m.put("/proc/net/tcp", heading)
	return m
}

func (m machine) put(path, content string) {
	m.Helper()
	if err := os.MkdirAll(filepath.Dir(m.path(path)), 0o700); err != nil {
		m.Fatal(err)
	}
	if err := os.WriteFile(m.path(path), []byte(content), 0o600); err != nil {
		m.Fatal(err)
	}
}

// holds makes a process of the machine hold a socket.
func (m machine) holds(pid int, name, inode string) {
	m.Helper()
	m.put(fmt.Sprintf("/proc/%d/comm", pid), name+"\n")
	fd := m.path(fmt.Sprintf("/proc/%d/fd", pid))
	if err := errors.Join(os.MkdirAll(fd, 0o700), os.Symlink("socket:["+inode+"]", filepath.Join(fd, inode))); err != nil {
		m.Fatal(err)
	}
}

const heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

// listens is a line of /proc/net/tcp as a kernel of the PC's byte order prints
// it.
func listens(address, inode string) string {
	return "   0: " + address + " 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 " + inode + " 1 0000000000000000 100 0 0 10 0\n"
}

func TestOccupied(t *testing.T) {
	self, err := process.Self()
	if err != nil {
		t.Fatal(err)
	}
	gone := self
	gone.Started = "never"
	const dials = "   0: 0100007F:094C 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 5 1 0000000000000000 100 0 0 10 0\n"
	for what, c := range map[string]struct {
		tcp, tcp6 string
		address   netip.Addr
		member    process.Stamp
		pid       int // who holds socket 5
		want      []string
	}{
		"nothing":                       {},
		"a connection":                  {tcp: dials},
		"another port":                  {tcp: listens("00000000:0016", "5")},
		"a peer port":                   {tcp: listens("5101050A:094C", "5"), pid: 77, want: []string{"10.5.1.81:2380 (nginx, process 77)"}},
		"a client port on loopback":     {tcp: listens("0100007F:094B", "5"), want: []string{"127.0.0.1:2379"}},
		"loopback beside a member":      {tcp: listens("0100007F:094B", "5"), address: netip.MustParseAddr("10.5.1.81")},
		"a member's address":            {tcp: listens("5101050A:094B", "5"), address: netip.MustParseAddr("10.5.1.81"), want: []string{"10.5.1.81:2379"}},
		"every address":                 {tcp6: listens("00000000000000000000000000000000:094B", "5"), address: netip.MustParseAddr("10.5.1.81"), want: []string{"[::]:2379"}},
		"a peer port on IPv6":           {tcp6: listens("00000000000000000000000000000000:094C", "5"), pid: 77, want: []string{"[::]:2380 (nginx, process 77)"}},
		"metrics on loopback":           {tcp: listens("0100007F:094D", "5"), want: []string{"127.0.0.1:2381"}},
		"metrics on every address":      {tcp6: listens("00000000000000000000000000000000:094D", "5"), want: []string{"[::]:2381"}},
		"metrics on IPv6 loopback":      {tcp6: listens("00000000000000000000000001000000:094D", "5")},
		"metrics on an outward address": {tcp: listens("5101050A:094D", "5")},
		"the member's own": {tcp: listens("5101050A:094C", "5") + listens("5101050A:094B", "6") + listens("0100007F:094D", "7"),
			member: self, pid: self.PID},
		"another beside the member": {tcp: listens("5101050A:094C", "5") + listens("0100007F:094D", "8"),
			member: self, pid: self.PID, want: []string{"127.0.0.1:2381"}},
		"of a member that has ended": {tcp: listens("5101050A:094C", "5"), member: gone, pid: gone.PID,
			want: []string{fmt.Sprintf("10.5.1.81:2380 (nginx, process %d)", gone.PID)}},
	} {
		t.Run(what, func(t *testing.T) {
			m := newMachine(t)
			m.put("/proc/net/tcp", heading+c.tcp)
			if c.tcp6 != "" {
				m.put("/proc/net/tcp6", heading+c.tcp6)
			}
			for _, inode := range []string{"5", "6", "7"} {
				if c.pid != 0 {
					m.holds(c.pid, "nginx", inode)
				}
			}
			if c.member.PID != 0 {
				m.status(member.Status{Version: member.StatusVersion, Process: c.member})
			}
			found, err := m.occupied(t.Context(), Question{Ports: cluster.StandardPorts(), Address: c.address})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, l := range found {
				got = append(got, l.String())
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("occupied are %q, want %q", got, c.want)
			}
		})
	}
}

func (m machine) status(s member.Status) {
	m.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		m.Fatal(err)
	}
	m.put("/var/lib/pleiad/config/"+member.StatusFile, string(b))
}

// The kernel's own tables, and this process as who listens.
func TestOccupiedHere(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", at)
		if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) { // a machine without IPv6
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		port := uint16(l.Addr().(*net.TCPAddr).Port)
		found, err := This().occupied(t.Context(), Question{Ports: cluster.Ports{Peer: port}})
		if err != nil || len(found) != 1 || found[0].Address.String() != l.Addr().String() || found[0].PID != os.Getpid() || !strings.HasPrefix(found[0].Program, "agent") {
			t.Errorf("%s is occupied by %v, %v, want this process", l.Addr(), found, err)
		}
	}
}

func TestOccupiedUnknown(t *testing.T) {
	m := newMachine(t)
	if err := os.Remove(m.path("/proc/net/tcp")); err != nil {
		t.Fatal(err)
	}
	if got := m.Probe(t.Context(), Question{Zone: "dev.test.", Ports: cluster.StandardPorts()}).Occupied; got.Known() || !strings.Contains(got.Why().Text, "/proc/net/tcp") {
		t.Errorf("occupied ports are %+v, want them unknown", got)
	}
}

// It measures on the disk that the data lies on, or would, and leaves nothing.
func TestProbeDisk(t *testing.T) {
	m := newMachine(t)
	for _, below := range []string{"/var/lib", "/var/lib/pleiad", "/var/lib/pleiad/data"} {
		if err := os.MkdirAll(m.path(below), 0o700); err != nil {
			t.Fatal(err)
		}
		before := files(t, m.Root)
		got := m.Probe(t.Context(), Question{Zone: "dev.test."})
		if d, known := got.Disk.Get(); !known || d.Below != m.path(below) || d.Free <= 0 || d.Count != disk.Appends || d.P99 < d.Median || d.Median <= 0 {
			t.Errorf("the disk is %+v, want that of %s", got.Disk, below)
		}
		if after := files(t, m.Root); !slices.Equal(before, after) {
			t.Errorf("files are %q, want %q as before", after, before)
		}
		if got.Took <= 0 || got.Took > time.Since(got.Now) {
			t.Errorf("it took %s since %s", got.Took, got.Now)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if got := m.Probe(ended, Question{Zone: "dev.test."}); got.Disk.Known() {
		t.Errorf("the disk is %+v, want it unknown when there was no time", got.Disk)
	}
}

func files(t *testing.T, root string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		out = append(out, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// resolver answers for zone dev.test alone, and keeps what it is asked.
type resolver struct {
	addr string
	mu   sync.Mutex
	seen []string
}

func newResolver(t *testing.T) *resolver {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pc, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	r := &resolver{addr: l.Addr().String()}
	for _, s := range []*wire.Server{{Listener: l}, {PacketConn: pc}} {
		s.Handler = r
		go s.ActivateAndServe()
		t.Cleanup(func() { s.Shutdown() })
	}
	return r
}

func (r *resolver) ServeDNS(w wire.ResponseWriter, q *wire.Msg) {
	m := new(wire.Msg).SetReply(q)
	m.RecursionAvailable = true
	r.mu.Lock()
	r.seen = append(r.seen, w.RemoteAddr().Network()+" "+q.Question[0].Name+" "+wire.TypeToString[q.Question[0].Qtype])
	r.mu.Unlock()
	if q.Question[0].Name == "dev.test." {
		record, _ := wire.NewRR("dev.test. 60 IN NS ns1.dev.test.")
		m.Answer = []wire.RR{record}
	} else {
		m.Rcode = wire.RcodeNameError
	}
	w.WriteMsg(m)
}

// asked is what it was asked so far, in order of the alphabet.
func (r *resolver) asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(slices.Values(r.seen))
}

func TestProbeResolver(t *testing.T) {
	r := newResolver(t)
	m := newMachine(t)
	m.put("/etc/resolv.conf", "# ours\nsearch bed.test\nnameserver 10.5.1.2\nnameserver fd00::2\noptions edns0\n")
	m.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, r.addr)
	}
	if got := m.Probe(t.Context(), Question{Zone: "dev.test."}); got.UDP.Or("") != "found" || got.TCP.Or("") != "found" || !slices.Equal(got.Resolvers, []string{"10.5.1.2", "fd00::2"}) {
		t.Errorf("the resolvers %q say %+v over UDP and %+v over TCP, want them to know the zone", got.Resolvers, got.UDP, got.TCP)
	}
	// Nothing of ours is asked for, or "does not exist" would be remembered.
	if want := []string{"tcp dev.test. NS", "tcp dev.test. NS", "udp dev.test. NS", "udp dev.test. NS"}; !slices.Equal(r.asked(), want) {
		t.Errorf("asked were %q, want %q", r.asked(), want)
	}
	if got := m.Probe(t.Context(), Question{Zone: "other.test."}); got.UDP.Or("") != "absent" || got.TCP.Or("") != "absent" {
		t.Errorf("of a zone that is none it says %+v over UDP and %+v over TCP, want absent", got.UDP, got.TCP)
	}
	m.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		if network == "tcp" {
			return nil, errors.New("filtered")
		}
		return new(net.Dialer).DialContext(ctx, network, r.addr)
	}
	if got := m.Probe(t.Context(), Question{Zone: "dev.test."}); got.UDP.Or("") != "found" || got.TCP.Known() || !strings.Contains(got.TCP.Why().Text, "filtered") {
		t.Errorf("it says %+v over UDP and %+v over TCP, want TCP filtered", got.UDP, got.TCP)
	}
}

// A name server that is mute hides no other one, and is named. What is waited for is
// what resolv.conf says.
func TestProbeMuteResolver(t *testing.T) {
	r := newResolver(t)
	dark, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dark.Close() })
	m := newMachine(t)
	m.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		switch {
		case address == "10.5.1.3:53":
			return new(net.Dialer).DialContext(ctx, network, r.addr)
		case network == "udp":
			return new(net.Dialer).DialContext(ctx, network, dark.LocalAddr().String())
		}
		return nil, errors.New("refused")
	}
	m.put("/etc/resolv.conf", "nameserver 10.5.1.2\nnameserver 10.5.1.3\noptions timeout:1 attempts:5\n")
	got := m.Probe(t.Context(), Question{Zone: "dev.test."})
	if got.UDP.Or("") != "found" || got.TCP.Or("") != "found" || !slices.Equal(got.Mute, []string{"10.5.1.2"}) || got.Took >= 5*time.Second {
		t.Errorf("after %s %+v over UDP and %+v over TCP, mute are %q; want the other one to know the zone", got.Took, got.UDP, got.TCP, got.Mute)
	}
	m.put("/etc/resolv.conf", "nameserver 10.5.1.2\noptions timeout:1\n")
	got = m.Probe(t.Context(), Question{Zone: "dev.test."})
	if got.UDP.Known() || got.UDP.Why().Text != "10.5.1.2 gave no answer within 2s" || got.Took < 2*time.Second {
		t.Errorf("after %s %+v over UDP, want no answer within two attempts", got.Took, got.UDP)
	}
}

func TestProbeSystem(t *testing.T) {
	m := newMachine(t)
	if got := m.Probe(t.Context(), Question{Zone: "dev.test."}); got.Systemd || got.OS == "" || got.Arch == "" {
		t.Errorf("%+v, want a machine without systemd", got)
	}
	m.put("/run/systemd/system/x", "")
	m.put("/etc/os-release", "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n")
	if got := m.Probe(t.Context(), Question{Zone: "dev.test."}); !got.Systemd || got.OS != "Debian GNU/Linux 12 (bookworm)" {
		t.Errorf("%+v, want Debian with systemd", got)
	}
}

func TestCompareClocks(t *testing.T) {
	sent := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct{ ahead, way, took time.Duration }{
		{0, 0, 0}, {time.Hour, 40 * time.Millisecond, time.Second}, {-3 * time.Second, 500 * time.Millisecond, 0},
	} {
		m := Machine{Now: sent.Add(c.way + c.ahead), Took: c.took}
		m.compare(sent, sent.Add(2*c.way+c.took))
		if m.Ahead != c.ahead || m.Margin != c.way {
			t.Errorf("ahead %s, give or take %s, want %s and %s", m.Ahead, m.Margin, c.ahead, c.way)
		}
	}
	// More time there than passed here: the machine's clock was moved.
	m := Machine{Now: sent, Took: time.Hour}
	if m.compare(sent, sent.Add(time.Second)); m.Margin != 0 || m.Ahead != 0 {
		t.Errorf("ahead %s, give or take %s, want nothing impossible", m.Ahead, m.Margin)
	}
}
