//go:build linux

package systemd_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver/delivertest"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver/delivertest/fakemember"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver/systemd"
)

// at makes a machine do something once, when a program is run on it.
func (m *machine) at(line string, do func()) {
	var once sync.Once
	m.Before = func(program string, args []string) error {
		if strings.HasPrefix(strings.Join(append([]string{program}, args...), " "), line) {
			once.Do(do)
		}
		return nil
	}
}

// A connection that is lost in the middle of a call is an error at once, and
// the next call finishes the work over a new one.
func TestConnectionLost(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, at string
		first    bool // deliver and start before
		call     func(context.Context, *systemd.Deliverer, cluster.Host) error
	}{
		{"Install", "systemctl show", false, func(ctx context.Context, d *systemd.Deliverer, h cluster.Host) error {
			return d.Install(ctx, h, rendered(h), nil, false)
		}},
		{"Start", "systemctl start --no-block", false, func(ctx context.Context, d *systemd.Deliverer, h cluster.Host) error {
			return errors.Join(d.Install(ctx, h, rendered(h), nil, false), d.Start(ctx, h))
		}},
		{"Stop", "systemctl stop", true, func(ctx context.Context, d *systemd.Deliverer, h cluster.Host) error {
			return d.Stop(ctx, h, time.Second)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			h := w.host("etcd-k3v9qd2")
			w.behave(h, fakemember.Behaviour{})
			m := w.machine(h.Address)
			d := w.deliverer()
			if tt.first {
				if err := errors.Join(d.Install(t.Context(), h, rendered(h), nil, false), d.Start(t.Context(), h)); err != nil {
					t.Fatal(err)
				}
			}
			m.at(tt.at, m.hangUp)
			if err := tt.call(t.Context(), d, h); err == nil || strings.Contains(err.Error(), "nothing was delivered") {
				t.Errorf("%s: %v, want the connection lost", tt.name, err)
			}
			before, _ := m.counts()
			if err := tt.call(t.Context(), d, h); err != nil {
				t.Errorf("%s again: %v", tt.name, err)
			}
			if after, _ := m.counts(); after == before {
				t.Errorf("%s again started no agent", tt.name)
			}
			if n, err := d.Inspect(t.Context(), h); err != nil || n.Installed != rendered(h).Digest() || n.Process.Running != (tt.name == "Start") {
				t.Errorf("Inspect: %+v, %v, want it delivered", n, err)
			}
		})
	}
}

// An agent that never greets holds nobody longer than they want to wait.
func TestAgentThatNeverGreets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h := w.host("etcd-k3v9qd2")
	m := w.machine(h.Address)
	m.greets = func(string) string { return "" }
	cause := errors.New("no patience left")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, cause)
	defer cancel()
	if err := w.deliverer().Install(ctx, h, rendered(h), nil, false); !errors.Is(err, cause) {
		t.Errorf("Install: %v, want %v", err, cause)
	}
}

// What an agent was asked for ends on the machine when nobody waits for it any
// more.
func TestLimitReachesTheMachine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h := w.host("etcd-k3v9qd2")
	w.behave(h, fakemember.Behaviour{LateStatus: time.Hour})
	d := w.deliverer()
	if err := d.Install(t.Context(), h, rendered(h), nil, false); err != nil {
		t.Fatal(err)
	}
	cause := errors.New("no patience left")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, cause)
	defer cancel()
	if err := d.Start(ctx, h); err == nil || !errors.Is(err, cause) && !strings.Contains(err.Error(), "not done within") {
		t.Errorf("Start: %v, want the limit", err)
	}
	if err := d.Close(); err != nil { // returns when nothing is under way there
		t.Error(err)
	}
}

// Close leaves no goroutine of a deliverer or an agent.
func TestCloseEndsEverything(t *testing.T) {
	// Not parallel: it looks at all goroutines.
	w := newWorld(t)
	d := systemd.New(func(way cluster.Way) systemd.Machine { return w.machine(way.Address) }, w.builds)
	var list []cluster.Host
	for _, name := range []cluster.MemberName{"etcd-aaaaaa1", "etcd-aaaaaa2", "etcd-aaaaaa3"} {
		list = append(list, w.host(name))
	}
	var group sync.WaitGroup
	for i, h := range list {
		group.Go(func() {
			if err := d.Install(t.Context(), h, rendered(h), nil, false); err != nil {
				t.Error(err)
			}
			if i == 1 {
				w.machine(h.Address).hangUp()
			}
		})
	}
	group.Wait()
	if n := goroutines("internal/onhost/agent.", "systemd.("); n == 0 {
		t.Error("no agent runs before Close: this test sees nothing")
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if n := goroutines("internal/onhost/agent.", "systemd.("); n != 0 {
		t.Errorf("%d goroutines are left after Close", n)
	}
}

// goroutines counts those in which a function of these names runs.
func goroutines(names ...string) (n int) {
	buffer := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(buffer[:runtime.Stack(buffer, true)]), "\n\n") {
		for _, name := range names {
			if strings.Contains(stack, name) {
				n++
				break
			}
		}
	}
	return n
}

func TestStartSaysWhyItDied(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		behaviour fakemember.Behaviour
		says      string
	}{
		"before it said who it is": {fakemember.Behaviour{Die: "exec format error or so"}, "systemd says exit-code; see journalctl -u " + node.UnitName},
		"with a last word":         {fakemember.Behaviour{Behaviour: delivertest.Behaviour{Refuse: "R6: its data directory is empty"}}, "R6: its data directory is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			h := w.host("etcd-k3v9qd2")
			w.behave(h, tt.behaviour)
			d := w.deliverer()
			if err := d.Install(t.Context(), h, rendered(h), nil, false); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := d.Start(t.Context(), h); err == nil || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("Start: %v, want %q", err, tt.says)
				}
			}
		})
	}
}

// systemd knows a unit whose file is gone.
func TestStopWithoutAUnitFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h := w.host("etcd-k3v9qd2")
	w.behave(h, fakemember.Behaviour{})
	d := w.deliverer()
	if err := errors.Join(d.Install(t.Context(), h, rendered(h), nil, false), d.Start(t.Context(), h)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(w.machine(h.Address).Path(node.UnitFile)); err != nil {
		t.Fatal(err)
	}
	if err := d.Stop(t.Context(), h, time.Second); err != nil {
		t.Fatal(err)
	}
	if n, err := d.Inspect(t.Context(), h); err != nil || n.Process.Running {
		t.Errorf("Inspect: %+v, %v, want no process", n.Process, err)
	}
}

// A member comes up with its machine from its first start on, sealed or not.
func TestStartEnables(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h := w.host("etcd-k3v9qd2")
	w.behave(h, fakemember.Behaviour{})
	n := rendered(h)
	n.Sealed = false
	d := w.deliverer()
	if err := d.Install(t.Context(), h, n, nil, false); err != nil {
		t.Fatal(err)
	}
	link := w.machine(h.Address).Path("/etc/systemd/system/multi-user.target.wants/" + node.UnitName)
	if _, err := os.Lstat(link); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("before its first start: %v, want it not enabled", err)
	}
	if err := d.Start(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(link); err != nil || to != w.machine(h.Address).Path(node.UnitFile) {
		t.Errorf("after its first start: it leads to %q, %v, want the unit", to, err)
	}
}
