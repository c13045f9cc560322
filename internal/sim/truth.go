package sim

import (
	"fmt"
	"slices"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
)

// Disagreements are all places where the truth of the world is not the cluster
// that a spec wants: its hosts, its records and its members, and nothing else.
func (w *World) Disagreements(spec cluster.Spec) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	m := w.rules.now()
	if m == nil || m.Phase != cluster.Sealed || len(m.Members) != spec.Members || m.Op != (cluster.Operation{}) {
		say("the marker is %v", m)
		return out
	}
	want := []cluster.RecordSet{cluster.NewRecordSet(spec.MarkerName(), cluster.TXT, m.String())}
	var peers, clients []string
	for _, h := range w.rules.ours() {
		if !m.Has(h.Name) || h.Token != m.Token {
			say("host %s is leaked", h.Name)
		}
		p := h.process
		switch {
		case p == nil:
			say("member %s does not run: %s", h.Name, h.exit)
			continue
		case p.of == nil || p.of.id != m.ID || len(p.of.members) != spec.Members || !p.of.led(p):
			say("member %s does not serve in cluster %s", h.Name, m.ID)
		case p.flags != h.node.Flags():
			say("member %s runs with old flags", h.Name)
		case spec.TLS && !h.certificate.Valid(w.clock(h), 0):
			say("the certificate of %s is not valid", h.Name)
		case !h.node.Sealed || h.data() != cluster.Data{Present: true, Born: true, Member: p.self.id, Cluster: m.ID}:
			say("host %s has %+v", h.Name, h.data())
		}
		target := spec.HostName(h.Name) + "."
		peers = append(peers, cluster.Service{Target: target, Port: h.Ports.Peer}.Value())
		clients = append(clients, cluster.Service{Target: target, Port: h.Ports.Client}.Value())
		want = append(want, spec.HostRecord(h.Name, h.Address))
	}
	if len(peers) != spec.Members {
		say("there are %d members, not %d", len(peers), spec.Members)
	}
	want = append(want, cluster.NewRecordSet(spec.ServerService(), cluster.SRV, peers...), cluster.NewRecordSet(spec.ClientService(), cluster.SRV, clients...))
	for _, k := range w.zone.keys() {
		i := slices.IndexFunc(want, func(s cluster.RecordSet) bool { return s.Key == k })
		switch {
		case !dns.Owns(spec, k) || w.zone.foreign[k] != nil || w.orphan(k):
		case i < 0 && len(w.zone.foreign[k]) > 0: // a stranger's, and left alone
		case i < 0:
			say("%s is leaked", w.zone.get(k))
		case !w.zone.get(k).Equal(want[i]):
			say("%s is not %s", w.zone.get(k), want[i])
		}
	}
	for _, s := range want {
		if w.zone.get(s.Key) == nil {
			say("%s is missing", s)
		}
	}
	return out
}

// orphan says whether a record set is the address of a host that vanished in a
// life whose marker a stranger deleted: nothing says any more that it was ours.
func (w *World) orphan(k cluster.Key) bool {
	return w.damagedMarker() && w.rules.hostless(k)
}

// damagedMarker says whether a stranger took from the marker what only it knew.
func (w *World) damagedMarker() bool {
	c := w.trace.counts
	return c["fault: delete marker"]+c["fault: restore zone"]+c["fault: edit marker"] > 0
}

// Published says whether the cluster is sealed and the records say of each host where
// it is.
func (w *World) Published() bool {
	records := w.zone.snapshot()
	m := w.rules.marker(records)
	return m != nil && m.Phase == cluster.Sealed && !slices.ContainsFunc(w.rules.ours(), func(h *host) bool {
		want := w.opts.Spec.HostRecord(h.Name, h.Address)
		have, found := records.Get(want.Key)
		return !found || !have.Equal(want)
	})
}

// Members are the members that have a host.
func (w *World) Members() []cluster.MemberName {
	var out []cluster.MemberName
	for _, h := range w.rules.ours() {
		out = append(out, h.Name)
	}
	return out
}

// Expelled says whether a host has the data of a member that is off etcd's list.
func (w *World) Expelled() bool {
	return slices.ContainsFunc(w.rules.ours(), func(h *host) bool {
		return h.log != nil && w.etcds[h.log.cluster] != nil && w.etcds[h.log.cluster].removed[h.log.member]
	})
}

// Silent are the members that do not serve.
func (w *World) Silent() []cluster.MemberName {
	var out []cluster.MemberName
	for _, h := range w.rules.ours() {
		if p := h.process; p == nil || !p.ready || !p.of.led(p) {
			out = append(out, h.Name)
		}
	}
	return out
}

// Remains are what is left of a cluster.
func (w *World) Remains(spec cluster.Spec) []string {
	var out []string
	for _, h := range w.rules.ours() {
		out = append(out, "host "+string(h.Name))
	}
	for _, k := range w.zone.keys() {
		if dns.Owns(spec, k) && w.zone.foreign[k] == nil && !w.orphan(k) {
			out = append(out, "record "+w.zone.get(k).String())
		}
	}
	if spec.ServesZone() && (w.zone.running || w.zone.address != "") {
		out = append(out, "the name server")
	}
	return out
}
