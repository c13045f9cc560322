package agent_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/onhost/agent"
	"github.com/pleiad-etcd/pleiad/internal/onhost/agent/agenttest"
)

const token = cluster.Token("8f2c6a0e8f2c6a0e")

// binary is where pleiad lies on the machine.
var binary = node.BinaryPath(strings.Repeat("0123456789abcdef", 4))

// stage is a machine with its agent.
type stage struct {
	*testing.T
	*agenttest.Machine
	agent *agent.Host
	host  cluster.Host
}

func newStage(t *testing.T) *stage {
	m := agenttest.New(t)
	m.Write(t, binary, "pleiad")
	return &stage{T: t, Machine: m, agent: m.Host(), host: cluster.Host{Name: "etcd-k3v9qd2", Token: token, Address: netip.MustParseAddr("10.5.1.81"),
		Ports: cluster.StandardPorts(), Paths: m.Paths()}}
}

// rendered is a node of a sealed cluster, one of several to tell apart.
func (s *stage) rendered(variant int, edit ...func(*cluster.Spec)) node.Node {
	spec := cluster.Spec{Cluster: "c1", Domain: "dev.test", Members: 2, TLS: true,
		Etcd: cluster.Etcd{Options: map[string]string{"snapshot-count": fmt.Sprint(10000 + variant)}}}
	for _, e := range edit {
		e(&spec)
	}
	other := cluster.Host{Name: "etcd-zzzzzzz", Address: netip.AddrFrom4([4]byte{10, 5, 1, byte(100 + variant)}), Ports: cluster.StandardPorts()}
	return node.Render(spec, cluster.Marker{Cluster: "c1", Token: token, Phase: cluster.Sealed}, []cluster.Host{s.host, other}, s.host, "")
}

func credentials(variant int) *node.Credentials {
	text := func(what string) []byte { return fmt.Appendf(nil, "%s %d", what, variant) }
	pair := func(what string) node.Pair { return node.Pair{Cert: text(what + " cert"), Key: text(what + " key")} }
	return &node.Credentials{PeerCA: text("peer ca"), ClientCA: text("client ca"), Peer: pair("peer"), Server: pair("server"), Gateway: pair("gateway")}
}

func (s *stage) install(n node.Node, c *node.Credentials) []string {
	s.Helper()
	changed, err := s.agent.Install(s.Context(), s.host, n, c, binary, true)
	if err != nil {
		s.Fatalf("Install: %v", err)
	}
	return changed
}

// wantInstalled fails unless the machine holds a node, and nothing drifts.
func (s *stage) wantInstalled(n node.Node, c *node.Credentials) {
	s.Helper()
	for _, f := range append(c.Files(), node.CredentialFile{Name: node.FileName, Content: n.Encode()}) {
		got, err := os.ReadFile(filepath.Join(n.Paths.Config, f.Name))
		if diff := cmp.Diff(string(f.Content), string(got)); err != nil || diff != "" {
			s.Errorf("%s: %v (-want +got):\n%s", f.Name, err, diff)
		}
	}
	if drift := s.drift(); len(drift) > 0 {
		s.Errorf("drift is %q, want none", drift)
	}
}

// drift is that of what was delivered; nil if it cannot be told because nothing
// was.
func (s *stage) drift() []string {
	s.Helper()
	// Not a real certificate, which Inspect would read.
	cert := filepath.Join(s.host.Paths.Config, node.PeerCertFile)
	kept, err := os.ReadFile(cert)
	if err == nil {
		defer os.WriteFile(cert, kept, 0o600)
		err = os.Remove(cert)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.Fatal(err)
	}
	n, err := s.agent.Inspect(s.Context(), s.host)
	if err != nil {
		s.Fatalf("Inspect: %v", err)
	}
	return n.Drift
}

func (s *stage) wantChanged(what string, got []string, want ...string) {
	s.Helper()
	for i := range got {
		got[i] = strings.TrimPrefix(got[i], s.Root)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.Errorf("%s changed (-want +got):\n%s", what, diff)
	}
}

const wants = "/etc/systemd/system/multi-user.target.wants/" + node.UnitName

