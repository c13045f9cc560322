package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
)

// Afflictions are what may befall the world, by name; see [World.Afflict].
func Afflictions() []string {
	return []string{"kill", "vanish", "wipe", "unreachable", "isolate", "outage", "obscure", "occupy", "deny", "stale", "delete marker", "delete address", "delete service", "foreign value", "foreign marker"}
}

// Afflict lets something befall a random host, member or record of the
// cluster. It says whether there was anything that it could befall.
func (w *World) Afflict(what string) bool {
	done := false
	switch what {
	case "kill":
		done = w.strikeHost(what, func(h *host) bool { return h.process != nil }, func(h *host) { w.end(h, "signal: killed") })
	case "vanish":
		done = w.strikeHost(what, func(*host) bool { return true }, func(h *host) { w.vanish(h, "vanishes") })
	case "wipe":
		done = w.strikeHost(what, func(h *host) bool { return h.log != nil }, func(h *host) { h.log, h.fresh = nil, false })
	case "unreachable":
		done = w.strikeHost(what, func(h *host) bool { return !h.unreachable }, func(h *host) {
			h.unreachable = true
			w.after(w.between(time.Second, 90*time.Second), func() { h.unreachable = false })
		})
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
	case "stale":
		done = w.stale()
	case "delete marker":
		done = w.spoil(w.opts.Spec.MarkerName())
	case "delete address":
		done = w.spoil("etcd-")
	case "delete service":
		done = w.spoil("_etcd-")
	case "foreign value":
		done = w.foreignValue()
	case "foreign marker":
		done = w.intrude(cluster.NewRecordSet(w.opts.Spec.MarkerName(), cluster.TXT, "v=spf1 -all"))
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
		if h.of == w.opts.Spec.Cluster && can(h) {
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

// stale lets a host's resolver believe for a while what was true before, or
// that there is nothing.
func (w *World) stale() bool {
	spec := w.opts.Spec
	keys := []cluster.Key{{Name: spec.ServerService(), Type: cluster.SRV}}
	for _, h := range w.hosts {
		if h.of == spec.Cluster {
			keys = append(keys, cluster.Key{Name: spec.HostName(h.Name) + ".", Type: cluster.A})
		}
	}
	k := keys[w.chance.IntN(len(keys))]
	former := append([]*cluster.RecordSet{nil}, w.zone.former[k]...)
	answer := remembered{set: former[w.chance.IntN(len(former))], until: time.Now().Add(w.between(time.Second, longestMemory))}
	return w.strikeHost("stale", func(*host) bool { return true }, func(h *host) { h.resolver[k] = answer })
}

// spoil deletes one of our record sets whose name begins so.
func (w *World) spoil(prefix string) bool {
	var able []cluster.Key
	for _, k := range w.zone.keys() {
		if strings.HasPrefix(k.Name, prefix) && len(w.zone.foreign[k]) == 0 {
			able = append(able, k)
		}
	}
	if len(able) == 0 {
		return false
	}
	k := able[w.chance.IntN(len(able))]
	w.log("stranger", "deletes", k.Name+" "+string(k.Type), "")
	w.zone.spoiled[k] = true
	w.zone.put(k, nil)
	return true
}

// foreignValue puts a record that is not ours on one of our names.
func (w *World) foreignValue() bool {
	spec := w.opts.Spec
	value := "0 0 2380 stranger." + spec.Domain + "."
	sets := []cluster.RecordSet{
		cluster.NewRecordSet(spec.ServerService(), cluster.SRV, value),
		cluster.NewRecordSet(spec.ClientService(), cluster.SRV, value),
		cluster.NewRecordSet(spec.RivalServices()[0], cluster.SRV, value),
	}
	for _, h := range w.hosts {
		if h.of == spec.Cluster {
			sets = append(sets, cluster.NewRecordSet(spec.HostName(h.Name)+".", cluster.A, "198.51.100.7"),
				cluster.NewRecordSet(spec.HostName(h.Name)+".", cluster.AAAA, "2001:db8::7"))
		}
	}
	return w.intrude(sets[w.chance.IntN(len(sets))])
}

// intrude adds a stranger's values to a record set.
func (w *World) intrude(set cluster.RecordSet) bool {
	if len(w.zone.foreign[set.Key]) > 0 || w.zone.address == "" && !w.zone.theirs {
		return false
	}
	w.log("stranger", "adds", set.Name+" "+string(set.Type), strings.Join(set.Values, ", "))
	w.zone.foreign[set.Key] = set.Values
	w.zone.spoiled[set.Key] = true
	if old := w.zone.get(set.Key); old != nil {
		set.Values = append(slices.Clone(old.Values), set.Values...)
	}
	w.zone.put(set.Key, &set)
	return true
}

// Blackout takes somebody else's name server down for good, has all resolvers
// forget what they know, and kills all members.
func (w *World) Blackout() {
	w.count("fault: blackout")
	w.log("world", "blackout", theServer, "")
	w.zone.running = false
	for _, h := range w.rules.ours() {
		clear(h.resolver)
		if h.process != nil {
			w.end(h, "signal: killed")
		}
	}
}

// Heal ends every fault that lasts. Caches stay as they are, and so do
// strangers' records.
func (w *World) Heal() {
	w.rates, w.zone.denied = Rates{}, false
	for _, h := range w.hosts {
		h.unreachable, h.occupied, h.hidden = false, 0, false
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
	w.log("world", "heals", "", "")
}

// Tidy is a person who removes strangers' values from our names.
func (w *World) Tidy() {
	for _, k := range w.zone.keys() {
		theirs := w.zone.foreign[k]
		if len(theirs) == 0 || !slices.Contains([]cluster.RecordType{cluster.A, cluster.AAAA, cluster.SRV, cluster.TXT}, k.Type) {
			continue
		}
		set := w.zone.get(k)
		set.Values = slices.DeleteFunc(set.Values, func(v string) bool { return slices.Contains(theirs, v) })
		w.log("person", "tidies", k.Name+" "+string(k.Type), "")
		delete(w.zone.foreign, k)
		if len(set.Values) == 0 {
			set = nil
		}
		w.zone.put(k, set)
	}
}

// Restore is a person who puts a record back as a refusal printed it: in the
// syntax of a zone file.
func (w *World) Restore(line string) error {
	var name, kind string
	var ttl uint32
	head, text, ok := strings.Cut(line, `"`)
	if _, err := fmt.Sscan(head, &name, &ttl, &kind); err != nil || !ok || kind != "TXT" {
		return fmt.Errorf("restore %q: want name, TTL, TXT and a quoted text", line)
	}
	set := cluster.NewRecordSet(name, cluster.TXT, strings.TrimSuffix(text, `"`))
	w.log("person", "restores", name, set.Values[0])
	w.zone.put(set.Key, &set)
	delete(w.zone.spoiled, set.Key)
	return nil
}

// Clear is a person who deletes all that stands on our names.
func (w *World) Clear(spec cluster.Spec) {
	w.log("person", "clears", spec.Domain, "")
	for _, k := range w.zone.keys() {
		if dns.Owns(spec, k) {
			w.zone.put(k, nil)
			delete(w.zone.foreign, k)
			delete(w.zone.spoiled, k)
		}
	}
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
