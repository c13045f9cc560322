package sim

import (
	"maps"
	"slices"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
)

// launched: a name that once held data is never used again (rule R6).
func (r *rules) launched(c *Controller, h *host) {
	if h.of != r.w.opts.Spec.Cluster {
		return
	}
	for _, t := range slices.Sorted(maps.Keys(r.lives)) {
		// Of that token or, where somebody edited it on the marker, of another.
		if r.life(t).names[h.Name] && !r.remembered(c, t) && !r.remembered(c, h.Token) {
			// All that could know of this life is gone: nothing of it is left that
			// a second one could harm.
			r.w.count("fault: a life that nobody knows of begins again")
			r.forget(t)
		}
	}
	r.must("R6", !r.used[h.Name], "%s launches host %s again", c.Name, h.Name)
	twice := slices.ContainsFunc(r.ours(), func(other *host) bool { return other != h && other.Name == h.Name && !other.astray })
	r.must("R11", !twice, "%s launches host %s, and there is one already", c.Name, h.Name)
	joins := func(m *cluster.Marker) bool { return m.Op.Kind == cluster.Add && m.Op.Member == h.Name }
	if m := r.now(); m == nil || m.Phase != cluster.Bootstrapping && !joins(m) || m.Token != h.Token {
		r.w.count("fault: crossing") // with another controller's destroy
		h.late = true
	}
}

// remembered says whether a host could have told a controller that a life has
// begun.
func (r *rules) remembered(c *Controller, t cluster.Token) bool {
	return slices.ContainsFunc(r.ours(), func(h *host) bool { return h.Token == t && h.known != 0 && max(h.known, h.back) <= c.listed })
}

// forget forgets a life of which nothing is left that could be found, except that
// its members have served: a host of it whose address had left the spec may be
// found again, and knows that the cluster was sealed.
func (r *rules) forget(t cluster.Token) {
	served := r.life(t).served
	for id := range r.life(t).members {
		delete(r.living, id)
	}
	for n := range r.life(t).names {
		delete(r.used, n)
	}
	for id := range r.life(t).ids {
		switch e := r.w.etcds[id]; {
		case e == nil:
		case len(e.live()) == 0:
			delete(r.w.etcds, id) // what it wrote is nowhere any more
		default:
			e.written = 0 // or where nobody could know of it
		}
	}
	delete(r.lives, t)
	if slices.ContainsFunc(r.w.hosts, func(h *host) bool { return h.Token == t && h.astray && r.w.given() && h.known != 0 }) {
		r.life(t).served = served
	}
}

// terminates: hosts go only when the marker says so (rule R2), and with their
// data only where a person has agreed to that (R14).
func (r *rules) terminates(c *Controller, h *host, fate hosts.DataFate) {
	m := r.now()
	// A destroy that has begun meanwhile would terminate it anyway.
	left := m != nil && m.Phase != cluster.Bootstrapping && (m.Phase == cluster.Destroying || m.Op == cluster.Operation{Kind: cluster.Remove, Member: h.Name} || !m.Has(h.Name)) && m.Token == h.Token && fate == hosts.KeepData
	if c.Consent == LoseNothing && (left || fate == hosts.KeepData && (r.damaged > c.listed || m == nil && r.spoiledMarker())) {
		e := (*etcd)(nil)
		if m != nil {
			e = r.w.etcds[m.ID]
		}
		r.must("R7", e == nil || e.named(r.w.opts.Spec, h.Name) == nil, "%s terminates host %s, whose member is on the list", c.Name, h.Name)
		return
	}
	r.must("R14", c.Consent >= LoseHosts, "%s terminates host %s, and nobody has agreed to that", c.Name, h.Name)
	r.must("R14", h.process == nil || h.process.began > c.inspected[h.Name], "%s terminates host %s under its running member", c.Name, h.Name)
	r.must("R14", h.log == nil || fate == hosts.KeepData || c.Consent == LoseData, "%s deletes the data of %s, and nobody has agreed to that", c.Name, h.Name)
	r.must("R2", r.spoiledMarker() || m != nil && m.Phase == cluster.Destroying && m.Token == h.Token, "%s terminates host %s, but the marker does not say destroying", c.Name, h.Name)
}

