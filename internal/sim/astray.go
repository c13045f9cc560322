package sim

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// A host goes astray when no listing has it any more while its member runs on:
// its folder was removed by hand, or its address left the spec.

// lose lets a host go astray. A folder does not come back, and what was in it is
// gone; an address is put back after a while. Beside a zone that is damaged its
// process is proven: a marker from before the list was published, and a process
// that nobody can tell, is what rule R2 cannot see.
func (w *World) lose(h *host) {
	h.astray, h.strayed = true, w.moment()
	if w.given() {
		w.after(w.between(time.Second, 90*time.Second), func() { w.refind(h) })
		return
	}
	h.proven = w.chance.IntN(3) > 0 || w.rules.damaged > 0
	h.node, h.digest, h.log, h.fresh = nil, "", nil, false
}

// refind puts the address of a machine back into the spec.
func (w *World) refind(h *host) {
	if h.astray && w.given() {
		h.astray, h.back = false, w.moment()
	}
}

// strays are the hosts of the cluster whose members run and which no listing has.
func (w *World) strays() []*host {
	return slices.DeleteFunc(slices.Clone(w.hosts), func(h *host) bool { return h.of != w.opts.Spec.Cluster || !h.astray || h.process == nil })
}

// Trace implements hosts.Provider. Not every process can be proven to be a
// member's.
func (p Hosts) Trace(ctx context.Context) ([]cluster.Host, error) {
	var out []cluster.Host
	err := p.c.call(ctx, &op{kind: read, verb: "trace hosts", object: string(p.of), errs: hostErrs()}, func(*op) error {
		for _, h := range p.c.w.hosts {
			if h.of == p.of && h.astray && h.proven && h.process != nil {
				p.c.w.rules.readsAll(p.c, "node "+string(h.Name)) // whether it runs is what a stop left unknown
				out = append(out, cluster.Host{Name: h.Name, Paths: h.Paths,
					Node: cluster.Known(cluster.Node{Process: cluster.Process{Running: true, PID: h.process.pid}})})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// End is a person who ends the members that a text names and whose hosts are
// astray.
func (w *World) End(text string) {
	for _, h := range w.strays() {
		if strings.Contains(text, string(h.Name)) {
			w.log("person", "ends", string(h.Name), "")
			w.end(h, "ended by hand")
		}
	}
}

// Dispose is a person who removes the hosts that a text names, or whose machines.
func (w *World) Dispose(text string) {
	for _, h := range w.rules.ours() {
		if strings.Contains(text, string(h.Name)) || strings.Contains(text, "on "+h.Address.String()+",") {
			w.log("person", "removes", string(h.Name), "")
			if h.process != nil {
				w.end(h, "ended by hand")
			}
			w.remove(h)
		}
	}
}

// besides checks that nothing is begun, made again or forgotten beside a member
// whose folder was removed and whose process is proven (rules R1, R6).
func (r *rules) besides(c *Controller, h *host) {
	seen := h.proven && h.process != nil && h.strayed <= c.listed
	r.must("R1", !seen, "%s acts as if %s had ended, which runs and whose folder was removed", c.Name, h.Name)
}

// forgets checks a change of records by a destroy: as long as there is a marker,
// the records say of a member that runs and whose host was not found, where it
// is. Whoever deletes the marker with them owes its name to people (rule R1).
func (r *rules) forgets(c *Controller, before, after cluster.Records, marked bool) {
	spec := r.w.opts.Spec
	for _, h := range r.w.strays() {
		m := r.marker(before)
		if m == nil || m.Token != h.Token || !m.Has(h.Name) || h.strayed > c.listed {
			continue
		}
		if e := r.w.etcds[m.ID]; e != nil && marked && e.named(spec, h.Name) == nil {
			continue // it is no longer a member
		}
		_, was := spec.Peer(before, h.Name)
		_, is := spec.Peer(after, h.Name)
		r.must("R1", !was || is || !marked, "%s withdraws the records of %s, whose member runs and whose host was not found", c.Name, h.Name)
		if was && !marked {
			c.owed = append(c.owed, h)
		}
	}
}

// Told checks that a destroy has said of no member that nothing is left of it
// while it runs (rule R1).
func (w *World) Told(c *Controller, missing []cluster.Host) {
	for _, h := range c.owed {
		named := slices.ContainsFunc(missing, func(m cluster.Host) bool { return m.Name == h.Name })
		w.rules.must("R1", named || h.process == nil, "%s says that nothing is left while %s runs", c.Name, h.Name)
	}
}
