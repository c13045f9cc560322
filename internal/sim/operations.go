package sim

import (
	"slices"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// operates checks the operation on the marker of a sealed cluster (rule R4): one
// is begun while everybody serves, and ends, or makes room for another, when its
// member serves again. What struck a member after the controller had last seen it
// serve, that one could not know.
func (r *rules) operates(c *Controller, was, is cluster.Marker) {
	e := r.w.etcds[is.ID]
	if resizing(was.Op) || resizing(is.Op) {
		r.changes(c, was, is)
		return
	}
	if was.Op == is.Op || is.Phase != cluster.Sealed || e == nil || r.damaged > c.listed {
		return
	}
	for _, l := range e.members {
		known := l.process != nil && l.process.well() || r.fell(c, l.name)
		if was.Op.Member == l.name {
			r.must("R4", known || r.perished(l.name), "%s takes %s off the marker before that member serves", c.Name, was.Op)
		}
		if is.Op.Member != "" {
			r.must("R4", known, "%s begins %s although %s does not serve", c.Name, is.Op, l.name)
		}
	}
}

// restarts: no member of a sealed cluster is stopped but the one on the marker
// (rule R4).
func (r *rules) restarts(c *Controller, h *host, m cluster.Marker) {
	r.must("R4", m.Op.Kind == cluster.Restart && m.Op.Member == h.Name, "%s stops %s, but the operation on the marker is %q", c.Name, h.Name, m.Op)
}

// well says that a member serves, as far as its peers can tell.
func (p *process) well() bool { return p.ready && !p.stopping && !p.host.isolated }

// fell says whether something struck a member since a controller last saw it serve.
// At the same moment, it was after that: a member that was struck does not serve.
func (r *rules) fell(c *Controller, name cluster.MemberName) bool {
	at, struck := r.struck[name]
	return struck && !at.Before(c.looked[name])
}

// perished says whether a member cannot return: its host or its data is gone.
func (r *rules) perished(name cluster.MemberName) bool {
	h := r.w.host(r.w.opts.Spec.Cluster, name)
	return h == nil || h.process == nil && (h.log == nil || h.older())
}

// returned says whether a member began after a controller had seen, in its look at
// hosts of now, that it had ended: who names it then gives up one that does not run.
func (r *rules) returned(c *Controller, name cluster.MemberName) bool {
	h := r.w.host(r.w.opts.Spec.Cluster, name)
	return h != nil && h.process != nil && c.inspected[name] > c.listed && h.process.began > c.inspected[name]
}

func resizing(op cluster.Operation) bool { return op.Kind == cluster.Add || op.Kind == cluster.Remove }

// changes checks that one change of the members follows the other (rule R4): one is
// begun where there is none, an addition may be given up, and one ends only with what
// it was for.
func (r *rules) changes(c *Controller, was, is cluster.Marker) {
	e := r.w.etcds[is.ID]
	if e == nil || r.damaged > c.listed || was.Op == is.Op || is.Phase != cluster.Sealed {
		return
	}
	givesUp := was.Op.Kind == cluster.Add && is.Op == cluster.Operation{Kind: cluster.Remove, Member: was.Op.Member}
	ends := is.Op == cluster.Operation{} || was.Op.For != "" && is.Op == cluster.Operation{Kind: cluster.Remove, Member: was.Op.For}
	r.must("R4", was.Op == cluster.Operation{} || givesUp || ends, "%s turns %s into %s", c.Name, was.Op, is.Op)
	if is.Op.Kind == cluster.Remove && was.Op == (cluster.Operation{}) && len(is.Members) <= c.size {
		r.must("R14", !c.heard[is.Op.Member] || r.returned(c, is.Op.Member), "%s gives up %s, from which others hear", c.Name, is.Op.Member)
	}
	if was.Op.Kind == cluster.Remove {
		l := e.named(r.w.opts.Spec, was.Op.Member)
		r.must("R4", l == nil || is.Has(was.Op.Member), "%s ends %s, and the member is on the list", c.Name, was.Op)
	}
	if was.Op.Kind == cluster.Add && !givesUp {
		l := e.named(r.w.opts.Spec, was.Op.Member)
		r.must("R4", l != nil && !l.learner, "%s ends %s, and the member does not vote", c.Name, was.Op)
	}
}

// named is the entry of a member by the host name in its URL.
func (e *etcd) named(spec cluster.Spec, name cluster.MemberName) *listed {
	for _, l := range e.members {
		if l.host == spec.HostName(name) {
			return l
		}
	}
	return nil
}

// resizes: the members on the marker change only with an operation for it, towards
// the size of the spec or in the place of a member that is lost (rule R13).
func (r *rules) resizes(c *Controller, was, is cluster.Marker, back bool) {
	if is.Phase == cluster.Destroying || back || slices.Equal(is.Members, was.Members) {
		return
	}
	added := len(is.Members) == len(was.Members)+1 && is.Op.Kind == cluster.Add && is.Has(is.Op.Member) && !was.Has(is.Op.Member)
	left := len(is.Members) == len(was.Members)-1 && was.Op.Kind == cluster.Remove && was.Has(was.Op.Member) && !is.Has(was.Op.Member)
	r.must("R13", added || left, "%s turns the members %v into %v with %s", c.Name, was.Members, is.Members, is.Op)
	if added {
		r.must("R6", !r.used[is.Op.Member], "%s adds a member under the used name %s", c.Name, is.Op.Member)
		size := c.size
		if is.Op.For != "" { // which leaves once this one has joined
			size++
		}
		r.must("R13", len(is.Members) <= size, "%s adds a member to %d, its spec wants %d", c.Name, len(was.Members), c.size)
	}
}

// adds: the marker named the member that is added (rule R4) when the controller looked,
// which it does for each attempt, and its address is in DNS (R8). Between that look and
// what etcd does, another controller may give the addition up.
func (r *rules) adds(c *Controller, m *cluster.Marker, e *etcd, l *listed) {
	spec := r.w.opts.Spec
	if r.damaged > c.listed || m == nil && r.spoiledMarker() {
		return
	}
	r.must("R4", m != nil && m.Op.Kind == cluster.Add && spec.HostName(m.Op.Member) == l.host, "%s adds %s, but the operation on the marker was %v", c.Name, l.host, m)
	k := cluster.Key{Name: l.host + ".", Type: cluster.A}
	_, has := r.w.zone.snapshot().Get(k)
	now := r.now()
	late := now == nil || m == nil || now.Op != m.Op
	r.must("R8", has || late || r.w.zone.spoiled[k], "%s adds %s, which has no address", c.Name, l.host)
}

// promotes: what votes is counted before (rule R5).
func (r *rules) promotes(c *Controller, m *cluster.Marker, e *etcd, l *listed) {
	if r.damaged > c.listed || m == nil && r.spoiledMarker() {
		return
	}
	r.must("R4", m != nil && m.Op.Kind == cluster.Add && r.w.opts.Spec.HostName(m.Op.Member) == l.host, "%s promotes %s, but the operation on the marker was %v", c.Name, l.host, m)
	alive := e.alive(l.id) + 1
	r.must("R5", alive >= cluster.Quorum(e.voters()+1), "%s promotes %s: %s", c.Name, l.host, cluster.Arithmetic(alive, e.voters()+1))
}

// removes: the rest stays a quorum (rule R5), the marker says so (R4), clients were
// sent away before (R8), and one that the controller has seen to serve goes only where
// there are more than the spec wants (R7).
func (r *rules) removes(c *Controller, m *cluster.Marker, e *etcd, l *listed) {
	spec := r.w.opts.Spec
	if r.damaged > c.listed || m == nil && r.spoiledMarker() {
		return
	}
	r.must("R4", m != nil && m.Op.Kind == cluster.Remove && spec.HostName(m.Op.Member) == l.host, "%s removes %s, but the operation on the marker was %v", c.Name, l.host, m)
	k := cluster.Key{Name: spec.ClientService(), Type: cluster.SRV}
	set := r.w.zone.get(k)
	r.must("R8", set == nil || !strings.Contains(set.String(), " "+l.host+".") || r.w.zone.spoiled[k], "%s removes %s while clients are still sent to it", c.Name, l.host)
	if name, ours := spec.MemberOf(l.host + "."); ours && m != nil && !l.learner && l.process != nil && l.process.well() {
		seen := c.served[name].After(l.process.since) && c.served[name].After(r.struck[name])
		r.must("R7", !seen || len(m.Members) > c.size, "%s removes %s, which serves, from %d members", c.Name, l.host, len(m.Members))
	}
	if !l.learner {
		rest := e.alive(l.id)
		r.must("R5", rest >= cluster.Quorum(e.voters()-1), "%s removes %s: %s", c.Name, l.host, cluster.Arithmetic(rest, e.voters()-1))
	}
}

// joins checks a member that begins a life in a running cluster: it is a learner that
// never had data (rule R6), and its peers can find it (R8).
func (r *rules) joins(p *process, e *etcd, l *listed) {
	if p.host.of != r.w.opts.Spec.Cluster {
		return
	}
	n := p.node
	r.must("R6", !r.living[l.id] && l.name == "", "member %s on %s begins again without its data", l.id, n.Name)
	r.must("R7", l.learner, "%s begins as a voter without data", n.Name)
	r.must("R6", !r.used[n.Name], "%s begins under a used name", n.Name)
	r.hollow[l.id] = r.living[l.id]
	r.living[l.id], r.used[n.Name] = true, true
	life := r.life(n.Token)
	life.members[l.id], life.names[n.Name] = true, true
	delete(life.served, n.Name)
}
