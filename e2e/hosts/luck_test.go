//go:build unix

package hosts

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"github.com/pleiad-etcd/pleiad/e2e/liar"
	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
	"github.com/pleiad-etcd/pleiad/internal/system/process/processtest"
)

// liar starts a resolver for hosts that are lied to; the truth is what the
// others are told.
func (w *world) liar() (*liar.Liar, netip.Addr) {
	w.Helper()
	addr, err := w.Address(w.Context())
	w.ok(err)
	at := netip.AddrPortFrom(addr, 53)
	udp, err := w.ListenPacket(w.Context(), at)
	w.ok(err)
	tcp, err := w.Listen(w.Context(), at)
	w.ok(err)
	l := liar.Start(liar.Config{UDP: udp, TCP: tcp, Truth: netip.AddrPortFrom(w.Controller(), 53), Dial: w.Dial})
	w.Cleanup(func() {
		if err := l.Close(); err != nil {
			w.Error(err)
		}
	})
	return l, addr
}

// wantAtGate wants a host whose member waits at its gate and says why.
func (w *world) wantAtGate(h *bed.Host, words ...string) {
	w.Helper()
	status := w.on(h, "systemctl status pleiad-member || true")
	for _, word := range append(words, "R3", "activating") {
		if !strings.Contains(status, word) {
			w.Errorf("systemctl status on %s does not say %q:\n%s", h.Name, word, status)
		}
	}
	if out := w.on(h, "ls -d /var/lib/pleiad/data/member 2>/dev/null || true"); out != "" {
		w.Errorf("etcd was started on %s: there is %s", h.Name, out)
	}
}

// R3: a host whose resolver shows half the list starts no member, says so, and
// goes on by itself when it sees the whole. Then a list that was right once:
// that of the cluster before, for two of three hosts, which could be a cluster.
func TestResolverThatLies(t *testing.T) {
	t.Parallel()
	w, o := newWorld(t, 3)
	l, at := w.liar()
	h2, h3 := w.Hosts[1], w.Hosts[2]
	w.ok(h3.SetResolver(t.Context(), at))
	since := w.now()

	l.Tell(serverSRV, wire.TypeSRV, liar.Partial(2))
	up := o.start("up")
	up.says("waits at its gate: R3", serverSRV+` lacks "0 0 2380 etcd-`)
	w.wantAtGate(h3, serverSRV+" lacks")
	up.wantSaid(w.claimed(h3))
	o.must("status").wantSaid("R3", "lacks")
	if !up.running() {
		t.Fatalf("up did not wait: %s", up)
	}
	l.Repent()
	up.ends(0)
	w.wantOne(since)

	w.ok(l.Freeze(t.Context(), serverSRV, wire.TypeSRV))
	o.must("destroy", "--yes")
	w.ok(h2.SetResolver(t.Context(), at))
	since = w.now()
	up = o.start("up")
	up.says("waits at its gate: R3", "which is not expected")
	for _, h := range []*bed.Host{h2, h3} {
		w.eventually("both wait at their gates", time.Minute, func() bool {
			return strings.Contains(w.on(h, "systemctl status pleiad-member || true"), "R3")
		})
		w.wantAtGate(h, "which is not expected")
	}
	if ids := w.formed([]*bed.Host{h2, h3}, since); len(ids) != 0 {
		t.Errorf("cluster IDs %v on hosts that saw no cluster", ids)
	}
	l.Repent()
	up.ends(0)
	w.wantOne(since)
}

// What the gate waits for is also in the error of an up that gives up.
func TestResolverThatLiesOn(t *testing.T) {
	t.Parallel()
	w, o := newWorld(t, 1)
	l, at := w.liar()
	w.ok(w.Hosts[0].SetResolver(t.Context(), at))
	l.Tell(serverSRV, wire.TypeSRV, liar.NoSuchName)
	r := o.refused(1, []string{"waits at its gate: R3", serverSRV + " has no SRV records, want 1"}, "up", "--timeout", "3s")
	if reason, _ := r.reason(); !strings.Contains(reason, "R3") {
		t.Errorf("the reason does not say it: %s", r)
	}
	w.wantAtGate(w.Hosts[0], "has no SRV records")
	l.Repent()
	o.must("up")
}

// A cable is pulled in the midst of sending the program to a host, and the
// controller is cut off from one while its member is started. Nothing is there
// by half, and the same up or the next one ends it.
func TestCutOff(t *testing.T) {
	t.Parallel()
	w, o := newWorld(t, 3)
	var pulling sync.WaitGroup
	for _, c := range []struct {
		name, at  string
		cut, heal func(w *world, h *bed.Host)
	}{
		{"while the program is sent", "before install node ",
			func(w *world, h *bed.Host) { pulling.Go(func() { w.pullWhileSending(h) }) },
			func(w *world, h *bed.Host) {
				pulling.Wait()
				if out := w.on(h, "ls /usr/local/lib/pleiad/*/pleiad 2>/dev/null || true"); out != "" {
					w.Errorf("half of %s arrived", out)
				}
				w.ok(h.Heal(w.Context()))
			}},
		{"while the member is started", "before start member ", (*world).deafen, (*world).undeafen},
		{"after the member was started", "after start member ", (*world).deafen, (*world).undeafen},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.in(t)
			o := o.in(w)
			w.ok(w.Resolve(w.Context())) // the list of the case before is none of this one's trouble
			since := w.now()
			victim := make(chan *bed.Host, 1)
			var once sync.Once
			up := o.startAt(func(_ *run, line string) {
				if member, is := strings.CutPrefix(line, c.at); is {
					once.Do(func() {
						h := w.hostOf(member)
						c.cut(w, h)
						victim <- h
					})
				}
			}, "up", "--timeout", "20s")
			var h *bed.Host
			select {
			case h = <-victim:
			case <-up.ended:
				t.Fatalf("up ended before: %s", up)
			}
			w.eventually("it is noticed", 2*time.Minute, func() bool {
				return !up.running() || up.lacks("  failed  ") == nil
			})
			up.wantSaid(h.Addr.String())
			c.heal(w, h)
			if code := up.end(); code != 0 {
				up.wantOneLine()
				o.must("up")
			}
			w.wantOne(since)
			o.must("health")
			o.must("destroy", "--yes")
		})
	}
}