func TestInstallSaysWhatItChanged(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	config := node.MachinePaths().Config
	memberFile := config + "/" + node.FileName
	var pki []string
	for _, f := range credentials(0).Files() {
		pki = append(pki, config+"/"+f.Name)
	}
	first := s.rendered(0)
	s.wantChanged("the first Install", s.install(first, credentials(0)), slices.Concat(
		[]string{node.StateFolder, config, config + "/pki"}, pki, []string{node.HostsFile, node.UnitFile, wants, memberFile})...)
	s.wantInstalled(first, credentials(0))

	s.Calls()
	before := s.Files(t)
	for _, c := range []*node.Credentials{credentials(0), nil} {
		s.wantChanged("the same again", s.install(first, c))
	}
	if calls := s.Calls(); len(calls) > 0 {
		t.Errorf("Install of what is there runs %q, want nothing", calls)
	}
	if diff := cmp.Diff(before, s.Files(t)); diff != "" {
		t.Errorf("Install of what is there (-before +after):\n%s", diff)
	}

	s.wantChanged("new certificates", s.install(first, credentials(1)), append(pki, memberFile)...)
	second := s.rendered(1)
	s.wantChanged("other peers", s.install(second, nil), node.HostsFile, memberFile)
	s.wantInstalled(second, credentials(1))
	for name := range s.Files(t) {
		if strings.HasSuffix(name, ".new") {
			t.Errorf("%s is left", name)
		}
	}
}

// Whatever systemd knows of the unit before, what it starts is what was written.
func TestInstallCountsForSystemd(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(*stage){
		"never heard of it": func(*stage) {},
		"remembers one that was taken away": func(s *stage) {
			s.install(s.rendered(0, func(spec *cluster.Spec) { spec.Cluster = "before" }), credentials(0))
			for _, path := range []string{s.Path(node.UnitFile), filepath.Join(s.host.Paths.Config, node.FileName)} {
				if err := os.Remove(path); err != nil {
					s.Fatal(err)
				}
			}
		},
		"remembers that there is none": func(s *stage) { s.Forgetful = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			before(s)
			s.Calls()
			want := s.rendered(0)
			s.install(want, credentials(0))
			if loaded := s.Loaded(); loaded != string(want.Unit(binary, 65536)) {
				t.Errorf("systemd has read\n%s", loaded)
			}
			if reloaded := slices.Contains(s.Calls(), "systemctl daemon-reload"); reloaded == (name == "never heard of it") {
				t.Errorf("all units were read again: %t", reloaded)
			}
		})
	}
}

// obstruct makes the next write of a file fail, as a full disk does.
func (s *stage) obstruct(path string) {
	s.Helper()
	beside := path + ".new"
	if err := os.MkdirAll(filepath.Join(beside, "full"), 0o700); err != nil {
		s.Fatal(err)
	}
}

