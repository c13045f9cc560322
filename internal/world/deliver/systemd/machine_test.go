//go:build linux

package systemd_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/onhost/agent"
	"github.com/pleiad-etcd/pleiad/internal/onhost/agent/agenttest"
	"github.com/pleiad-etcd/pleiad/internal/onhost/member"
	"github.com/pleiad-etcd/pleiad/internal/system/process/processtest"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver/chef/cheftest"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver/delivertest"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver/delivertest/fakemember"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver/systemd"
)

// TestMain lets this binary play a member, "fake CONFIG BEHAVIOUR", and Chef's
// client, "chef ROOT ARGUMENTS".
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "fake" {
		if err := fakemember.Run(os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) > 3 && os.Args[1] == "chef" {
		os.Exit(cheftest.Client(os.Args[2], os.Args[3:], os.Stdout))
	}
	cache, err := os.MkdirTemp("", "")
	if err == nil {
		err = os.Setenv("XDG_CACHE_HOME", cache) // packed binaries are none of the user's here
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(cache)
	os.Exit(code)
}

// machine runs a deliverer's commands with a real shell in a folder that stands
// for the root of a machine. Where they would start an agent, one is served by
// this process.
type machine struct {
	*agenttest.Machine
	uname string
	full  bool // the disk

	mu      sync.Mutex // guards what follows
	opened  int
	sent    int64               // bytes of stdin
	spoil   func([]byte) []byte // what becomes of them on the way; nil for nothing
	greets  func(greeting string) string
	streams []*stream
}

func newMachine(t *testing.T) *machine {
	m := &machine{Machine: agenttest.New(t), uname: "Linux x86_64"}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	m.Member = func(config string) []string { return []string{self, "fake", config, m.Path(behaviourFile)} }
	return m
}

// paths of a machine as they stand in commands.
var paths = regexp.MustCompile(`(/usr/local/lib/pleiad|/var/lib/pleiad|/etc/systemd/system|/run/systemd)`)

// agents are where commands start one.
var agents = regexp.MustCompile(`(?:exec )?("\$binary"|\S+/pleiad) agent\b`)

func (m *machine) shell(ctx context.Context, command string) *exec.Cmd {
	command = agents.ReplaceAllString(command, `echo "AGENT "$1; cat >/dev/null; exit`)
	command = paths.ReplaceAllString(command, m.Root+"$1")
	command = strings.ReplaceAll(command, "PATH=$PATH:", "PATH="+m.Path("/usr/bin")+":$PATH:")
	command = strings.ReplaceAll(command, "uname -s -m", "echo "+m.uname)
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.WaitDelay = time.Second // a killed shell may leave a child that holds its output
	return cmd
}

// Run implements systemd.Machine.
func (m *machine) Run(ctx context.Context, command string, stdin io.Reader) ([]byte, error) {
	if stdin != nil {
		b, err := io.ReadAll(stdin)
		if err != nil {
			return nil, err
		}
		m.mu.Lock()
		m.sent += int64(len(b))
		if m.spoil != nil {
			b = m.spoil(bytes.Clone(b))
		}
		m.mu.Unlock()
		stdin = bytes.NewReader(b)
	}
	if strings.HasPrefix(command, "journalctl") {
		out, err := m.Machine.Run(ctx, "journalctl")
		return []byte(out), err
	}
	if m.full { // see full(4)
		command = strings.ReplaceAll(command, "gzip -dc >$new", "gzip -dc >/dev/full")
	}
	cmd := m.shell(ctx, command)
	var out, said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &said
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return out.Bytes(), fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
	}
	return out.Bytes(), nil
}

// Send implements systemd.Machine.
func (m *machine) Send(ctx context.Context, command string, data []byte) error {
	_, err := m.Run(ctx, command, bytes.NewReader(data))
	return err
}

// Follow implements systemd.Machine.
func (m *machine) Follow(ctx context.Context, command string, w io.Writer) error {
	out, err := m.Run(ctx, command, nil)
	if err == nil {
		_, err = w.Write(out)
	}
	if strings.Contains(command, "--follow") {
		<-ctx.Done()
	}
	return err
}

