// Package agenttest is a machine with systemd for tests: a folder that an agent
// takes for the machine's root, and stand-ins for systemctl, journalctl and the
// programs for disks. It needs no root and touches nothing else.
//
// [New] first; [Machine.Host] is what an agent works on. Units are started as
// child processes where [Machine.Member] says of which program; a unit that
// ended is not started again by itself: systemd waits a second before that, and
// no test waits so long.
package agenttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/onhost/agent"
)

// Machine is a machine. Its fields may be set until it is used.
type Machine struct {
	Root string
	// Member is the command line that stands for `pleiad member` of a folder.
	Member func(config string) []string
	// Before is asked before each program is run; its error is the program's.
	Before func(program string, args []string) error
	// Forgetful is a systemd that reads a unit only when it reads all of them,
	// as old ones do where another unit wants it.
	Forgetful bool
	// Devices are the machine's disks, by their path.
	Devices map[string]*Device

	mu      sync.Mutex // guards what follows
	calls   []string
	loaded  string // the unit as systemd has read it
	running *running
	ended   string // "" or how the last process ended: "failed" or "inactive"
}

// running is the member's process.
type running struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// Device is a disk.
type Device struct {
	UUID      string   // of its file system; empty for none
	Signature string   // what blkid says of it otherwise
	Ambiguous bool     // blkid cannot tell
	Mount     string   // where it is mounted
	Parts     []string // what lies on it or is made of it
	Made      int      // how often a file system was made
}

// New is a machine that has just been set up and claimed. What runs on it ends with the
// test.
func New(t testing.TB) *Machine {
	m := &Machine{Root: t.TempDir(), Devices: map[string]*Device{}}
	m.Write(t, node.SystemHosts, "127.0.0.1 localhost\n")
	for _, dir := range []string{"/run/systemd/system", node.ClaimFolder, filepath.Dir(node.UnitFile), filepath.Dir(node.StateFolder), filepath.Dir(node.BinaryFolder)} {
		if err := os.MkdirAll(m.Path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if r := m.process(); r != nil {
			_ = r.cmd.Process.Kill() // it may have ended by itself
			<-r.done
		}
	})
	return m
}

// Path is where a path of the machine really is.
func (m *Machine) Path(path string) string { return filepath.Join(m.Root, path) }

// Paths are those of the machine's member.
func (m *Machine) Paths() cluster.Paths {
	p := node.MachinePaths()
	return cluster.Paths{Config: m.Path(p.Config), Data: m.Path(p.Data)}
}