// Wherever an Install is cut short, the machine is seen as not delivered to, or
// as drifted, and the next Install completes it.
func TestInstallCutShort(t *testing.T) {
	t.Parallel()
	cut := errors.New("cut short")
	type obstacle struct {
		name string
		call int // the program it is about; only a first unit takes more than one
		set  func(s *stage, cancel context.CancelCauseFunc)
	}
	var obstacles []obstacle
	for _, file := range []string{node.FileName, node.PeerCAFile, node.PeerKeyFile, node.PeerCertFile, node.ServerCertFile, node.GatewayCertFile} {
		obstacles = append(obstacles, obstacle{"write " + file, 0, func(s *stage, _ context.CancelCauseFunc) {
			s.obstruct(filepath.Join(s.host.Paths.Config, file))
		}})
	}
	obstacles = append(obstacles, obstacle{"write " + node.UnitFile, 0, func(s *stage, _ context.CancelCauseFunc) { s.obstruct(s.Path(node.UnitFile)) }},
		obstacle{"write " + node.HostsFile, 0, func(s *stage, _ context.CancelCauseFunc) {
			if err := os.Remove(s.Path(node.HostsFile)); err != nil && !errors.Is(err, os.ErrNotExist) { // one that is there is written in place
				s.Fatal(err)
			}
			s.obstruct(s.Path(node.HostsFile))
		}})
	for call := range 2 { // show before and after a first unit is written
		obstacles = append(obstacles,
			obstacle{fmt.Sprintf("program %d fails", call), call, func(s *stage, _ context.CancelCauseFunc) { s.failAt(call, func() error { return cut }) }},
			obstacle{fmt.Sprintf("cancelled at program %d", call), call, func(s *stage, cancel context.CancelCauseFunc) {
				s.failAt(call, func() error { cancel(cut); return nil })
			}})
	}
	for _, o := range obstacles {
		for _, fresh := range []bool{true, false} {
			if o.call > 0 && !fresh {
				continue
			}
			t.Run(fmt.Sprintf("%s, fresh %t", o.name, fresh), func(t *testing.T) {
				t.Parallel()
				s := newStage(t)
				if !fresh {
					old := s.rendered(0, func(spec *cluster.Spec) { spec.Cluster = "before" }) // its unit differs
					old.Sealed = false
					s.install(old, credentials(0))
					if err := os.Remove(s.Path(wants)); err != nil && !errors.Is(err, os.ErrNotExist) {
						t.Fatal(err)
					}
				}
				want := s.rendered(1)
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				o.set(s, cancel)
				if _, err := s.agent.Install(ctx, s.host, want, credentials(1), binary, true); err == nil {
					t.Fatal("Install: nil, want an error")
				}
				s.Before = nil
				drift := s.drift()
				if b, err := os.ReadFile(filepath.Join(s.host.Paths.Config, node.FileName)); err == nil && len(drift) == 0 {
					if n, err := node.Decode(b); err != nil || n.Digest() == want.Digest() {
						t.Errorf("the machine is seen as delivered to (%v)", err)
					}
				}
				s.install(want, credentials(1))
				s.wantInstalled(want, credentials(1))
				if loaded := s.Loaded(); loaded != string(want.Unit(binary, 65536)) {
					t.Errorf("systemd has read\n%s", loaded)
				}
			})
		}
	}
}

// failAt does something in place of, or before, the program that is run next
// but this many.
func (s *stage) failAt(call int, do func() error) {
	seen := 0
	s.Before = func(string, []string) error {
		seen++
		if seen-1 == call {
			return do()
		}
		return nil
	}
}

func TestInstallRefuses(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	before := s.Files(t)
	elsewhere, other := s.rendered(0), s.rendered(0)
	elsewhere.Paths.Data += "2"
	other.Name = "etcd-zzzzzzz"
	for name, try := range map[string]func() error{
		"another host's node": func() error {
			_, err := s.agent.Install(t.Context(), s.host, other, nil, binary, true)
			return err
		},
		"other paths": func() error {
			_, err := s.agent.Install(t.Context(), s.host, elsewhere, nil, binary, true)
			return err
		},
		"half of the credentials": func() error {
			_, err := s.agent.Install(t.Context(), s.host, s.rendered(0), &node.Credentials{PeerCA: []byte("ca")}, binary, true)
			return err
		},
	} {
		if err := try(); err == nil || !strings.Contains(err.Error(), "etcd-k3v9qd2") {
			t.Errorf("%s: %v, want an error that names the host", name, err)
		}
	}
	if diff := cmp.Diff(before, s.Files(t)); diff != "" {
		t.Errorf("refused, but (-before +after):\n%s", diff)
	}
}

