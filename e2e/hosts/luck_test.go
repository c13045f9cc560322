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
)

// liar starts a resolver for hosts that are lied to; the truth is what the
// others are told.
func (w *luckWorld) liar() (*liar.Liar, netip.Addr) {
	w.Helper()
	at := netip.AddrPortFrom(w.address(), 53)
	udp, err := w.lab.ListenPacket(w.Context(), at)
	w.check(err)
	tcp, err := w.lab.Listen(w.Context(), at)
	w.check(err)
	l := liar.Start(liar.Config{UDP: udp, TCP: tcp, Truth: netip.AddrPortFrom(w.lab.Controller(), 53), Dial: w.lab.Dial})
	w.Cleanup(func() {
		if err := l.Close(); err != nil {
			w.Error(err)
		}
	})
	return l, at.Addr()
}

// wantAtGate wants a host whose member waits at its gate and says why.
func (w *luckWorld) wantAtGate(h *bed.Host, words ...string) {
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
	w := newLuckWorld(t, 3)
	o := w.operator("a", w.spec(w.lab.Hosts))
	l, at := w.liar()
	h2, h3 := w.lab.Hosts[1], w.lab.Hosts[2]
	w.check(h3.SetResolver(t.Context(), at))
	since := w.now()

	l.Tell(luckPeers, wire.TypeSRV, liar.Partial(2))
	up := o.start("up")
	up.says("waits at its gate: R3", luckPeers+` lacks "0 0 2380 etcd-`)
	w.wantAtGate(h3, luckPeers+" lacks")
	up.wantSaid(w.claimed(h3))
	o.must("status").wantSaid("R3", "lacks")
	if !up.running() {
		t.Fatalf("up did not wait: %s", up)
	}
	l.Repent()
	up.ends(0)
	w.wantOne(w.lab.Hosts, since)

	w.check(l.Freeze(t.Context(), luckPeers, wire.TypeSRV))
	o.must("destroy", "--yes")
	w.check(h2.SetResolver(t.Context(), at))
	since = w.now()
	up = o.start("up")
	up.says("waits at its gate: R3", "too many")
	for _, h := range []*bed.Host{h2, h3} {
		w.eventually(time.Minute, "both wait at their gates", func() bool {
			return strings.Contains(w.on(h, "systemctl status pleiad-member || true"), "R3")
		})
		w.wantAtGate(h, "too many")
	}
	if ids := w.formed([]*bed.Host{h2, h3}, since); len(ids) != 0 {
		t.Errorf("cluster IDs %v on hosts that saw no cluster", ids)
	}
	l.Repent()
	up.ends(0)
	w.wantOne(w.lab.Hosts, since)
}

// What the gate waits for is also in the error of an up that gives up.
func TestResolverThatLiesOn(t *testing.T) {
	t.Parallel()
	w := newLuckWorld(t, 1)
	o := w.operator("a", w.spec(w.lab.Hosts))
	l, at := w.liar()
	w.check(w.lab.Hosts[0].SetResolver(t.Context(), at))
	l.Tell(luckPeers, wire.TypeSRV, liar.NoSuchName)
	r := o.refused(1, []string{"waits at its gate: R3", luckPeers + " has no SRV records, want 1"}, "up", "--timeout", "3s")
	if !strings.Contains(r.reason(), "R3") {
		t.Errorf("the reason does not say it: %s", r)
	}
	w.wantAtGate(w.lab.Hosts[0], "has no SRV records")
	l.Repent()
	o.must("up")
}

