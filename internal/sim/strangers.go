package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
)

// Strangers change records on our names, and people put them right.

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

// restoreZone puts our names back to what they were after an earlier change, as
// a backup of the zone has them: of the same owner, perhaps of another life.
func (w *World) restoreZone() bool {
	now := w.rules.now()
	unproven := slices.ContainsFunc(w.strays(), func(h *host) bool { return !h.proven && !w.given() }) // see lose
	if now == nil || len(w.zone.foreign) > 0 || unproven {
		return false
	}
	var able []cluster.Records
	for _, past := range w.zone.past {
		if m := w.rules.marker(past); m != nil && m.Owner == now.Owner && m.CA == now.CA && m.String() != now.String() {
			able = append(able, past)
		}
	}
	if len(able) == 0 {
		return false
	}
	past := able[w.chance.IntN(len(able))]
	w.rules.damaged = w.moment()
	w.log("stranger", "restores", "the zone", w.rules.marker(past).String())
	for _, k := range w.zone.keys() {
		if _, ok := past.Get(k); !ok && dns.Owns(w.opts.Spec, k) {
			w.zone.spoiled[k] = true
			w.zone.put(k, nil)
		}
	}
	for _, set := range past.Sets {
		w.zone.spoiled[set.Key] = true
		w.zone.put(set.Key, &set)
	}
	return true
}

// editMarker changes one field of the marker.
func (w *World) editMarker() bool {
	m := w.rules.now()
	if m == nil || len(w.zone.foreign) > 0 || m.Phase == cluster.Destroying || len(m.Members) == 0 {
		return false
	}
	switch w.chance.IntN(4) {
	case 0:
		m.Token += "x"
	case 1:
		m.ID++
	case 2:
		if len(m.Members) == 0 { // edited before
			return false
		}
		m.Members = m.Members[1:]
	case 3:
		m.Phase = cluster.Bootstrapping
	}
	set := cluster.NewRecordSet(w.opts.Spec.MarkerName(), cluster.TXT, m.String())
	if w.zone.get(set.Key).Equal(set) {
		return false
	}
	w.log("stranger", "edits", set.Name, m.String())
	w.rules.damaged = w.moment()
	w.zone.spoiled[set.Key] = true
	w.zone.put(set.Key, &set)
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

// etcdctl is somebody who changes the members of a sealed cluster behind pleiad's back,
// as far as etcd allows it: one of ours is removed, or found elsewhere, or a stranger is
// added.
func (w *World) etcdctl() bool {
	m := w.rules.now()
	if m == nil || m.Phase != cluster.Sealed || w.etcds[m.ID] == nil || w.etcds[m.ID].leader == 0 {
		return false
	}
	e := w.etcds[m.ID]
	leader := e.entry(e.leader).process
	l := e.members[w.chance.IntN(len(e.members))]
	switch w.chance.IntN(3) {
	case 0:
		if len(e.members) == 1 || leader.mayRemove(l) != nil {
			return false
		}
		w.log("stranger", "removes", "member "+l.id.String(), "")
		e.remove(l)
	case 1:
		name := "stranger." + w.opts.Spec.Domain
		l = &listed{id: cluster.MemberID(w.chance.Uint64()), urls: []string{w.opts.Spec.Scheme() + "://" + name + ":2380"}, host: name, learner: true}
		if leader.mayAdd(l) != nil {
			return false
		}
		w.log("stranger", "adds", "member "+l.id.String(), "")
		e.add(l)
	default:
		w.log("stranger", "moves", "member "+l.id.String(), "")
		l.urls = []string{w.opts.Spec.Scheme() + "://elsewhere." + w.opts.Spec.Domain + ":2380"}
		e.relist()
	}
	if name, ours := w.opts.Spec.MemberOf(l.host + "."); ours {
		w.rules.struck[name] = time.Now()
	}
	w.rules.damaged = w.moment()
	w.write(e)
	w.settle(e)
	return true
}

// Readdress is a person who puts a peer URL back as a refusal says.
func (w *World) Readdress(remedy string) {
	for _, id := range slices.Sorted(maps.Keys(w.etcds)) {
		for _, l := range w.etcds[id].members {
			if _, url, ok := strings.Cut(remedy, " member update "+l.id.String()+" --peer-urls="); ok {
				w.log("person", "moves", "member "+l.id.String(), url)
				l.urls = []string{url}
				w.etcds[id].relist()
			}
		}
	}
}

// Unlist is a person who takes the members off etcd's list that a refusal names.
func (w *World) Unlist(remedy string) {
	for _, id := range slices.Sorted(maps.Keys(w.etcds)) {
		for _, l := range slices.Clone(w.etcds[id].members) {
			if strings.HasSuffix(remedy, " member remove "+l.id.String()) {
				w.log("person", "removes", "member "+l.id.String(), "")
				w.etcds[id].remove(l)
			}
		}
	}
}

// Sweep is a person who removes by hand what only chance brought about: hosts
// of a life that is over, and addresses that are no host's any more.
func (w *World) Sweep(spec cluster.Spec) {
	m := w.rules.now()
	for _, h := range slices.Clone(w.rules.ours()) {
		if m != nil && h.Token != m.Token && (h.process == nil || h.enabled) {
			w.log("person", "removes", string(h.Name), "")
			if h.process != nil { // its init system keeps it running
				w.end(h, "stopped by hand")
			}
			w.remove(h)
		}
	}
	w.weed(spec)
	for _, k := range w.zone.keys() {
		n, ok := spec.MemberOf(k.Name)
		if h := w.host(spec.Cluster, n); ok && h != nil && !w.zone.get(k).Equal(spec.HostRecord(n, h.Address)) {
			w.log("person", "removes", k.Name, "")
			w.zone.put(k, nil)
		}
	}
}

// weed is a person who takes services off our names that are no member's: a
// zone from the past has those of another life.
func (w *World) weed(spec cluster.Spec) {
	m := w.rules.now()
	for _, k := range w.zone.keys() {
		if m == nil || k.Type != cluster.SRV || !dns.Owns(spec, k) || !w.zone.spoiled[k] {
			continue
		}
		set := w.zone.get(k)
		set.Values = slices.DeleteFunc(set.Values, func(v string) bool {
			s, _ := cluster.ParseService(v)
			n, _ := spec.MemberOf(s.Target)
			return !m.Has(n)
		})
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
