//go:build linux

package real_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/onhost/agent"
	"github.com/pleiad-etcd/pleiad/internal/world/sshexec/sshexectest"
)

// TestMain lets this binary be what a machine has of pleiad: "agent".
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "agent" {
		h := &agent.Host{Root: os.Getenv("MACHINE"), User: func(context.Context, bool) (agent.User, error) { return agent.User{}, nil },
			Run: func(context.Context, string, ...string) (string, error) { return "", nil }}
		if err := agent.Serve(context.Background(), h, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A look at a machine costs one sudo, which may take 10 s: the first look too, and
// whether pleiad is there or not. Once its agent runs, later looks share one more.
func TestOneSudo(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, unit string
		sudos      []int64 // after each look
	}{
		{"with pleiad", "ExecStart=" + self + " member\n", []int64{1, 2, 2}},
		{"without pleiad", "", []int64{1, 2, 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t, "admin")
			m.write(node.ClaimFile, fmt.Sprintf(`{"version":1,"cluster":"a","domain":"a.test","token":"0123456789abcdef","name":"etcd-k3v9qd2","address":"%s"}`, loopback))
			if c.unit != "" {
				m.write(node.UnitFile, c.unit)
			}
			w := open(t, cluster.HostsSpec{SSH: m.spec()}, zoneOf(t, "192.0.2.53", key))
			for look, want := range c.sudos {
				l, err := w.World.Hosts.List(t.Context())
				if err != nil || len(l.Hosts) != 1 {
					t.Fatalf("List: %+v, %v, want one host", l, err)
				}
				if _, err := w.World.Deliver.Inspect(t.Context(), l.Hosts[0]); err != nil {
					t.Fatal(err)
				}
				if got := m.sudos.Load(); got != want {
					t.Errorf("%d sudos after look %d, want %d", got, look+1, want)
				}
			}
		})
	}
}

var loopback = netip.MustParseAddr("127.0.0.1")

// machine is a folder behind an SSH server, to which the paths of pleiad on a
// machine lead, in a command line or in what a command reads.
type machine struct {
	*testing.T
	root   string
	server *sshexectest.Server
	user   string
	sudos  atomic.Int64
}

func newMachine(t *testing.T, user string) *machine {
	t.Setenv("HOME", t.TempDir()) // for ssh_config
	m := &machine{T: t, root: t.TempDir(), user: user}
	m.server = sshexectest.Start(t, sshexectest.Options{Users: []string{user}, Handle: m.run})
	return m
}

func (m *machine) spec() *cluster.SSHHosts {
	return &cluster.SSHHosts{Addresses: []netip.Addr{loopback}, User: m.user, Port: m.server.Port,
		IdentityFile: m.server.KeyFile, KnownHosts: m.server.KnownHosts}
}

func (m *machine) write(path, content string) {
	m.Helper()
	path = filepath.Join(m.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		m.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		m.Fatal(err)
	}
}

func (m *machine) moved(line string) string {
	for _, folder := range []string{node.ClaimFolder, node.StateFolder, node.UnitFile, node.BinaryFolder, "/proc/"} {
		line = strings.ReplaceAll(line, folder, filepath.Join(m.root, folder))
	}
	return line
}

// run runs a command that was sent, less the sudo before it.
func (m *machine) run(c sshexectest.Command) (status int, handled bool) {
	line, sudo := strings.CutPrefix(c.Line, "exec env LC_MESSAGES=C sudo -n -- ")
	if sudo {
		m.sudos.Add(1)
	}
	cmd := exec.CommandContext(c.Ctx, "sh", "-c", m.moved(line))
	cmd.Env = append(os.Environ(), "MACHINE="+m.root)
	cmd.Stdout, cmd.Stderr = c.Stdout, c.Stderr
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(c.Stderr, err)
		return 127, true
	}
	go func() {
		defer stdin.Close()
		for lines := bufio.NewReader(c.Stdin); ; {
			line, err := lines.ReadString('\n')
			if !json.Valid([]byte(line)) { // a request is for the agent, which has its own root
				line = m.moved(line)
			}
			if _, failed := io.WriteString(stdin, line); err != nil || failed != nil {
				return
			}
		}
	}()
	_ = cmd.Wait() // the status tells
	return cmd.ProcessState.ExitCode(), true
}