// A cable is pulled in the midst of sending the program to a host, and the
// controller is cut off from one while its member is started. Nothing is there
// by half, and the same up or the next one ends it.
func TestCutOff(t *testing.T) {
	t.Parallel()
	w := newLuckWorld(t, 3)
	o := w.operator("a", w.spec(w.lab.Hosts))
	var pulling sync.WaitGroup
	for _, c := range []struct {
		name, at  string
		cut, heal func(w *luckWorld, h *bed.Host)
	}{
		{"while the program is sent", "before install node ",
			func(w *luckWorld, h *bed.Host) { pulling.Go(func() { w.pullWhileSending(h) }) },
			func(w *luckWorld, h *bed.Host) {
				pulling.Wait()
				if out := w.on(h, "ls /usr/local/lib/pleiad/*/pleiad 2>/dev/null || true"); out != "" {
					w.Errorf("half of %s arrived", out)
				}
				w.check(h.Heal(w.Context()))
			}},
		{"while the member is started", "before start member ", (*luckWorld).deafen, (*luckWorld).undeafen},
		{"after the member was started", "after start member ", (*luckWorld).deafen, (*luckWorld).undeafen},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, o := w.in(t), o.in(t)
			since := w.now()
			victim := make(chan *bed.Host, 1)
			var once sync.Once
			up := o.startAt(func(_ *luckRun, line string) {
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
			w.eventually(2*time.Minute, "it is noticed", func() bool {
				return !up.running() || strings.Contains(up.said.String(), "  failed  ")
			})
			up.wantSaid(h.Addr.String())
			c.heal(w, h)
			if code := up.end(); code != 0 {
				up.wantOneLine()
				o.must("up")
			}
			w.wantOne(w.lab.Hosts, since)
			o.must("health")
			o.must("destroy", "--yes")
		})
	}
}

// pullWhileSending slows a host down, and pulls its cable when it has received
// a part of what is sent to it.
func (w *luckWorld) pullWhileSending(h *bed.Host) {
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
func (w *luckWorld) deafen(h *bed.Host) {
	w.on(h, "nft add table ip luck && nft add chain ip luck input '{ type filter hook input priority 0; }' && nft add rule ip luck input ip saddr "+
		w.lab.Controller().String()+" tcp dport '{ 22, 2379 }' drop")
}

func (w *luckWorld) undeafen(h *bed.Host) { w.on(h, "nft delete table ip luck") }

// up and destroy are killed at every boundary between steps there is, each
// time going on from what the one before left. In the end there is one cluster,
// or nothing at all.
func TestKilledAtEveryBoundary(t *testing.T) {
	t.Parallel()
	w := newLuckWorld(t, 3)
	o := w.operator("a", w.spec(w.lab.Hosts))
	since := w.now()
	if n := o.killedEverywhere("up"); n < 20 {
		t.Errorf("up was killed %d times, want once for each step of 3 members, before and after", n)
	}
	w.wantOne(w.lab.Hosts, since)
	o.must("health")
	o.must("up").wantSaid("nothing to do")
	if n := o.killedEverywhere("destroy", "--yes"); n < 10 {
		t.Errorf("destroy was killed %d times", n)
	}
	for _, h := range w.lab.Hosts {
		if out := w.on(h, "ls -d /etc/pleiad /var/lib/pleiad /usr/local/lib/pleiad /etc/systemd/system/pleiad-* 2>/dev/null || true"); out != "" {
			t.Errorf("left on %s: %s", h.Name, out)
		}
	}
	if left := slices.Concat(w.records("_pleiad."+luckDomain, "TXT"), w.records(luckPeers, "SRV")); len(left) != 0 {
		t.Errorf("left in the zone: %v", left)
	}
}

// killedEverywhere runs a command until it ends by itself. It is killed at
// every boundary that it comes to for the first time.
func (o luckOperator) killedEverywhere(args ...string) (kills int) {
	o.Helper()
	var mu sync.Mutex
	seen := map[string]bool{}
	for {
		killed := false
		r := o.startAt(func(r *luckRun, line string) {
			mu.Lock()
			defer mu.Unlock()
			if seen[line] {
				return
			}
			if !killed {
				killed, seen[line] = true, true
				_ = r.cmd.Process.Kill()
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
	w := newLuckWorld(t, 5)
	o := w.operator("a", w.spec(w.lab.Hosts))
	o.must("up")
	paused, cut := w.lab.Hosts[1], w.lab.Hosts[3]
	names := []string{w.claimed(paused), w.claimed(cut)}
	w.check(paused.Pause(t.Context()))
	w.check(cut.PullCable(t.Context()))
	begun := time.Now()
	r := o.start("status", "--output", "json")
	r.ends(0)
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("status of 5 hosts with 2 in trouble took %s, want at most 5s", took.Round(10*time.Millisecond))
	}
	var status struct {
		Hosts []struct{ Name, Address, Health, Detail string }
	}
	w.check(json.Unmarshal([]byte(r.said.String()), &status))
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
	w.check(paused.Resume(t.Context()))
	w.check(cut.Heal(t.Context()))
	o.must("up")
}