// pullWhileSending slows a host down, and pulls its cable when it has received
// a part of what is sent to it.
func (w *world) pullWhileSending(h *bed.Host) {
	ctx := context.Background() // whether the test has failed or not
	before, err := h.Traffic(ctx)
	if err == nil {
		err = h.Limit(ctx, "40mbit")
	}
	for now := before; err == nil && now.Received < before.Received+2<<20; {
		time.Sleep(10 * time.Millisecond)
		now, err = h.Traffic(ctx)
	}
	if err := errors.Join(err, h.PullCable(ctx)); err != nil {
		w.Error(err)
	}
}

// deafen cuts the controller off from one host, which keeps its peers and its
// name server.
func (w *world) deafen(h *bed.Host) {
	w.on(h, "nft add table ip deaf && nft add chain ip deaf input '{ type filter hook input priority 0; }' && nft add rule ip deaf input ip saddr "+
		w.Controller().String()+" tcp dport '{ 22, 2379 }' drop")
}

func (w *world) undeafen(h *bed.Host) { w.on(h, "nft delete table ip deaf") }

// up and destroy are killed at every boundary between steps there is, each
// time going on from what the one before left. In the end there is one cluster,
// or nothing at all.
func TestKilledAtEveryBoundary(t *testing.T) {
	t.Parallel()
	w, o := newWorld(t, 3)
	since := w.now()
	if n := o.killedEverywhere("up"); n < 20 {
		t.Errorf("up was killed %d times, want once for each step of 3 members, before and after", n)
	}
	w.wantOne(since)
	o.must("health")
	o.must("up").wantSaid("nothing to do")
	if n := o.killedEverywhere("destroy", "--yes"); n < 10 {
		t.Errorf("destroy was killed %d times", n)
	}
	for _, h := range w.Hosts {
		if out := w.on(h, "ls -d /etc/pleiad /var/lib/pleiad /usr/local/lib/pleiad /etc/systemd/system/pleiad-* 2>/dev/null || true"); out != "" {
			t.Errorf("left on %s: %s", h.Name, out)
		}
	}
	if left := slices.Concat(w.records("_pleiad."+domain, "TXT"), w.records(serverSRV, "SRV")); len(left) != 0 {
		t.Errorf("left in the zone: %v", left)
	}
}

// killedEverywhere runs a command until it ends by itself. It is killed at
// every boundary that it comes to for the first time.
func (o operator) killedEverywhere(args ...string) (kills int) {
	o.Helper()
	var mu sync.Mutex
	seen := map[string]bool{}
	for {
		killed := false
		r := o.startAt(func(r *run, line string) {
			mu.Lock()
			defer mu.Unlock()
			if seen[line] {
				return
			}
			if !killed {
				killed, seen[line] = true, true
				// Gone before the breakpoint lets it go on.
				if err := processtest.Kill(r.cmd.Process.Pid); err != nil {
					o.Error(err)
				}
			}
		}, args...)
		code := r.end()
		if !killed {
			if code != 0 {
				o.Fatalf("after %d kills, exit %d: %s", kills, code, r)
			}
			return kills
		}
		if code != -1 && code != 0 { // it may end before it is killed after its last step
			o.Fatalf("exit %d at kill %d: %s", code, kills, r)
		}
		if kills++; kills > 200 {
			o.Fatalf("no end after %d kills: %v", kills, seen)
		}
	}
}

// A paused host and one without a cable are unknown, with the reason, soon; the
// other three still are what they are.
func TestStatusInTrouble(t *testing.T) {
	t.Parallel()
	w, o := newWorld(t, 5)
	o.must("up")
	paused, cut := w.Hosts[1], w.Hosts[3]
	names := []string{w.claimed(paused), w.claimed(cut)}
	w.ok(paused.Pause(t.Context()))
	w.ok(cut.PullCable(t.Context()))
	r := o.must("status", "--output", "json")
	if r.took > 5*time.Second {
		t.Errorf("status of 5 hosts with 2 in trouble took %s, want at most 5s", r.took.Round(10*time.Millisecond))
	}
	var status struct {
		Hosts []struct{ Name, Address, Health, Detail string }
	}
	w.ok(json.Unmarshal([]byte(r.said.String()), &status))
	if len(status.Hosts) != 5 {
		t.Fatalf("status shows %d hosts, want 5: %s", len(status.Hosts), r)
	}
	for _, h := range status.Hosts {
		trouble := h.Name == names[0] || h.Name == names[1]
		// The others may be about to elect a leader, but they are known.
		if trouble != (h.Health == "unknown") || trouble && !strings.Contains(h.Detail, h.Address) {
			t.Errorf("%s is %s (%s), in trouble: %t", h.Name, h.Health, h.Detail, trouble)
		}
	}
	w.ok(paused.Resume(t.Context()))
	w.ok(cut.Heal(t.Context()))
	o.must("up")
}
