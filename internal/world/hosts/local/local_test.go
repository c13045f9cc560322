package local_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/onhost/member"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts/hoststest"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts/local"
)

const (
	dev   = cluster.Name("dev")
	name  = cluster.MemberName("etcd-k3v9qd2")
	token = cluster.Token("8f2c6a0e8f2c6a0e")
)

// TestMain lets this binary play a second command: launch the hosts named
// after "launch ROOT CLUSTER" and end.
func TestMain(m *testing.M) {
	if len(os.Args) > 3 && os.Args[1] == "launch" {
		if err := launchAll(os.Args[2], cluster.Name(os.Args[3]), os.Args[4:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func launchAll(root string, c cluster.Name, names []string) error {
	p, err := local.New(root, c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, n := range names {
		if err := p.Launch(ctx, cluster.MemberName(n), token); err != nil {
			return err
		}
	}
	return nil
}

func provider(t *testing.T, root string) *local.Provider {
	t.Helper()
	p, err := local.New(root, dev)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// launched is a root with one host, and that host.
func launched(t *testing.T) (root string, p *local.Provider, h cluster.Host) {
	t.Helper()
	root = filepath.Join(t.TempDir(), "dev")
	p = provider(t, root)
	if err := p.Launch(t.Context(), name, token); err != nil {
		t.Fatal(err)
	}
	l, err := p.List(t.Context())
	if err != nil || len(l.Hosts) != 1 {
		t.Fatalf("List = %v, %v, want one host", l, err)
	}
	return root, p, l.Hosts[0]
}

func TestConformance(t *testing.T) {
	hoststest.Run(t, func(t *testing.T) hoststest.World {
		state := t.TempDir()
		claim := func(c cluster.Name, h cluster.Host) string {
			return filepath.Join(state, string(c), "hosts", string(h.Name), "host.json")
		}
		return hoststest.World{
			Provider: func(c cluster.Name) hosts.Provider {
				p, err := local.New(filepath.Join(state, string(c)), c)
				if err != nil {
					t.Fatal(err)
				}
				return p
			},
			Member: func(_ cluster.Name, h cluster.Host) func() {
				l, err := process.Acquire(filepath.Join(h.Paths.Config, "lock"))
				if err != nil {
					t.Fatal(err)
				}
				return func() { l.Release() }
			},
			Data: func(c cluster.Name, h cluster.Host) func() hoststest.Where {
				const file = "member/wal"
				write(t, filepath.Join(h.Paths.Data, file), []byte(h.Name))
				return func() hoststest.Where {
					kept := filepath.Join(state, string(c), local.KeptFolder, fmt.Sprintf("%s-%s", h.Name, h.Token), file)
					for path, is := range map[string]hoststest.Where{filepath.Join(h.Paths.Data, file): hoststest.OnHost, kept: hoststest.Kept} {
						if b, err := os.ReadFile(path); err == nil && string(b) == string(h.Name) {
							return is
						}
					}
					return hoststest.Deleted
				}
			},
			Obscure: func(c cluster.Name, h cluster.Host) func() {
				ours, err := os.ReadFile(claim(c, h))
				if err != nil {
					t.Fatal(err)
				}
				write(t, claim(c, h), bytes.Replace(ours, []byte(`"cluster": "dev"`), []byte(`"cluster": "prod"`), 1))
				return func() { write(t, claim(c, h), ours) }
			},
		}
	})
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

// tree is every path below a folder with the content of files, to compare.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			out[path] = "folder"
			return err
		}
		b, err := os.ReadFile(path)
		out[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPathsAndPermissions(t *testing.T) {
	root, _, h := launched(t)
	folder := filepath.Join(root, "hosts", string(name))
	want := cluster.Paths{Config: filepath.Join(folder, "config"), Data: filepath.Join(folder, "data"), Log: filepath.Join(folder, "etcd.log")}
	if h.Paths != want {
		t.Errorf("paths are %+v, want %+v", h.Paths, want)
	}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is open to others: %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if !h.Address.IsLoopback() {
		t.Errorf("address %v is not on loopback", h.Address)
	}
}

// A Launch may be cut short before its one rename, at any of these points.
func TestLaunchCutShort(t *testing.T) {
	for _, c := range []struct {
		after string
		make  func(t *testing.T, folder string)
	}{
		{"mkdir folder", func(t *testing.T, f string) { mkdir(t, f) }},
		{"mkdir config", func(t *testing.T, f string) { mkdir(t, filepath.Join(f, "config")) }},
		{"half of host.json.new", func(t *testing.T, f string) {
			mkdir(t, filepath.Join(f, "config"))
			write(t, filepath.Join(f, "host.json.new"), []byte(`{"version": 1, "clu`))
		}},
	} {
		half := func(t *testing.T) (string, *local.Provider) {
			root := filepath.Join(t.TempDir(), "dev")
			folder := filepath.Join(root, "hosts", string(name))
			c.make(t, folder)
			p := provider(t, root)
			if l, err := p.List(t.Context()); err != nil || len(l.Hosts) != 0 {
				t.Errorf("List = %v, %v, want none: it never became a host", l, err)
			}
			return folder, p
		}
		t.Run(c.after+", then Launch", func(t *testing.T) {
			folder, p := half(t)
			if err := p.Launch(t.Context(), name, token); err != nil {
				t.Fatal(err)
			}
			if l, err := p.List(t.Context()); err != nil || len(l.Hosts) != 1 {
				t.Errorf("List = %v, %v, want the host", l, err)
			}
			if _, err := os.Stat(filepath.Join(folder, "host.json.new")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("host.json.new is still there: %v", err)
			}
		})
		t.Run(c.after+", then Sweep", func(t *testing.T) {
			folder, p := half(t)
			if err := p.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("folder is still there: %v", err)
			}
		})
		t.Run(c.after+", then Terminate", func(t *testing.T) {
			folder, p := half(t)
			if err := p.Terminate(t.Context(), cluster.Host{Name: name}, hosts.DeleteData); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("folder is still there: %v", err)
			}
		})
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

// A Terminate may be cut short after its one rename, at any point of removing.
func TestTerminateCutShort(t *testing.T) {
	for _, remains := range []string{"all", "data", "host.json", "nothing"} {
		half := func(t *testing.T) (hostsFolder string, p *local.Provider) {
			root, p, h := launched(t)
			write(t, filepath.Join(h.Paths.Data, "member", "wal", "0.wal"), []byte("log"))
			folder, gone := filepath.Dir(h.Paths.Data), filepath.Join(root, "hosts", ".terminated-"+string(name))
			if err := os.Rename(folder, gone); err != nil {
				t.Fatal(err)
			}
			for _, e := range []string{"data", "config", "host.json"} {
				if remains != "all" && remains != e {
					if err := os.RemoveAll(filepath.Join(gone, e)); err != nil {
						t.Fatal(err)
					}
				}
			}
			if l, err := p.List(t.Context()); err != nil || len(l.Hosts) != 0 {
				t.Errorf("List = %v, %v, want none: the host was terminated", l, err)
			}
			return filepath.Join(root, "hosts"), p
		}
		finish := map[string]func(*testing.T, *local.Provider) error{
			"Terminate": func(t *testing.T, p *local.Provider) error {
				return p.Terminate(t.Context(), cluster.Host{Name: name}, hosts.DeleteData)
			},
			"Sweep": func(t *testing.T, p *local.Provider) error { return p.Sweep(t.Context()) },
		}
		for by, f := range finish {
			t.Run(remains+" remains, then "+by, func(t *testing.T) {
				folder, p := half(t)
				if err := f(t, p); err != nil {
					t.Fatal(err)
				}
				if by == "Sweep" { // which takes the folder along with the last host
					if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
						t.Errorf("%s is still there: %v", folder, err)
					}
					return
				}
				want := []string{folder, filepath.Join(folder, ".lock")}
				if got := slices.Sorted(maps.Keys(tree(t, folder))); !slices.Equal(got, want) {
					t.Errorf("left over: %v, want %v", got, want)
				}
			})
		}
	}
}

// At no moment is there a host in List that has lost some of its data: it would
// be taken for one to start, or for one whose disk failed.
func TestTerminateIsOneInstant(t *testing.T) {
	_, p, h := launched(t)
	for i := range 500 {
		write(t, filepath.Join(h.Paths.Data, fmt.Sprint(i)), nil)
	}
	done := make(chan error, 1)
	go func() { done <- p.Terminate(t.Context(), cluster.Host{Name: name}, hosts.DeleteData) }()
	for listed := true; listed; {
		files, err := os.ReadDir(h.Paths.Data)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		l, err := p.List(t.Context())
		if err != nil {
			t.Error(err)
		}
		if listed = len(l.Hosts) == 1; listed && len(files) < 500 {
			t.Errorf("a host in List has %d of its 500 files", len(files))
			break
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A second host of one name while the first is half removed is not what a
// planner does (rule R6), but must not end in a mixture.
func TestTerminateOverAnUnfinishedOne(t *testing.T) {
	root, p, h := launched(t)
	write(t, filepath.Join(root, "hosts", ".terminated-"+string(name), "data", "old"), nil)
	if err := p.Terminate(t.Context(), cluster.Host{Name: name}, hosts.DeleteData); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Dir(h.Paths.Data), filepath.Join(root, "hosts", ".terminated-"+string(name))} {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", path, err)
		}
	}
}

// R14: a host whose host.json was lost keeps its data, whatever is called.
func TestDataWithoutClaimIsKept(t *testing.T) {
	for _, file := range []string{"data/member/wal/0.wal", "config/member.json", "born.json"} {
		root, p, _ := launched(t)
		folder := filepath.Join(root, "hosts", string(name))
		write(t, filepath.Join(folder, filepath.FromSlash(file)), []byte("x"))
		if err := os.Remove(filepath.Join(folder, "host.json")); err != nil {
			t.Fatal(err)
		}
		before := tree(t, folder)
		if l, err := p.List(t.Context()); err != nil || len(l.Hosts) != 0 || len(l.Places) != 1 || l.Places[0].Member != name || !strings.Contains(l.Places[0].Unknown, "host.json") {
			t.Errorf("%s: List: %+v, %v, want one place of %s that is unknown", file, l, err, name)
		}
		if err := p.Launch(t.Context(), name, token); !errors.Is(err, hosts.ErrForeign) {
			t.Errorf("%s: Launch: %v, want ErrForeign", file, err)
		}
		if err := p.Terminate(t.Context(), cluster.Host{Name: name}, hosts.DeleteData); !errors.Is(err, hosts.ErrForeign) {
			t.Errorf("%s: Terminate: %v, want ErrForeign", file, err)
		}
		if err := p.Sweep(t.Context()); err != nil {
			t.Errorf("%s: Sweep: %v", file, err)
		}
		if after := tree(t, folder); !maps.Equal(before, after) {
			t.Errorf("%s: folder was changed: %v, want %v", file, after, before)
		}
	}
}

// R10: what somebody else put there is neither a host nor changed.
func TestForeignClaim(t *testing.T) {
	for what, c := range map[string]struct {
		content string
		want    string // in the error
		foreign bool
	}{
		"other cluster": {`{"version":1,"cluster":"prod","name":"etcd-k3v9qd2","token":"t","address":"127.9.9.9","ports":{"peer":1,"client":2,"metrics":3}}`, `cluster "prod"`, true},
		"other name":    {`{"version":1,"cluster":"dev","name":"etcd-xxxxxxx","token":"t","address":"127.9.9.9","ports":{"peer":1,"client":2,"metrics":3}}`, `host "etcd-xxxxxxx"`, true},
		"no JSON":       {`hello`, "no host file", true},
		"no address":    {`{"version":1,"cluster":"dev","name":"etcd-k3v9qd2","token":"t"}`, "no host file", true},
		"public address": {`{"version":1,"cluster":"dev","name":"etcd-k3v9qd2","token":"t","address":"10.0.0.1","ports":{"peer":1,"client":2,"metrics":3}}`,
			"no host file", true},
		"newer version": {`{"version":2,"cluster":{"new":"form"}}`, "newer pleiad", false},
	} {
		t.Run(what, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "dev")
			p := provider(t, root)
			write(t, filepath.Join(root, "hosts", string(name), "host.json"), []byte(c.content))
			write(t, filepath.Join(root, "hosts", string(name), "data", "x"), nil)
			before := tree(t, filepath.Join(root, "hosts", string(name)))
			l, listErr := p.List(t.Context())
			if listErr != nil || len(l.Hosts) != 0 || len(l.Places) != 1 || l.Places[0].Member != name || !strings.Contains(l.Places[0].Unknown, c.want) {
				t.Errorf("List: %+v, %v, want one place of %s that is unknown", l, listErr, name)
			}
			for act, err := range map[string]error{
				"Launch": p.Launch(t.Context(), name, token), "Terminate": p.Terminate(t.Context(), cluster.Host{Name: name}, hosts.DeleteData),
			} {
				if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, hosts.ErrForeign) != c.foreign {
					t.Errorf("%s: %v, want %q, ErrForeign %v", act, err, c.want, c.foreign)
				}
			}
			if err := p.Sweep(t.Context()); err != nil {
				t.Error(err)
			}
			if after := tree(t, filepath.Join(root, "hosts", string(name))); !maps.Equal(before, after) {
				t.Errorf("folder was changed: %v, want %v", after, before)
			}
		})
	}
}

func TestStrayFilesAreLeftAlone(t *testing.T) {
	root, p, h := launched(t)
	stray := []string{filepath.Join(root, "hosts", "README"), filepath.Join(root, "hosts", "etcd-zzzzzzz"), filepath.Join(root, "hosts", "notes", "todo")}
	for _, f := range stray {
		write(t, f, []byte("mine"))
	}
	if err := p.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
	if err := p.Terminate(t.Context(), cluster.Host{Name: "etcd-zzzzzzz"}, hosts.DeleteData); err != nil {
		t.Error(err)
	}
	if err := p.Launch(t.Context(), "etcd-zzzzzzz", token); err == nil {
		t.Error("Launch over a file: nil, want an error")
	}
	if l, err := p.List(t.Context()); err != nil || len(l.Hosts) != 1 || l.Hosts[0].Name != h.Name {
		t.Errorf("List = %v, %v, want %s only", l, err, h.Name)
	}
	for _, f := range stray {
		if _, err := os.Stat(f); err != nil {
			t.Error(err)
		}
	}
}

func TestNamesStayInsideTheFolder(t *testing.T) {
	root, p, _ := launched(t)
	victim := filepath.Join(filepath.Dir(root), "victim", "host.json")
	write(t, victim, []byte("x"))
	for _, bad := range []cluster.MemberName{"", ".", "..", "../../victim", ".lock", "A", "a/b", "-a"} {
		if err := p.Launch(t.Context(), bad, token); err == nil {
			t.Errorf("Launch %q: nil, want an error", bad)
		}
		if err := p.Terminate(t.Context(), cluster.Host{Name: bad}, hosts.DeleteData); err == nil {
			t.Errorf("Terminate %q: nil, want an error", bad)
		}
	}
	if _, err := os.Stat(victim); err != nil {
		t.Error(err)
	}
	if _, err := local.New("relative", dev); err == nil {
		t.Error("New with a relative root: nil, want an error")
	}
}

// What cannot be written is an error that names the place, and leaves no host.
// A file in place of a folder stands for all kinds of unwritable places: unlike
// permissions it also stops root.
func TestPlaceThatCannotBeWritten(t *testing.T) {
	base := t.TempDir()
	root := filepath.Join(base, "dev")
	write(t, root, nil)
	p := provider(t, root)
	err := p.Launch(t.Context(), name, token)
	if err == nil || !strings.Contains(err.Error(), root) || !strings.Contains(err.Error(), string(name)) {
		t.Errorf("Launch: %v, want an error with %s and %s", err, root, name)
	}
	if err := os.Remove(root); err != nil {
		t.Fatal(err)
	}
	mkdir(t, filepath.Join(root, "hosts", string(name), "host.json.new", "in the way"))
	if err := p.Launch(t.Context(), name, token); err == nil {
		t.Error("Launch that cannot write host.json: nil, want an error")
	}
	if l, err := p.List(t.Context()); err != nil || len(l.Hosts) != 0 {
		t.Errorf("List = %v, %v, want none", l, err)
	}
}

// Two commands and two clusters at the same time never take one address.
func TestProcessesRace(t *testing.T) {
	state := t.TempDir()
	var commands []*exec.Cmd
	for _, c := range []cluster.Name{"a", "b"} {
		for i := range 3 {
			args := []string{"launch", filepath.Join(state, string(c)), string(c)}
			for j := range 4 {
				args = append(args, fmt.Sprintf("etcd-aaaaaa%d", (i+j)%6+2)) // most are launched by two or three
			}
			cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
			cmd.Stderr = &bytes.Buffer{}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			commands = append(commands, cmd)
		}
	}
	for _, cmd := range commands {
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v: %s", cmd.Args[1:], err, cmd.Stderr)
		}
	}
	taken := map[string]string{}
	for _, c := range []cluster.Name{"a", "b"} {
		p, err := local.New(filepath.Join(state, string(c)), c)
		if err != nil {
			t.Fatal(err)
		}
		l, err := p.List(t.Context())
		if err != nil || len(l.Hosts) != 6 {
			t.Errorf("cluster %s: List = %d hosts, %v, want 6", c, len(l.Hosts), err)
		}
		for _, h := range l.Hosts {
			at := fmt.Sprintf("%s:%d", h.Address, h.Ports.Peer)
			if other := taken[at]; other != "" {
				t.Errorf("%s is %s's and %s's of %s", at, other, h.Name, c)
			}
			taken[at] = string(h.Name)
		}
	}
}

func TestTerminateWithoutConfigFolder(t *testing.T) {
	_, p, h := launched(t)
	if err := os.RemoveAll(h.Paths.Config); err != nil {
		t.Fatal(err)
	}
	if err := p.Terminate(t.Context(), cluster.Host{Name: name}, hosts.DeleteData); err != nil {
		t.Fatal(err)
	}
	if l, err := p.List(t.Context()); err != nil || len(l.Hosts) != 0 {
		t.Errorf("List = %v, %v, want none", l, err)
	}
}

// host.json is read by later versions: its form is a promise.
func TestClaimForm(t *testing.T) {
	_, _, h := launched(t)
	b, err := os.ReadFile(filepath.Join(filepath.Dir(h.Paths.Config), "host.json"))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if want := []string{"address", "cluster", "folder", "name", "ports", "token", "version"}; !slices.Equal(slices.Sorted(maps.Keys(got)), want) {
		t.Errorf("keys are %v, want %v", slices.Sorted(maps.Keys(got)), want)
	}
}

// A Sweep removes the folder of all hosts with the last one, and must not trip
// a Launch that waits for the lock in it.
func TestSweepBesideLaunch(t *testing.T) {
	root := filepath.Join(t.TempDir(), "dev")
	sweeper, p := provider(t, root), provider(t, root)
	swept := make(chan error, 1)
	go func() {
		var err error
		for range 200 {
			err = errors.Join(err, sweeper.Sweep(t.Context()))
		}
		swept <- err
	}()
	for len(swept) == 0 {
		if err := errors.Join(p.Launch(t.Context(), name, token), p.Terminate(t.Context(), cluster.Host{Name: name}, hosts.DeleteData)); err != nil {
			t.Error(err)
			break
		}
	}
	if err := <-swept; err != nil {
		t.Errorf("Sweep: %v", err)
	}
}

// A status holds what a process waits for, which may be a long text; a member
// that runs from the original must be seen all the same.
func TestLivingReadsLongStatus(t *testing.T) {
	_, p, h := launched(t)
	self, err := process.Self()
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(member.Status{Version: member.StatusVersion, Process: self, Folder: "another", Gate: strings.Repeat("wait ", 2000)})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(h.Paths.Config, member.StatusFile), b)
	if alive, err := p.Living(t.Context()); err != nil || alive[name] != self.PID {
		t.Errorf("Living = %v, %v, want %s as process %d", alive, err, name, self.PID)
	}
}
