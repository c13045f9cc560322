package sim

import "github.com/pleiad-etcd/pleiad/internal/cluster"

// operates checks the operation on the marker of a sealed cluster (rule R4): one
// is begun while everybody serves, and ends, or makes room for another, when its
// member serves again. What struck a member after the controller had last seen it
// serve, that one could not know.
func (r *rules) operates(c *Controller, was, is cluster.Marker) {
	e := r.w.etcds[is.ID]
	if was.Op == is.Op || is.Phase != cluster.Sealed || e == nil || r.damaged > c.listed {
		return
	}
	for _, l := range e.members {
		known := l.process != nil && l.process.well() || r.fell(c, l.name)
		if was.Op.Member == l.name {
			r.must("R4", known, "%s takes %s off the marker before that member serves", c.Name, was.Op)
		}
		if is.Op.Member != "" {
			r.must("R4", known, "%s begins %s although %s does not serve", c.Name, is.Op, l.name)
		}
	}
}

// restarts: no member of a sealed cluster is stopped but the one on the marker
// (rule R4).
func (r *rules) restarts(c *Controller, h *host, m cluster.Marker) {
	restart := cluster.Operation{Kind: cluster.Restart, Member: h.Name}
	r.must("R4", m.Op == restart, "%s stops %s, but the operation on the marker is %q", c.Name, h.Name, m.Op)
}

// well says that a member serves, as far as its peers can tell.
func (p *process) well() bool { return p.ready && !p.stopping && !p.host.isolated }

// fell says whether something struck a member since a controller last saw it serve.
// At the same moment, it was after that: a member that was struck does not serve.
func (r *rules) fell(c *Controller, name cluster.MemberName) bool {
	at, struck := r.struck[name]
	return struck && !at.Before(c.looked[name])
}