// stops: outside destroy the rest stays a quorum (rule R5); in destroy clients
// were sent away before (rule R8).
func (r *rules) stops(c *Controller, h *host) {
	m, p := r.now(), h.process
	if m == nil || h.of != r.w.opts.Spec.Cluster {
		return
	}
	if m.Phase == cluster.Destroying {
		spec := r.w.opts.Spec
		k := cluster.Key{Name: spec.ClientService(), Type: cluster.SRV}
		set := r.w.zone.get(k)
		sent := set != nil && strings.Contains(set.String(), " "+spec.HostName(h.Name)+".")
		r.must("R8", !sent || r.w.zone.spoiled[k], "%s stops %s while clients are still sent to it", c.Name, h.Name)
		return
	}
	if p.of == nil || r.damaged > c.listed {
		return
	}
	if p.of.entry(p.self.id) == nil && !m.Has(h.Name) || m.Op == (cluster.Operation{Kind: cluster.Remove, Member: h.Name}) && p.of.entry(p.self.id) == nil {
		return
	}
	r.restarts(c, h, *m)
	rest := 0
	for _, l := range p.of.members {
		alive := l.process != nil && l.process.well()
		if l != p.self && !l.learner && (alive || r.fell(c, l.name)) {
			rest++
		}
	}
	voters := p.of.voters()
	r.must("R5", rest >= cluster.Quorum(voters), "%s stops %s: %s", c.Name, h.Name, cluster.Arithmetic(rest, voters))
}

// founds checks a member that begins a life without data: its resolver has shown
// the whole list, and what it founds is that (rules R2, R3), it never had data (R6), and no other life of
// this cluster exists (R1).
func (r *rules) founds(p *process, id cluster.MemberID, formed cluster.ID, list []cluster.MemberID) {
	if p.host.of != r.w.opts.Spec.Cluster {
		return
	}
	n := p.node
	r.must("R3", p.shown == "", "%s founds a cluster although its resolver shows: %s", n.Name, p.shown)
	r.must("R3", formed == n.ID, "%s founds cluster %s of %d members, expected %s of %d", n.Name, formed, len(list), n.ID, len(n.Gate.Peers))
	l := r.life(n.Token)
	l.ids[formed] = true
	r.must("R2", len(l.ids) == 1, "token %s has %d clusters", n.Token, len(l.ids))
	r.must("R6", !r.living[id], "member %s on %s begins again without its data", id, n.Name)
	r.hollow[id] = r.living[id]
	r.living[id], r.used[n.Name] = true, true
	l.members[id], l.names[n.Name] = true, true
	delete(l.served, n.Name)
	for _, h := range r.ours() {
		r.must("R1", h.Token == n.Token || h.log == nil || h.back != 0, "%s begins a life although %s holds data of token %s", n.Name, h.Name, h.Token)
	}
	if m := r.now(); m != nil && m.Token == n.Token {
		r.must("R2", m.Phase != cluster.Sealed, "%s begins a life in a cluster that is %s", n.Name, m.Phase)
		// A marker that was stamped again names only the hosts that were left.
		again := r.spoiledMarker()
		r.must("R3", again || m.Has(n.Name) && len(m.Members) == len(list), "%s founds a cluster of %d members, the marker has %s", n.Name, len(list), cluster.JoinMembers(m.Members))
	}
}

// boots checks a member that starts from data: they are its own (rule R6).
func (r *rules) boots(p *process, id cluster.MemberID) {
	r.must("R6", !p.host.older(), "%s starts with older data: its log ends at %d, the mark is at %d", p.node.Name, p.host.log.end, p.host.mark.end)
	r.must("R6", id == p.node.Member || r.hollow[id] || r.broken(p), "%s starts with the data of member %s, not %s", p.node.Name, id, p.node.Member)
}

// keeps: no write that was acknowledged is lost (rule R6). It is if the voters that
// lack it are a majority of those that vote: they can elect a leader without it.
func (r *rules) keeps(e *etcd, live []*process) {
	lacking, newest := 0, 0
	for _, p := range live {
		if !p.self.learner && p.end < e.written {
			lacking, newest = lacking+1, max(newest, p.end)
		}
	}
	lost := lacking > 0 && e.majority(lacking)
	r.must("R6", !lost, "%d of %d voters of cluster %s have no more than %d acknowledged writes of %d: the rest is lost", lacking, e.voters(), e.id, newest, e.written)
	if lost {
		e.written = newest // reported once
	}
}

// broken says that a member already founded another cluster than it should
// have, which was reported.
func (r *rules) broken(p *process) bool { return len(r.life(p.node.Token).ids) > 1 }

// serves notes that a member serves.
func (r *rules) serves(p *process) {
	if p.host.of == r.w.opts.Spec.Cluster {
		r.life(p.node.Token).served[p.node.Name] = p.of.id
	}
}
