package sim

import (
	"slices"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// Afflictions are what may befall the world, by name; see [World.Afflict].
func Afflictions() []string {
	return []string{"kill", "vanish", "wipe", "misplace", "lose host", "roll back", "restore", "unreachable", "isolate", "dark", "reboot", "power cut", "outage", "stuck server", "wrong clock", "wrong clock of a host", "obscure", "lose claim", "occupy", "deny", "stale", "waver", "lie", "delete marker", "delete address", "delete service", "restore zone", "edit marker", "foreign value", "foreign marker", "etcdctl", "stop machine", "another pleiad"}
}

// Afflict lets something befall a random host, member or record of the
// cluster. It says whether there was anything that it could befall.
func (w *World) Afflict(what string) bool {
	done := false
	switch what {
	case "kill":
		done = w.strikeHost(what, func(h *host) bool { return h.process != nil }, func(h *host) {
			w.end(h, "signal: killed")
			w.after(time.Second, func() { w.revive(h) })
		})
	case "vanish":
		done = w.strikeHost(what, func(*host) bool { return true }, func(h *host) { w.vanish(h, "vanishes") })
	case "wipe":
		done = w.strikeHost(what, func(h *host) bool { return h.log != nil }, func(h *host) { h.log, h.fresh = nil, false })
	case "lose host":
		done = (w.given() || w.local()) && w.strikeHost(what, func(h *host) bool { return h.process != nil && h.known != 0 }, w.lose)
	case "misplace":
		done = w.strikeHost(what, func(h *host) bool { return h.log != nil }, w.misplace)
	case "restore":
		done = w.strikeHost(what, func(h *host) bool { return !w.given() && h.Copy == "" }, func(h *host) {
			if h.process != nil {
				w.end(h, "signal: killed")
			}
			h.Copy, h.copied = "its folder was put back from a backup", w.moment()
		})
	case "roll back":
		done = w.strikeHost(what, func(h *host) bool { return h.log != nil && h.mark.end > 0 }, w.rollBack)
	case "unreachable":
		done = w.strikeHost(what, func(h *host) bool { return !h.unreachable }, func(h *host) {
			h.unreachable = true
			w.after(w.between(time.Second, 90*time.Second), func() { h.unreachable = false })
		})
	case "dark":
		done = w.darken()
	case "reboot":
		done = w.strikeHost(what, func(*host) bool { return w.given() }, w.reboot)
	case "power cut":
		done = w.powerCut()
	case "stop machine":
		done = w.strikeHost(what, func(h *host) bool { return w.opts.Spec.MakesMachines() && h.Pending == "" }, w.halt)
	case "isolate":
		done = w.strikeHost(what, func(h *host) bool { return h.process != nil && !h.isolated }, func(h *host) { w.isolate(h) })
	case "occupy":
		done = w.strikeHost(what, func(h *host) bool { return h.process == nil && h.occupied == 0 }, func(h *host) { h.occupied = h.Ports.Peer })
	case "obscure":
		done = w.strikeHost(what, func(h *host) bool { return !h.hidden }, func(h *host) {
			h.hidden = true
			w.after(w.between(time.Second, 90*time.Second), func() { h.hidden = false })
		})
	case "deny":
		done = !w.zone.denied
		w.zone.denied = true
	case "outage":
		done = w.outage()
	case "wrong clock":
		done = w.misset()
	case "wrong clock of a host":
		done = !w.local() && w.strikeHost(what, func(h *host) bool { return h.ahead == 0 }, w.missetHost)
	case "stuck server":
		done = w.stick()
	case "lose claim":
		done = w.strikeHost(what, func(h *host) bool { return !h.unclaimed }, func(h *host) {
			h.unclaimed = true
			w.after(w.between(time.Second, 90*time.Second), func() { h.unclaimed = false })
		})
	case "stale":
		done = w.stale()
	case "waver":
		done = w.waver()
	case "lie":
		done = w.lie()
	case "delete marker":
		done = w.spoil(w.opts.Spec.MarkerName())
	case "restore zone":
		done = w.restoreZone()
		if done && w.chance.IntN(3) == 0 { // whoever restores backups has lost more than records
			w.strikeHost("vanish", func(*host) bool { return true }, func(h *host) { w.vanish(h, "vanishes") })
			w.count("fault: vanish")
		}
	case "edit marker":
		done = w.editMarker()
	case "delete address":
		done = w.spoil("etcd-")
	case "delete service":
		done = w.spoil("_etcd-")
	case "foreign value":
		done = w.foreignValue()
	case "foreign marker":
		done = w.intrude(cluster.NewRecordSet(w.opts.Spec.MarkerName(), cluster.TXT, "v=spf1 -all"))
	case "etcdctl":
		done = w.etcdctl()
	case "another pleiad":
		w.programs.take(w.chance.IntN(3) == 0)
		done = true
	default:
		panic("no such affliction: " + what)
	}
	if done {
		w.count("fault: " + what)
	}
	return done
}

// strikeHost does something to one of the cluster's hosts that can suffer it.
func (w *World) strikeHost(what string, can func(*host) bool, do func(*host)) bool {
	var able []*host
	for _, h := range w.hosts {
		if h.of == w.opts.Spec.Cluster && !h.astray && can(h) {
			able = append(able, h)
		}
	}
	if len(able) == 0 {
		return false
	}
	h := able[w.chance.IntN(len(able))]
	w.rules.struck[h.Name] = time.Now()
	w.log("world", what, string(h.Name), "")
	do(h)
	return true
}

// misplace puts another member's data where a member had its own.
func (w *World) misplace(h *host) {
	if h.process != nil {
		w.end(h, "signal: killed")
	}
	w.misplaced(h, *h.log)
}

// misplaced puts the data of another member of the same cluster on a host: a copy of
// its own that another host has would roll it back.
func (w *World) misplaced(h *host, own identity) {
	h.log = &identity{member: own.member + 1, cluster: own.cluster}
	for _, other := range w.rules.ours() {
		if other != h && other.log != nil && other.log.member != own.member {
			h.log = &identity{member: other.log.member, cluster: other.log.cluster}
		}
	}
}

// rollBack puts a former state of a member's data in the place of the newest, as
// a snapshot of its disk has it.
func (w *World) rollBack(h *host) {
	if h.process != nil {
		w.end(h, "signal: killed")
	}
	h.log = &identity{member: h.log.member, cluster: h.log.cluster, end: min(h.log.end, w.chance.IntN(h.mark.end))}
}

// vanish takes a host out of the world with all that is on it.
func (w *World) vanish(h *host, how string) {
	if h.gone {
		return
	}
	w.log("world", "host "+how, string(h.Name), "")
	w.rules.struck[h.Name] = time.Now()
	if h.process != nil {
		w.end(h, "its host is gone")
	}
	w.remove(h)
}

func (w *World) isolate(h *host) {
	h.isolated = true
	if p := h.process; p.of != nil {
		w.settle(p.of)
	}
	w.after(w.between(time.Second, 30*time.Second), func() {
		h.isolated = false
		if p := h.process; p != nil && p.of != nil {
			w.settle(p.of)
		}
	})
}

// outage takes the name server down: ours until it is started, somebody
// else's for a while.
func (w *World) outage() bool {
	if !w.zone.running {
		return false
	}
	w.log("world", "outage", theServer, "")
	w.zone.running = false
	if w.zone.theirs {
		w.after(w.between(100*time.Millisecond, 40*time.Second), func() { w.zone.running = true })
	}
	return true
}

// stick takes our own name server down and lets it not start again for a while,
// as when its port is taken or its zone file damaged.
func (w *World) stick() bool {
	if w.zone.theirs || w.zone.stuck {
		return false
	}
	w.log("world", "stuck", theServer, "")
	w.zone.running, w.zone.stuck, w.zone.damaged = false, true, w.chance.IntN(2) == 0
	w.after(w.between(time.Second, 90*time.Second), func() { w.zone.stuck, w.zone.damaged = false, false })
	return true
}

// Beset kills all members of a sealed cluster, and lets befall it at once much
// of what must keep none of them down: a name server that does not start or
// denies all changes, a marker that was deleted or overwritten, a host that
// cannot be read or reached. It returns the members that must be started all
// the same (rules R9, R13), and what ends all that.
func (w *World) Beset() (able []cluster.MemberName, end func()) {
	k := w.opts.Spec.MarkerKey()
	marker := w.zone.get(k)
	hit := func() bool { return w.chance.IntN(2) == 0 }
	w.count("fault: beset")
	w.log("world", "beset", "", "")
	if hit() {
		w.stick()
	}
	w.zone.denied = hit()
	switch w.chance.IntN(3) {
	case 0:
		w.zone.put(k, nil)
	case 1:
		garbage := cluster.NewRecordSet(k.Name, k.Type, "v=spf1 -all")
		w.zone.put(k, &garbage)
	}
	ours := w.rules.ours()
	for i, h := range ours {
		if h.process != nil {
			w.end(h, "signal: killed")
		}
		switch {
		case i == 0 && hit():
			h.unclaimed = true
		case i == 1 && hit():
			h.unreachable = true
		case h.log != nil && h.node != nil && h.node.Sealed:
			able = append(able, h.Name)
		}
	}
	return able, func() {
		w.zone.put(k, marker)
		w.Heal()
	}
}

// Running says whether a member runs.
func (w *World) Running(name cluster.MemberName) bool {
	h := w.host(w.opts.Spec.Cluster, name)
	return h != nil && h.process != nil
}

// stale lets a host's resolver believe for a while what was true before, or
// that there is nothing.
func (w *World) stale() bool {
	k, answer := w.formerly()
	return w.strikeHost("stale", func(*host) bool { return true }, func(h *host) { h.resolver[k] = answer })
}

// waver lets a host's resolver say for a while now this and now that of a name.
func (w *World) waver() bool {
	k, answer := w.formerly()
	return w.strikeHost("waver", func(*host) bool { return true }, func(h *host) { h.wavers = wavering{k, answer} })
}

// formerly draws a name of the cluster and what was once true of it, or that
// there is nothing.
func (w *World) formerly() (cluster.Key, remembered) {
	spec := w.opts.Spec
	keys := []cluster.Key{{Name: spec.ServerService(), Type: cluster.SRV}}
	for _, h := range w.hosts {
		if h.of == spec.Cluster {
			keys = append(keys, cluster.Key{Name: spec.HostName(h.Name) + ".", Type: cluster.A})
		}
	}
	k := keys[w.chance.IntN(len(keys))]
	former := append([]*cluster.RecordSet{nil}, w.zone.former[k]...)
	return k, remembered{set: former[w.chance.IntN(len(former))], until: time.Now().Add(w.between(time.Second, longestMemory))}
}

// Blackout takes somebody else's name server down for good, has all resolvers
// forget what they know, and kills all members.
func (w *World) Blackout() {
	w.count("fault: blackout")
	w.log("world", "blackout", theServer, "")
	w.zone.running = false
	for _, h := range w.rules.ours() {
		clear(h.resolver)
		h.wavers = wavering{}
		if h.process != nil {
			w.end(h, "signal: killed")
		}
	}
}

// Heal ends every fault that lasts. Caches stay as they are, and so do
// strangers' records.
func (w *World) Heal() {
	if w.programs.broken[w.programs.now.Build] {
		w.programs.take(false)
	}
	w.rates, w.zone.denied, w.zone.stuck, w.zone.damaged = Rates{}, false, false, false
	clear(w.dark)
	w.ahead.set(0)
	for _, h := range w.hosts {
		h.ahead = 0
		w.refind(h)
		h.unreachable, h.occupied, h.hidden, h.unclaimed, h.wavers = false, 0, false, false, wavering{}
		if h.isolated {
			h.isolated = false
			if h.process != nil && h.process.of != nil {
				w.settle(h.process.of)
			}
		}
	}
	if w.zone.theirs {
		w.zone.running = true
	}
	w.tick()
	w.log("world", "heals", "", "")
}

// Note puts a word of the scenario into the trace and counts it.
func (w *World) Note(what string) {
	w.count(what)
	w.log("scenario", what, "", "")
}

// AtGate says whether any member waits at its gate, which is a poll twice a
// second.
func (w *World) AtGate() bool {
	return slices.ContainsFunc(w.hosts, func(h *host) bool { return h.process != nil && h.process.gate != "" })
}