// Delay implements systemd.Machine.
func (m *machine) Delay() time.Duration { return time.Millisecond }

// Open implements systemd.Machine.
func (m *machine) Open(ctx context.Context, command string) (io.ReadWriteCloser, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	cmd := m.shell(context.WithoutCancel(ctx), command)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &stream{shell: cmd, shellIn: in}
	m.mu.Lock()
	m.opened++
	m.streams = append(m.streams, s)
	m.mu.Unlock()
	first, err := bufio.NewReader(out).ReadString('\n')
	binary, agent := strings.CutPrefix(first, "AGENT "+m.Root)
	if err != nil || !agent {
		s.Reader = strings.NewReader(first)
		s.Writer = io.Discard
		return s, nil
	}
	s.serve(m, strings.TrimSpace(binary))
	return s, nil
}

// stream is the connection to one agent.
type stream struct {
	io.Reader
	io.Writer
	shell   *exec.Cmd
	shellIn io.Closer
	closing sync.Once
	ended   error
	lost    func()
	served  sync.WaitGroup
}

// serve is the agent, as a program of this path on the machine.
func (s *stream) serve(m *machine, binary string) {
	requests, toAgent := io.Pipe()
	answers, fromAgent := io.Pipe()
	s.Reader, s.Writer = answers, toAgent
	s.lost = func() {
		toAgent.CloseWithError(io.EOF)
		answers.CloseWithError(io.EOF)
		fromAgent.CloseWithError(errors.New("connection lost"))
	}
	s.served.Go(func() {
		err := agent.Serve(context.Background(), m.Host(), requests, &greeter{Writer: fromAgent, machine: m, binary: binary})
		fromAgent.CloseWithError(err)
	})
}

// Close implements io.Closer: the agent sees the end of its input, and with it
// the shell around it.
func (s *stream) Close() error {
	s.closing.Do(func() {
		if s.lost != nil {
			s.lost()
		}
		s.served.Wait()
		s.shellIn.Close()
		s.ended = s.shell.Wait()
	})
	return s.ended
}

// greeter puts the path on the machine into an agent's greeting.
type greeter struct {
	io.Writer
	machine *machine
	binary  string
	done    bool
}

// Write implements io.Writer.
func (g *greeter) Write(b []byte) (int, error) {
	if g.done {
		return g.Writer.Write(b)
	}
	g.done = true
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	text := strings.ReplaceAll(string(b), self, g.binary)
	if g.machine.greets != nil {
		text = g.machine.greets(text)
	}
	_, err = io.WriteString(g.Writer, text)
	return len(b), err
}

// hangUp breaks all connections.
func (m *machine) hangUp() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.streams {
		if s.lost != nil {
			s.lost()
		}
	}
}

func (m *machine) counts() (opened int, sent int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.opened, m.sent
}

// bodySize makes more than one piece of a program, and not whole ones.
const bodySize = 2<<20 + 1<<16

// writeBuild writes a program for an architecture: enough of one for whoever
// looks what it is for (elf(5)).
func writeBuild(t *testing.T, path string, kind byte) {
	t.Helper()
	head := make([]byte, 64)
	copy(head, "\x7fELF\x02\x01\x01")
	head[16], head[18], head[20], head[52] = 2, kind, 1, 64
	body := make([]byte, bodySize)
	for i := range body {
		body[i] = byte(rand.Uint32())
	}
	if err := os.WriteFile(path, append(head, body...), 0o755); err != nil {
		t.Fatal(err)
	}
}

// writeLinked writes a program that names a loader, for amd64.
func writeLinked(t *testing.T, path string) {
	t.Helper()
	const loader = "/lib64/ld-linux-x86-64.so.2\x00"
	head := make([]byte, 64+56)
	copy(head, "\x7fELF\x02\x01\x01")
	head[16], head[18], head[20], head[32], head[52], head[54], head[56] = 2, amd64, 1, 64, 64, 56, 1
	head[64], head[64+8], head[64+32], head[64+40] = 3, byte(len(head)), byte(len(loader)), byte(len(loader)) // PT_INTERP
	if err := os.WriteFile(path, append(head, loader...), 0o755); err != nil {
		t.Fatal(err)
	}
}