// Write writes a file of the machine's.
func (m *Machine) Write(t testing.TB, path, content string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(m.Path(path)), 0o755)
	if err == nil {
		err = os.WriteFile(m.Path(path), []byte(content), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Host is the machine as its agent sees it.
func (m *Machine) Host() *agent.Host {
	return &agent.Host{Root: m.Root, Run: m.Run,
		User: func(ctx context.Context, create bool) (agent.User, error) {
			return agent.User{UID: -1, GID: -1}, context.Cause(ctx)
		}}
}

// Calls are the programs that were run, with their arguments, since it was last
// asked.
func (m *Machine) Calls() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer func() { m.calls = nil }()
	return m.calls
}

// exit is how a program ends that did not succeed.
type exit struct {
	code int
	said string
}

func (e *exit) Error() string { return fmt.Sprintf("exit status %d: %s", e.code, e.said) }
func (e *exit) ExitCode() int { return e.code }

// Run is the machine's way to run its own programs.
func (m *Machine) Run(ctx context.Context, program string, args ...string) (string, error) {
	line := strings.Join(append([]string{program}, args...), " ")
	m.mu.Lock()
	m.calls = append(m.calls, line)
	m.mu.Unlock()
	out, err := "", context.Cause(ctx)
	if err == nil && m.Before != nil {
		err = m.Before(program, args)
	}
	if err == nil {
		out, err = m.run(ctx, program, args)
	}
	if err != nil {
		return out, fmt.Errorf("%s: %w", line, err)
	}
	return out, nil
}

func (m *Machine) run(ctx context.Context, program string, args []string) (string, error) {
	switch program {
	case "systemctl":
		return m.systemctl(ctx, args)
	case "journalctl":
		b, err := os.ReadFile(m.Path("/journal"))
		if errors.Is(err, fs.ErrNotExist) {
			return "", nil
		}
		return string(b), err
	case "lsblk", "blkid", "mkfs.ext4", "wipefs":
		return m.disk(program, args)
	}
	return "", fmt.Errorf("exec: %q: executable file not found in $PATH", program)
}

func (m *Machine) systemctl(ctx context.Context, args []string) (string, error) {
	verb, unit := args[0], args[len(args)-1]
	now := slices.Contains(args, "--now")
	if m.Loaded() == "" && !m.Forgetful { // systemd reads a unit that it does not know when it is asked about it
		if err := m.reload(); err != nil {
			return "", err
		}
	}
	switch verb {
	case "daemon-reload":
		return "", m.reload()
	case "enable":
		if err := m.link(unit); err != nil {
			return "", err
		}
		if !now {
			return "", nil
		}
		return "", m.start(unit)
	case "start":
		return "", m.start(unit)
	case "disable":
		if err := os.Remove(m.wants(unit)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if !now {
			return "", nil
		}
		return "", m.stop(ctx, unit, false)
	case "stop":
		return "", m.stop(ctx, unit, false)
	case "kill":
		return "", m.stop(ctx, unit, true)
	case "show":
		return m.show(), nil
	case "reset-failed":
		m.mu.Lock()
		defer m.mu.Unlock()
		m.ended = ""
		return "", nil
	}
	return "", &exit{1, "Unknown command verb " + verb}
}

func (m *Machine) wants(unit string) string {
	return m.Path(filepath.Join("/etc/systemd/system/multi-user.target.wants", unit))
}

func (m *Machine) reload() error {
	b, err := os.ReadFile(m.Path(node.UnitFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loaded = string(b)
	return nil
}

func (m *Machine) link(unit string) error {
	file := m.Path("/etc/systemd/system/" + unit)
	if _, err := os.Stat(file); err != nil {
		return &exit{1, "Failed to enable unit: Unit file " + unit + " does not exist."}
	}
	if err := os.MkdirAll(filepath.Dir(m.wants(unit)), 0o755); err != nil {
		return err
	}
	if err := os.Symlink(file, m.wants(unit)); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// start starts a unit without waiting for it to be ready.
func (m *Machine) start(unit string) error {
	if unit == node.MountName {
		return m.mount()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.running != nil || m.Member == nil {
		return nil
	}
	_, rest, found := strings.Cut(m.loaded, " member --dir ")
	if !found {
		return &exit{5, "Unit " + unit + " not found."}
	}
	config, _, _ := strings.Cut(strings.TrimSpace(strings.SplitN(rest, "\n", 2)[0]), " ")
	argv := m.Member(config)
	journal, err := os.OpenFile(m.Path("/journal"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer journal.Close()
	r := &running{cmd: exec.Command(argv[0], argv[1:]...), done: make(chan struct{})}
	r.cmd.Stdout, r.cmd.Stderr = journal, journal
	if err := r.cmd.Start(); err != nil {
		return err
	}
	m.running, m.ended = r, ""
	go m.reap(r)
	return nil
}

// reap notes how a process ended; it lives as long as the process.
func (m *Machine) reap(r *running) {
	err := r.cmd.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running, m.ended = nil, "inactive"
	if err != nil {
		m.ended = "failed"
	}
	close(r.done)
}

func (m *Machine) process() *running {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.running
}

// stop asks a unit to end and waits for that, or ends it by force and does not
// wait, as systemctl does.
func (m *Machine) stop(ctx context.Context, unit string, force bool) error {
	if unit == node.MountName {
		return m.unmount()
	}
	r := m.process()
	if r == nil {
		return nil
	}
	if force {
		_ = r.cmd.Process.Kill() // it may have ended
		return nil
	}
	_ = terminate(r.cmd.Process) // it may have ended
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (m *Machine) show() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	state, sub, result, pid := "inactive", "dead", "success", 0
	switch {
	case m.running != nil:
		state, sub, pid = "activating", "start", m.running.cmd.Process.Pid
	case m.ended == "failed":
		state, sub, result = "failed", "failed", "exit-code"
	}
	load := "loaded"
	if m.loaded == "" {
		load = "not-found"
	}
	return fmt.Sprintf("ActiveState=%s\nSubState=%s\nResult=%s\nMainPID=%d\nLoadState=%s\n", state, sub, result, pid, load)
}

// Files are all that is on the machine but its journal: path to content, and
// for a link where it leads.
func (m *Machine) Files(t testing.TB) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(m.Root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == m.Path("/journal") {
			return err
		}
		name := strings.TrimPrefix(path, m.Root)
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			out[name+"/"] = info.Mode().String()
		case d.Type() == fs.ModeSymlink:
			out[name], err = os.Readlink(path)
		default:
			var b []byte
			b, err = os.ReadFile(path)
			out[name] = info.Mode().String() + " " + string(bytes.TrimSpace(b))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Loaded is the member's unit as systemd has read it.
func (m *Machine) Loaded() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.loaded
}
