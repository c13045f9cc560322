package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
	"github.com/pleiad-etcd/pleiad/internal/world"
	"github.com/pleiad-etcd/pleiad/internal/world/authority"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/etcd"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
	"github.com/pleiad-etcd/pleiad/internal/world/real"
	"github.com/pleiad-etcd/pleiad/internal/world/statedir"
)

// hostile is what a record, a log, a file or an error of such may hold.
const hostile = "x\x1b]0;title\a\x1b[2J\u009b2J\u0085\u202ey\u2066\u200f\u2028\r\x7f\x9b"

// A world in which everybody says that, and knows nothing else.
type (
	hostileHosts struct{ hosts.Provider }
	hostileZone  struct{ dns.Zone }
	hostileKeys  struct{ authority.Authority }
	hostileEtcd  struct{ etcd.Inspector }
	hostileNode  struct{ deliver.Deliverer }
)

func (hostileKeys) Inspect(context.Context) (cluster.Control, error) {
	return cluster.Control{}, errors.New("key: " + hostile)
}

func (hostileHosts) Trace(context.Context) ([]cluster.Host, error) {
	return nil, errors.New("trace: " + hostile)
}

func (hostileEtcd) View(context.Context, cluster.Host) (cluster.View, error) {
	return cluster.View{}, errors.New("etcd: " + hostile)
}

func (hostileNode) Inspect(context.Context, cluster.Host) (cluster.Node, error) {
	return cluster.Node{}, errors.New("journal: " + hostile)
}

func (hostileHosts) List(context.Context) (hosts.Listing, error) {
	h := cluster.Host{Name: "etcd-a" + hostile}
	return hosts.Listing{Hosts: []cluster.Host{h}}, nil
}

func (hostileZone) Read(context.Context, []cluster.Key) (cluster.Records, error) {
	return cluster.Records{}, errors.New("record: " + hostile)
}

func hostileSystem(out, err io.Writer, state string) *System {
	return &System{
		Streams: Streams{In: strings.NewReader("no\n"), Out: out, Err: err, Env: func(name string) string {
			return map[string]string{"XDG_STATE_HOME": state, "HOME": state, "PLEIAD_BREAKPOINT": filepath.Join(state, hostile)}[name]
		}},
		Open: func(context.Context, cluster.Spec, *statedir.Home, real.Trace) (real.World, error) {
			return real.World{
				World: world.World{DNS: hostileZone{}, Hosts: hostileHosts{}, Authority: hostileKeys{}, Etcd: hostileEtcd{}, Deliver: hostileNode{}, Fresh: world.Fresh},
				Logs: func(_ context.Context, _ cluster.Host, _ bool, w io.Writer) error {
					_, err := io.WriteString(w, "log: "+hostile+"\n")
					return errors.Join(err, errors.New("journal: "+hostile))
				},
			}, nil
		},
		Agent: func(_ context.Context, _ io.Reader, out io.Writer) error {
			_, err := io.WriteString(out, hostile)
			return err
		},
	}
}

// Whoever wrote what is printed, it does nothing to a terminal.
func TestForeignTextIsHarmless(t *testing.T) {
	spec := filepath.Join(t.TempDir(), "pleiad.yaml")
	if err := os.WriteFile(spec, []byte("cluster: "+hostile+"\n"+hostile+": x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for source, line := range map[string][]string{
		"log":       {"logs", "etcd-a"},
		"host":      {"logs", "etcd-z"},
		"record":    {"status"},
		"trace":     {"status", "-v"},
		"spec":      {"plan", "-f", spec},
		"file name": {"plan", "-f", "/none" + hostile},
		"argument":  {"up" + hostile},
		"flag":      {"up", "--members", hostile},
		"unknown":   {"up", "--x" + hostile},
		"folders":   {"status", "--cluster", "other"},
		"lock file": {"up", "--timeout", "10ms"},
	} {
		for _, format := range []string{"text", "json"} {
			t.Run(source+" as "+format, func(t *testing.T) {
				state := t.TempDir()
				locked(t, state)
				var out, errs strings.Builder
				code := run(t.Context(), hostileSystem(&out, &errs, state), append(line, "--output", format))
				said := out.String() + errs.String()
				if said == "" {
					t.Fatalf("exit %s, and nothing was said", code)
				}
				if !utf8.ValidString(said) {
					t.Errorf("not UTF-8: %q", said)
				}
				for _, r := range said {
					if unicode.IsControl(r) && r != '\n' && r != '\t' || r == '\u2028' || unicode.Is(unicode.Bidi_Control, r) {
						t.Fatalf("%U reaches the terminal: %q", r, said)
					}
				}
				if source != "folders" && !strings.Contains(said, "title") {
					t.Errorf("the hostile text is not there at all: %q", said)
				}
			})
		}
	}
}

// locked makes a cluster whose lock somebody holds who is called hostile things.
func locked(t *testing.T, state string) {
	t.Helper()
	root := filepath.Join(state, "pleiad")
	h, err := statedir.Create(t.Context(), root, "dev", statedir.SeatOf(cluster.Spec{Domain: "dev.test"}))
	if err != nil {
		t.Fatal(err)
	}
	lock, err := process.Acquire(filepath.Join(h.Dir(), "lock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Release() })
	self, err := process.Self()
	if err != nil {
		t.Fatal(err)
	}
	host, _ := os.Hostname()
	b, err := json.Marshal(statedir.Holder{Stamp: self, Command: hostile, Host: host, Since: time.Now()})
	if err == nil {
		err = os.WriteFile(filepath.Join(h.Dir(), "lock.json"), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The protocol of the agent is not text for people.
func TestAgentIsLeftAlone(t *testing.T) {
	var out strings.Builder
	if code := run(t.Context(), hostileSystem(&out, io.Discard, t.TempDir()), []string{"agent"}); code != OK || out.String() != hostile {
		t.Errorf("exit %s: %q", code, out.String())
	}
}
