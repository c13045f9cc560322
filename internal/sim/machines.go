package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
)

// Machines that were given to a cluster, as opposed to hosts that are made at
// will: their addresses stand in the spec, one of them that cannot be reached
// hides whether it is a host, and an init system starts their members again
// after a crash or a reboot, whatever any controller thinks of it.

// at is the host on a machine, of whatever cluster; nil if it is free.
func (w *World) at(addr netip.Addr) *host {
	for _, h := range w.hosts {
		if h.Address == addr {
			return h
		}
	}
	return nil
}

// unseen says whether controllers cannot look into a machine.
func (w *World) unseen(addr netip.Addr) bool {
	h := w.at(addr)
	return w.dark[addr] || h != nil && (h.unreachable || h.hidden)
}

// slowDark is how long it takes to find out that a machine does not answer.
const slowDark = 2500 * time.Millisecond

// survey is what a controller sees of machines; strays says whether also of those
// whose address has left the spec.
func (w *World) survey(of cluster.Name, places []netip.Addr, strays bool) (l hosts.Listing, dark bool) {
	for _, addr := range places {
		h, place := w.at(addr), cluster.Place{Address: addr}
		if h != nil && h.astray && !strays {
			continue // its address is not in the spec
		}
		switch {
		case w.unseen(addr):
			dark = true
			place.Unknown = "no route to host"
		case h != nil && h.unclaimed: // noise for an answer, none at all, a claim that is empty
			place.Unknown, place.Lasting = "its claim cannot be read", true
		case h != nil && h.of == of:
			l.Hosts = append(l.Hosts, h.Host)
			continue
		case h != nil:
			place.Taken = fmt.Sprintf("it is host %s of cluster %s", h.Name, h.of)
		}
		l.Places = append(l.Places, place)
	}
	slices.SortFunc(l.Hosts, func(a, b cluster.Host) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return l, dark
}

// free is the first free machine. What is not seen where others are is not the host
// in question.
func (w *World) free(places, others []netip.Addr) (netip.Addr, error) {
	for _, addr := range places {
		if slices.Contains(others, addr) {
			continue
		}
		if h := w.at(addr); (w.unseen(addr) || h != nil && h.unclaimed) && (h == nil || !h.astray) {
			return addr, fmt.Errorf("it may be on %s, which could not be inspected", addr)
		}
	}
	for _, addr := range places {
		if w.at(addr) == nil && !w.unseen(addr) {
			return addr, nil
		}
	}
	return netip.Addr{}, hosts.ErrNoPlace
}

// darken cuts a machine, host or not, off from controllers for a while.
func (w *World) darken() bool {
	if !w.given() {
		return false
	}
	places := w.opts.Spec.Machines()
	addr := places[w.chance.IntN(len(places))]
	if w.dark[addr] {
		return false
	}
	w.log("world", "dark", addr.String(), "")
	w.dark[addr] = true
	w.after(w.between(time.Second, 90*time.Second), func() { delete(w.dark, addr) })
	return true
}

// reboot ends all that runs on a machine and, after a while, starts again what
// its init system knows.
func (w *World) reboot(h *host) {
	if p := h.process; p != nil {
		w.end(h, "signal: killed")
		h.powerLost(p)
	}
	clear(h.resolver)
	h.unreachable = true
	w.after(w.between(500*time.Millisecond, 20*time.Second), func() {
		h.unreachable = false
		w.revive(h)
	})
}

// halt stops a machine that was made at will, until somebody starts it.
func (w *World) halt(h *host) {
	if p := h.process; p != nil {
		w.end(h, "signal: killed")
		h.powerLost(p)
	}
	clear(h.resolver)
	h.Pending, h.up = "its machine was stopped", time.Time{}
}

// powerLost takes from a log what was not on the disk when the power went: nothing,
// unless the member was told not to wait for that.
func (h *host) powerLost(p *process) {
	if h.log == nil || !slices.Contains(p.node.Args, "--unsafe-no-fsync=true") {
		return
	}
	synced := 0 // before a mark names it, the log is synced
	if h.mark.member == h.log.member {
		synced = h.mark.end
	}
	h.log.end = min(h.log.end, synced)
}

// revive starts a member whose init system has been told to keep it running.
func (w *World) revive(h *host) {
	if !h.gone && h.enabled && h.process == nil {
		w.count("a member is started by its machine")
		w.start(h, h.program)
	}
}

// given says whether the cluster lives on machines that were given to it.
func (w *World) given() bool { return w.opts.Spec.Machines() != nil }

// powerCut reboots all hosts of the cluster at one moment.
func (w *World) powerCut() bool {
	if !w.given() || len(w.rules.ours()) == 0 {
		return false
	}
	for _, h := range w.rules.ours() {
		w.log("world", "power cut", string(h.Name), "")
		w.rules.struck[h.Name] = time.Now()
		w.reboot(h)
	}
	return true
}

// lie lets a host's resolver answer for a while what was never true: a part of
// the list, more than the list, or another machine's address.
func (w *World) lie() bool {
	spec := w.opts.Spec
	var keys []cluster.Key
	for _, k := range w.zone.keys() {
		if k.Name == spec.ServerService() && k.Type == cluster.SRV || k.Type == cluster.A {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return false
	}
	k := keys[w.chance.IntN(len(keys))]
	set := *w.zone.get(k)
	set.Values = slices.Clone(set.Values)
	switch one := w.chance.IntN(len(set.Values)); {
	case k.Type == cluster.A:
		set.Values = []string{netip.AddrFrom4([4]byte{10, 5, 1, byte(1 + w.chance.IntN(9))}).String()}
	case w.chance.IntN(2) == 0:
		set.Values = slices.Delete(set.Values, one, one+1)
	default:
		set.Values = append(set.Values, cluster.Service{Target: "stranger." + spec.Domain + ".", Port: 2380}.Value())
	}
	answer := remembered{set: &set, until: time.Now().Add(w.between(time.Second, longestMemory))}
	if len(set.Values) == 0 {
		answer.set = nil
	}
	return w.strikeHost("lie", func(*host) bool { return true }, func(h *host) { h.resolver[k] = answer })
}