// What elf(5) calls the architectures.
const (
	amd64 = 62
	arm64 = 183
)

// world is a network of machines.
type world struct {
	*testing.T
	builds *systemd.Builds
	lay    systemd.Lay // nil for none

	mu       sync.Mutex // guards what follows
	machines map[netip.Addr]*machine
}

func newWorld(t *testing.T) *world {
	self := filepath.Join(t.TempDir(), "pleiad")
	writeBuild(t, self, amd64)
	return &world{T: t, builds: systemd.NewBuilds("/dev/null", map[string]string{"amd64": self}, "hosts.ec2"), machines: map[netip.Addr]*machine{}}
}

func (w *world) machine(a netip.Addr) *machine {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.machines[a]
}

// deliverer is a new one, as of a second command.
func (w *world) deliverer() *systemd.Deliverer {
	d := systemd.Through(func(way cluster.Way) systemd.Machine { return w.machine(way.Address) }, w.builds, w.lay)
	w.Cleanup(func() { d.Close() })
	return d
}

// host sets up a machine.
func (w *world) host(name cluster.MemberName) cluster.Host {
	w.Helper()
	m := newMachine(w.T)
	h := cluster.Host{Name: name, Token: "8f2c6a0e8f2c6a0e", Ports: cluster.StandardPorts(), Paths: m.Paths()}
	w.mu.Lock()
	defer w.mu.Unlock()
	for !h.Address.IsValid() || w.machines[h.Address] != nil || !free(h) {
		h.Address = netip.AddrFrom4([4]byte{127, byte(1 + rand.IntN(250)), byte(rand.IntN(250)), byte(2 + rand.IntN(250))})
	}
	w.machines[h.Address] = m
	return h
}

// behaviourFile tells a machine's member what to do.
const behaviourFile = "/behaviour.json"

func free(h cluster.Host) bool {
	l, err := net.Listen("tcp", netip.AddrPortFrom(h.Address, h.Ports.Peer).String())
	if err != nil {
		return false
	}
	return processtest.Close(l) == nil
}

func (w *world) behave(h cluster.Host, b fakemember.Behaviour) {
	w.Helper()
	if err := fakemember.Behave(w.machine(h.Address).Path(behaviourFile), b); err != nil {
		w.Fatal(err)
	}
}

func (w *world) status(h cluster.Host) member.Status {
	w.Helper()
	b, err := os.ReadFile(filepath.Join(h.Paths.Config, member.StatusFile))
	if err != nil {
		w.Fatal(err)
	}
	s, err := member.DecodeStatus(b)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	delivertest.Run(t, func(t *testing.T) delivertest.World { return newWorld(t).contract(t) })
}

// contract is the world as the suite of the contract has it.
func (w *world) contract(t *testing.T) delivertest.World {
	return delivertest.World{
		Deliverer: func() deliver.Deliverer { return w.deliverer() },
		Host:      w.host,
		Behave:    func(h cluster.Host, b delivertest.Behaviour) { w.behave(h, fakemember.Behaviour{Behaviour: b}) },
		Answers: func(h cluster.Host) bool {
			c, err := net.Dial("tcp", netip.AddrPortFrom(h.Address, h.Ports.Peer).String())
			if err == nil {
				c.Close()
			}
			return err == nil
		},
		Kill: func(h cluster.Host) {
			p := w.status(h).Process
			if err := errors.Join(p.Signal(syscall.SIGKILL), p.Wait(t.Context())); err != nil {
				t.Fatal(err)
			}
		},
		Occupy: func(h cluster.Host, port uint16) func() {
			l, err := net.Listen("tcp", netip.AddrPortFrom(h.Address, port).String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			return func() {
				if err := processtest.Close(l); err != nil {
					t.Error(err)
				}
			}
		},
	}
}

// rendered is a node of a cluster of one that bootstraps.
func rendered(h cluster.Host) node.Node {
	spec := cluster.Spec{Cluster: "dev", Domain: "dev.test", Members: 1}
	return node.Render(spec, cluster.Marker{Token: h.Token, Phase: cluster.Bootstrapping}, []cluster.Host{h}, h, "")
}
