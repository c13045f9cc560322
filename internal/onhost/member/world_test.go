package member

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.etcd.io/etcd/server/v3/storage/wal"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/system/process/processtest"
)

// Exit codes of this binary as a member.
const (
	exitRefused = 1
	exitRunning = 3
	exitOther   = 4
)

// TestMain lets this binary play a member, "member CONFIGDIR [PROGRAM]", and an
// etcd of another program, which only waits: "etcd FLAGS".
func TestMain(m *testing.M) {
	if os.Args[0] == "etcd" {
		fmt.Println("another etcd was given", strings.Join(os.Args[1:], " "))
		if path := os.Getenv("PLAY_GROW"); path != "" {
			grow(path)
		}
		terminated := make(chan os.Signal, 1)
		signal.Notify(terminated, syscall.SIGTERM)
		<-terminated
		os.Exit(exitOther)
	}
	if len(os.Args) == 6 && os.Args[1] == "member" && os.Args[4] == "--watch" {
		parent, err := strconv.Atoi(os.Args[5])
		if err != nil || Watch(context.Background(), os.Args[3], parent, os.Stderr) != nil {
			os.Exit(exitRefused)
		}
		os.Exit(0)
	}
	if len(os.Args) >= 3 && os.Args[1] == "member" {
		err := Run(context.Background(), os.Args[2], strings.Join(os.Args[3:], ""), os.Stderr)
		if errors.Is(err, ErrRunning) {
			os.Exit(exitRunning)
		}
		os.Exit(exitRefused)
	}
	wal.SegmentSizeBytes = 64 << 10 // members of their own processes keep 64 MB
	os.Exit(m.Run())
}

const token = cluster.Token("8f2c6a0e8f2c6a0e")

func spec(members int) cluster.Spec {
	return cluster.Spec{Cluster: "dev", Domain: "dev.test", Members: members}
}

func marker(phase cluster.Phase) cluster.Marker {
	return cluster.Marker{Cluster: "dev", Owner: "us", Token: token, Phase: phase}
}

// newHost is a host in a folder of its own, at an address of its own where the
// machine has all of 127.0.0.0/8.
func newHost(t *testing.T, name cluster.MemberName) cluster.Host {
	t.Helper()
	folder := t.TempDir()
	h := cluster.Host{Name: name, Token: token, Paths: cluster.Paths{
		Config: filepath.Join(folder, "config"), Data: filepath.Join(folder, "data"), Log: filepath.Join(folder, "etcd.log"),
	}}
	if err := os.MkdirAll(filepath.Join(h.Paths.Config, "pki"), 0o700); err != nil {
		t.Fatal(err)
	}
	h.Address = newAddress(t)
	// All three at once, or two of them may be the same.
	var ports [3]uint16
	for i := range ports {
		l, err := net.Listen("tcp", netip.AddrPortFrom(h.Address, 0).String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := processtest.Close(l); err != nil {
				t.Error(err)
			}
		}()
		ports[i] = uint16(l.Addr().(*net.TCPAddr).Port)
	}
	h.Ports = cluster.Ports{Peer: ports[0], Client: ports[1], Metrics: ports[2]}
	return h
}

// newAddress is a loopback address that nobody else uses, where the machine has
// all of 127.0.0.0/8.
func newAddress(t *testing.T) netip.Addr {
	t.Helper()
	addr := netip.AddrFrom4([4]byte{127, byte(1 + rand.IntN(250)), byte(rand.IntN(250)), byte(2 + rand.IntN(250))})
	l, err := net.Listen("tcp", netip.AddrPortFrom(addr, 0).String())
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return addr
}

func render(phase cluster.Phase, resolver string, h cluster.Host, others ...cluster.Host) node.Node {
	members := append([]cluster.Host{h}, others...)
	return node.Render(spec(len(members)), marker(phase), members, h, resolver)
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func install(t *testing.T, n node.Node) {
	t.Helper()
	write(t, filepath.Join(n.Paths.Config, node.FileName), n.Encode())
}

// running is a member in a process of its own.
type running struct {
	t    *testing.T
	node node.Node
	cmd  *exec.Cmd
	done chan struct{}
}

func launch(t *testing.T, n node.Node, env ...string) *running {
	t.Helper()
	return launchProgram(t, n, nil, env...)
}

// launchProgram lets the member run the etcd of another program, if there is
// one in the list.
func launchProgram(t *testing.T, n node.Node, program []string, env ...string) *running {
	t.Helper()
	log, err := os.OpenFile(n.Paths.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	r := &running{t: t, node: n, cmd: exec.Command(os.Args[0], append([]string{"member", n.Paths.Config}, program...)...), done: make(chan struct{})}
	r.cmd.Stdout, r.cmd.Stderr, r.cmd.Env = log, log, append(os.Environ(), env...)
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.done)
		_ = r.cmd.Wait() // looked at in cmd.ProcessState
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill() // most have ended
		<-r.done
		if t.Failed() {
			b, _ := os.ReadFile(n.Paths.Log)
			lines := slices.DeleteFunc(strings.Split(string(b), "\n"), func(l string) bool { return strings.Contains(l, "/health") })
			t.Logf("log of %s:\n%s", n.Name, strings.Join(lines[max(0, len(lines)-40):], "\n"))
		}
	})
	return r
}

func (r *running) signal(sig os.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(sig); err != nil {
		r.t.Fatal(err)
	}
}

// ended waits for the process and says how it ended.
func (r *running) ended() syscall.WaitStatus {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(patience):
		r.t.Fatalf("member %s does not end", r.node.Name)
	}
	return r.cmd.ProcessState.Sys().(syscall.WaitStatus)
}