// Each thing that somebody changed on the machine is named, and the next
// Install puts it right.
func TestDrift(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(s *stage) error
		want   string
	}{
		{"unit gone", func(s *stage) error { return os.Remove(s.Path(node.UnitFile)) }, node.UnitFile + " is missing"},
		{"unit edited", func(s *stage) error { return appendTo(s.Path(node.UnitFile), "Nice=5\n") }, node.UnitFile + " is not as it was delivered"},
		{"unit empty", func(s *stage) error { return os.Truncate(s.Path(node.UnitFile), 0) }, node.UnitFile + " is not as it was delivered"},
		{"pins edited", func(s *stage) error {
			b, err := os.ReadFile(s.Path(node.HostsFile))
			if err != nil {
				return err
			}
			return os.WriteFile(s.Path(node.HostsFile), []byte(strings.ReplaceAll(string(b), "10.5.1.100", "10.5.1.9")), 0o644)
		}, node.HostsFile + " does not hold the pinned peers"},
		{"hosts file gone", func(s *stage) error { return os.Remove(s.Path(node.HostsFile)) }, node.HostsFile + " does not hold the pinned peers"},
		{"hosts file closed to the member", func(s *stage) error { return os.Chmod(s.Path(node.HostsFile), 0o600) }, node.HostsFile + " does not hold the pinned peers"},
		{"hosts file a link", func(s *stage) error {
			return errors.Join(os.Remove(s.Path(node.HostsFile)), os.Symlink(s.Path(node.SystemHosts), s.Path(node.HostsFile)))
		}, node.HostsFile + " does not hold the pinned peers"},
		{"disabled", func(s *stage) error { return os.Remove(s.Path(wants)) }, node.UnitName + " is not enabled: it would not start after a reboot"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			n := s.rendered(0)
			s.install(n, credentials(0))
			if err := tt.change(s); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{tt.want}, s.drift()); diff != "" {
				t.Errorf("drift (-want +got):\n%s", diff)
			}
			s.install(n, nil)
			s.wantInstalled(n, credentials(0))
		})
	}
	t.Run("binary gone", func(t *testing.T) {
		t.Parallel()
		s := newStage(t)
		s.install(s.rendered(0), credentials(0))
		if err := os.Remove(s.Path(binary)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{binary + " is missing"}, s.drift()); diff != "" {
			t.Errorf("drift (-want +got):\n%s", diff)
		}
	})
	t.Run("the machine's own hosts file", func(t *testing.T) {
		t.Parallel()
		s := newStage(t)
		before := hostsOf(s)
		s.install(s.rendered(0), credentials(0))
		if now := hostsOf(s); now != before {
			t.Errorf("Install wrote it: %q, was %q", now, before)
		}
		if err := os.Remove(s.Path(node.SystemHosts)); err != nil {
			t.Fatal(err)
		}
		if drift := s.drift(); len(drift) > 0 {
			t.Errorf("drift is %q, want none: it is not ours", drift)
		}
	})
}

func hostsOf(s *stage) string {
	s.Helper()
	b, err := os.ReadFile(s.Path(node.SystemHosts))
	if err != nil {
		s.Fatal(err)
	}
	return string(b)
}

// A member that runs has its hosts file mounted: what is delivered must reach
// that very file.
func TestHostsFileIsWrittenInPlace(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.install(s.rendered(0), credentials(0))
	mounted, err := os.Open(s.Path(node.HostsFile))
	if err != nil {
		t.Fatal(err)
	}
	defer mounted.Close()
	for _, n := range []node.Node{s.rendered(1), func() node.Node { n := s.rendered(1); n.Pins = nil; return n }()} { // other pins; fewer
		s.install(n, nil)
		got, err := io.ReadAll(io.NewSectionReader(mounted, 0, 1<<20))
		if err != nil || string(got) != string(n.Hosts()) {
			t.Errorf("the member sees %q, %v, want %q", got, err, n.Hosts())
		}
	}
}

func appendTo(path, text string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, text...), 0o644)
}

// Two controllers that deliver at once: whichever comes last, what is there is
// whole.
func TestInstallsAtOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	errs := make([]error, 6)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() {
			_, errs[i] = s.Host().Install(t.Context(), s.host, s.rendered(i), credentials(i), binary, true)
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(s.host.Paths.Config, node.FileName))
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	for i := range errs {
		if s.rendered(i).Digest() == n.Digest() {
			s.wantInstalled(n, credentials(i))
			return
		}
	}
	t.Errorf("member.json is nobody's: %s", b)
}

func TestInstallWaitsForAnother(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.Before = func(string, []string) error { // while this Install is at its first program
		ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("no patience left"))
		defer cancel()
		_, err := s.Host().Install(ctx, s.host, s.rendered(1), nil, binary, true)
		if err == nil || !strings.Contains(err.Error(), "another pleiad is at work") || !strings.Contains(err.Error(), "no patience left") {
			t.Errorf("a second Install: %v, want that the first is at work", err)
		}
		return nil
	}
	s.install(s.rendered(0), credentials(0))
	s.wantInstalled(s.rendered(0), credentials(0))
}