func (r *running) inspect() cluster.Node {
	r.t.Helper()
	n, err := Inspect(r.t.Context(), r.node.Paths)
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// healthy says whether the member serves with a leader.
func (r *running) healthy() bool {
	_, b, err := r.get("/health")
	var health struct {
		Health string `json:"health"`
	}
	return err == nil && json.Unmarshal(b, &health) == nil && health.Health == "true"
}

// listens says whether the member serves its peers: its metrics listener comes
// after that.
func (r *running) listens() bool {
	code, _, err := r.get("/metrics")
	return err == nil && code == http.StatusOK
}

// get asks the plain metrics listener.
func (r *running) get(path string) (int, []byte, error) {
	for _, a := range r.node.Args {
		if url, ok := cutFlag(a, "--listen-metrics-urls"); ok {
			c := http.Client{Timeout: time.Second}
			defer c.CloseIdleConnections()
			resp, err := c.Get(url + path)
			if err != nil {
				return 0, nil, err
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			return resp.StatusCode, b, err
		}
	}
	r.t.Fatal("no metrics listener")
	return 0, nil, nil
}

func cutFlag(arg, name string) (string, bool) {
	if len(arg) > len(name) && arg[:len(name)+1] == name+"=" {
		return arg[len(name)+1:], true
	}
	return "", false
}

// patience is when a test gives up; no test waits for it to pass.
const patience = 20 * time.Second

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// nameServer is an authoritative server for whatever it is told.
type nameServer struct {
	addr    string
	mu      sync.Mutex
	records []dns.RR
	asked   []string
	then    *turn
	closing func()
}

// turn is what a name server shows once a whole list was read from it.
type turn struct {
	left    map[string]int // questions still to be answered first, by text
	records []dns.RR
}

func newNameServer(t *testing.T, records ...string) *nameServer {
	t.Helper()
	s := &nameServer{}
	s.set(t, records...)
	udp, tcp := listenBoth(t, newAddress(t))
	s.addr = udp.LocalAddr().String()
	var wg sync.WaitGroup
	servers := []*dns.Server{{PacketConn: udp, Handler: s}, {Listener: tcp, Handler: s}}
	for _, srv := range servers {
		up := make(chan struct{})
		srv.NotifyStartedFunc = func() { close(up) }
		wg.Go(func() { _ = srv.ActivateAndServe() }) // ends with Shutdown
		<-up
	}
	s.closing = sync.OnceFunc(func() {
		for _, srv := range servers {
			if err := srv.Shutdown(); err != nil {
				t.Errorf("stop name server: %v", err)
			}
		}
		wg.Wait()
	})
	t.Cleanup(s.closing)
	return s
}

// listenBoth takes one port for both protocols.
func listenBoth(t *testing.T, addr netip.Addr) (net.PacketConn, net.Listener) {
	t.Helper()
	for {
		tcp, err := net.Listen("tcp", netip.AddrPortFrom(addr, 0).String())
		if err != nil {
			t.Fatal(err)
		}
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		if err == nil {
			return udp, tcp
		}
		tcp.Close()
		if !errors.Is(err, syscall.EADDRINUSE) { // another's UDP port, by chance
			t.Fatal(err)
		}
	}
}

func (s *nameServer) close() { s.closing() }

// set replaces all records, given in presentation format.
func (s *nameServer) set(t *testing.T, records ...string) {
	t.Helper()
	all := parse(t, records)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records, s.then = all, nil
}

func parse(t *testing.T, records []string) []dns.RR {
	t.Helper()
	var all []dns.RR
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, rr)
	}
	return all
}

// turnAfter shows other records as soon as each of these questions was answered
// as often as it is listed.
func (s *nameServer) turnAfter(t *testing.T, questions []string, records ...string) {
	t.Helper()
	next := turn{left: map[string]int{}, records: parse(t, records)}
	for _, q := range questions {
		next.left[q]++
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.then = &next
}

// answered counts down to the turn.
func (s *nameServer) answered(question string) {
	if s.then == nil {
		return
	}
	if s.then.left[question]--; s.then.left[question] <= 0 {
		delete(s.then.left, question)
	}
	if len(s.then.left) == 0 {
		s.records, s.then = s.then.records, nil
	}
}

func (s *nameServer) questions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// ServeDNS implements dns.Handler.
func (s *nameServer) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	question := q.Question[0]
	text := dns.TypeToString[question.Qtype] + " " + question.Name
	s.asked = append(s.asked, text)
	defer s.answered(text)
	var a dns.Msg
	a.SetReply(q)
	a.Authoritative, a.Rcode = true, dns.RcodeNameError
	for _, rr := range s.records {
		if dns.CanonicalName(rr.Header().Name) == dns.CanonicalName(question.Name) {
			a.Rcode = dns.RcodeSuccess
			if rr.Header().Rrtype == question.Qtype {
				a.Answer = append(a.Answer, rr)
			}
		}
	}
	if w.LocalAddr().Network() == "udp" {
		size := dns.MinMsgSize
		if opt := q.IsEdns0(); opt != nil {
			size = int(opt.UDPSize())
		}
		a.Truncate(size)
	}
	_ = w.WriteMsg(&a) // a client that went away asks again
}

// publish is the records of these members, less those dropped by name.
func publish(members []cluster.Host, without ...string) []string {
	s := spec(len(members))
	var out []string
	for _, h := range members {
		if name := s.HostName(h.Name) + "."; !slices.Contains(without, name) {
			out = append(out, fmt.Sprintf("%s 60 IN A %s", name, h.Address))
		}
		out = append(out, fmt.Sprintf("%s 60 IN SRV 0 0 %d %s.", s.ServerService(), h.Ports.Peer, s.HostName(h.Name)))
	}
	return out
}
