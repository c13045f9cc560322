package sim

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/progress"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
)

// rules watch every effect. They know the whole truth of the world, and what
// a rule forgives because the world, not pleiad, brought it about: a marker
// that a stranger deleted is no proof that pleiad forgot it.
type rules struct {
	w          *World
	violations []string
	lives      map[cluster.Token]*life
	// living are all IDs that ever had data; hollow are those that were begun
	// again without it.
	living, hollow map[cluster.MemberID]bool
	// used are the names of hosts that ever held data.
	used map[cluster.MemberName]bool
	// struck is when a fault last befell a member or its host: who looked
	// before that could not know.
	struck map[cluster.MemberName]time.Time
	// unmarked is when a controller last deleted the marker, damaged when a
	// stranger last changed it: who looked before could not know.
	unmarked, damaged int
	// passed is when whoever deleted the marker had last seen the hosts.
	passed int
	// clocked is when a clock was last set, sealed when the marker was last
	// sealed.
	clocked, sealed int
	// unproven are the changes of certificates; see certifies.
	unproven map[cluster.MemberName]change
}

// life is what is known of one incarnation.
type life struct {
	owner cluster.Owner // who claimed it first
	ids   map[cluster.ID]bool
	// members are the IDs that had data, names those of their hosts.
	members map[cluster.MemberID]bool
	names   map[cluster.MemberName]bool
	// served are the clusters that its members have served in.
	served map[cluster.MemberName]cluster.ID
}

func newRules(w *World) rules {
	return rules{w: w, lives: map[cluster.Token]*life{}, living: map[cluster.MemberID]bool{},
		hollow: map[cluster.MemberID]bool{}, used: map[cluster.MemberName]bool{}, struck: map[cluster.MemberName]time.Time{},
		unproven: map[cluster.MemberName]change{}}
}

// Violations are the rules that were broken so far, each with its evidence.
func (w *World) Violations() []string { return w.rules.violations }

func (r *rules) life(t cluster.Token) *life {
	if r.lives[t] == nil {
		r.lives[t] = &life{ids: map[cluster.ID]bool{}, members: map[cluster.MemberID]bool{}, names: map[cluster.MemberName]bool{}, served: map[cluster.MemberName]cluster.ID{}}
	}
	return r.lives[t]
}

// must checks one rule.
func (r *rules) must(rule string, holds bool, evidence string, args ...any) {
	r.w.count("check: " + rule)
	if !holds {
		text := rule + " violated: " + fmt.Sprintf(evidence, args...)
		r.violations = append(r.violations, text)
		r.w.log("RULE", rule, "", text)
	}
}

// marker is the one in the zone, nil if there is none that can be read.
func (r *rules) marker(records cluster.Records) *cluster.Marker {
	set, ok := records.Get(r.w.opts.Spec.MarkerKey())
	if !ok {
		return nil
	}
	for _, v := range set.Values {
		if m, err := cluster.ParseMarker(v); err == nil {
			return &m
		}
	}
	return nil
}

func (r *rules) now() *cluster.Marker { return r.marker(r.w.zone.snapshot()) }

func (r *rules) spoiledMarker() bool {
	return r.w.zone.spoiled[r.w.opts.Spec.MarkerKey()]
}

// writes: what an unknown outcome left unknown is read before it is written
// again (rule R12), and a copy of a state directory only looks (rule R15). Who cannot
// read whether it is one starts sealed members all the same (R13).
func (r *rules) writes(o *op) {
	looks := o.by.store != nil && o.by.store.control.Copy != "" && !(o.by.unread && o.verb == "start")
	r.must("R15", !looks, "%s acts from a copy of a state directory: %s %s", o.by.Name, o.verb, o.object)
	for _, what := range targets(o) {
		r.must("R12", !o.by.unsure[what], "%s writes %s again after an unknown outcome, without a look", o.by.Name, what)
	}
}

// targets are what a call writes.
func targets(o *op) []string {
	if o.records != nil {
		return o.records
	}
	return []string{o.object + ": " + o.verb}
}

// answered notes unknown outcomes, and that no error text holds a key.
func (r *rules) answered(o *op) {
	if o.err != nil {
		r.must("R15", !strings.Contains(o.err.Error(), secret), "the error of %s holds a key", o.verb)
	}
	if o.kind == write && errors.Is(o.err, o.errs.lost) {
		for _, what := range targets(o) {
			o.by.unsure[what] = true
		}
	}
}

func (r *rules) reads(c *Controller, object string) { r.readsAll(c, object) }

func (r *rules) readsAll(c *Controller, prefix string) {
	maps.DeleteFunc(c.unsure, func(what string, _ bool) bool { return strings.HasPrefix(what, prefix) })
}

// said: nothing that is told to people holds a key.
func (r *rules) said(e progress.Event) {
	r.must("R15", !strings.Contains(e.Detail+e.Error, secret), "event %s holds a key", e.Kind)
}

// changed checks a change of records.
func (r *rules) changed(c *Controller, changes []cluster.Change, before cluster.Records) {
	spec, after := r.w.opts.Spec, r.w.zone.snapshot()
	for _, ch := range changes {
		r.must("R10", dns.Owns(spec, ch.Key), "%s changes %s %s", c.Name, ch.Name, ch.Type)
		if ch.New != nil {
			r.must("R15", !strings.Contains(ch.New.String(), secret), "%s publishes a key in %s", c.Name, ch.Name)
		}
	}
	for _, k := range sorted(maps.Keys(r.w.zone.foreign)) {
		was, _ := before.Get(k)
		is, _ := after.Get(k)
		for _, v := range r.w.zone.foreign[k] {
			// Of a host that is gone nobody knows which address was its own.
			forgiven := r.hostless(k)
			removed := slices.Contains(was.Values, v) && !slices.Contains(is.Values, v)
			r.must("R10", forgiven || !removed, "%s removes the foreign value %q of %s %s", c.Name, v, k.Name, k.Type)
		}
	}
	was, is := r.marker(before), r.marker(after)
	r.forgets(c, before, after, is != nil)
	r.turns(c, was, is)
	r.publishes(c, is, changes, after)
}

// disowns: who made a cluster forgets it only when nothing of it is left that
// could be seen (rule R1).
func (r *rules) disowns(c *Controller, o cluster.Owner) {
	for _, h := range r.ours() {
		since := max(h.made, h.back)
		r.must("R1", r.life(h.Token).owner != o || o == "" || since > c.listed, "%s forgets the cluster although host %s exists", c.Name, h.Name)
	}
}

// turns checks the marker's way: claim, seal, destroy, gone (rules R1, R2,
// R11).
func (r *rules) turns(c *Controller, was, is *cluster.Marker) {
	switch {
	case was == nil && is == nil:
		r.must("R11", false, "%s changes records without a marker", c.Name)
	case was == nil:
		r.claims(c, *is)
	case is == nil:
		r.leaves(c, *was)
	default:
		r.must("R11", is.Generation == was.Generation+1, "%s writes generation %d after %d", c.Name, is.Generation, was.Generation)
		r.must("R2", is.Token == was.Token, "%s turns token %s into %s", c.Name, was.Token, is.Token)
		r.must("R2", order(is.Phase) >= order(was.Phase), "%s turns %s into %s", c.Name, was.Phase, is.Phase)
		r.must("R2", was.ID == 0 || is.ID == was.ID, "%s turns cluster %s into %s", c.Name, was.ID, is.ID)
		for _, h := range r.ours() {
			sealed := h.node != nil && h.node.Sealed && h.node.Token == is.Token && max(h.known, h.back) <= c.listed
			r.must("R2", !sealed || is.Phase != cluster.Bootstrapping, "%s writes that the cluster is %s although %s knows that it is sealed", c.Name, is.Phase, h.Name)
		}
		r.must("R10", is.Owner == was.Owner, "%s takes the cluster of owner %s for owner %s", c.Name, was.Owner, is.Owner)
		// Only who was taken off a marker by somebody else is put back.
		back := r.spoiledMarker() && !slices.ContainsFunc(was.Members, func(name cluster.MemberName) bool { return !is.Has(name) })
		r.resizes(c, *was, *is, back)
		r.operates(c, *was, *is)
		if was.Phase != is.Phase && is.Phase == cluster.Sealed {
			r.seals(c, *is)
		}
	}
}

func order(p cluster.Phase) int {
	return slices.Index([]cluster.Phase{cluster.Bootstrapping, cluster.Sealed, cluster.Destroying}, p)
}

// claims: absence never means new (rule R1).
func (r *rules) claims(c *Controller, m cluster.Marker) {
	if m.Phase == cluster.Destroying {
		late := slices.ContainsFunc(r.ours(), func(h *host) bool { return h.late })
		// A destroy did not find a host whose address had left the spec, and deleted
		// the marker without it.
		refound := slices.ContainsFunc(r.ours(), func(h *host) bool { return h.strayed < r.unmarked && r.passed < h.back })
		r.must("R2", late || refound || r.spoiledMarker() || r.unmarked > c.listed, "%s stamps a marker where none was lost", c.Name)
		return
	}
	r.must("R2", m.Phase == cluster.Bootstrapping, "%s begins with a marker that is %s", c.Name, m.Phase)
	for _, h := range r.w.strays() {
		r.besides(c, h)
	}
	for _, h := range r.ours() {
		// Two controllers cannot claim at once, but for a stranger who deletes
		// the first one's marker before the second has noticed its hosts.
		unseen := (h.late || r.spoiledMarker()) && h.made > c.listed || h.back > c.listed
		r.must("R1", unseen, "%s bootstraps although host %s of token %s exists", c.Name, h.Name, h.Token)
	}
	r.must("R13", len(m.Members) == c.size, "%s claims %d members, its spec wants %d", c.Name, len(m.Members), c.size)
	r.must("R1", r.lives[m.Token] == nil, "%s bootstraps under token %s again", c.Name, m.Token)
	r.life(m.Token).owner = m.Owner
	for _, n := range m.Members {
		r.must("R6", !r.used[n], "%s claims the used name %s", c.Name, n)
	}
}

// hostless says whether a record set is of the address of no host that a listing
// can have.
func (r *rules) hostless(k cluster.Key) bool {
	m, ok := r.w.opts.Spec.MemberOf(k.Name)
	h := r.w.host(r.w.opts.Spec.Cluster, m)
	return ok && k.Type != cluster.SRV && (h == nil || h.astray)
}

// ours are the hosts of the cluster that a listing can have.
func (r *rules) ours() []*host {
	var out []*host
	for _, h := range r.w.hosts {
		if h.of == r.w.opts.Spec.Cluster && !h.astray {
			out = append(out, h)
		}
	}
	return out
}

// leaves: the marker goes last (rule R2).
func (r *rules) leaves(c *Controller, m cluster.Marker) {
	r.unmarked, r.passed = r.w.moment(), c.listed
	for _, h := range r.w.strays() {
		if m.Has(h.Name) {
			r.besides(c, h)
		}
	}
	r.must("R2", m.Phase == cluster.Destroying, "%s deletes a marker that is %s", c.Name, m.Phase)
	for _, h := range r.ours() {
		r.must("R2", h.Token != m.Token || h.late && h.made > c.listed || h.back > c.listed, "%s deletes the marker before host %s", c.Name, h.Name)
	}
	for _, k := range r.w.zone.keys() {
		if dns.Owns(r.w.opts.Spec, k) && r.provable(k, m) {
			// Without the first marker nobody knows all that was ours.
			r.must("R2", r.w.zone.spoiled[k] || r.spoiledMarker() || len(r.w.zone.foreign) > 0, "%s deletes the marker before %s %s", c.Name, k.Name, k.Type)
		}
	}
}

// provable says whether a record set can be told to be this life's: after a
// stranger deleted the marker, a destroy knows only the hosts that are left.
func (r *rules) provable(k cluster.Key, m cluster.Marker) bool {
	spec := r.w.opts.Spec
	named := func(name string) bool {
		n, ok := spec.MemberOf(name)
		return ok && m.Has(n)
	}
	if k.Type != cluster.SRV {
		return k.Type == cluster.TXT || named(k.Name)
	}
	return slices.ContainsFunc(r.w.zone.get(k).Values, func(v string) bool {
		s, err := cluster.ParseService(v)
		return err == nil && named(s.Target)
	})
}

// seals: every member has reported the one cluster ID computed beforehand
// (rule R2).
func (r *rules) seals(c *Controller, m cluster.Marker) {
	r.sealed = r.w.moment()
	l := r.life(m.Token)
	for _, n := range m.Members {
		r.must("R2", m.ID != 0 && l.served[n] == m.ID, "%s seals cluster %s, but %s has served in %s", c.Name, m.ID, n, l.served[n])
	}
}

// publishes checks what DNS says about members (rule R8).
func (r *rules) publishes(c *Controller, m *cluster.Marker, changes []cluster.Change, after cluster.Records) {
	spec := r.w.opts.Spec
	for _, ch := range changes {
		if ch.Type != cluster.SRV || ch.New == nil || dns.Same(ch.Old, ch.New) {
			continue
		}
		client := ch.Name == spec.ClientService()
		for _, v := range ch.New.Values {
			if ch.Old != nil && slices.Contains(ch.Old.Values, v) {
				continue // left as it was
			}
			if client {
				r.must("R8", m != nil && m.Phase == cluster.Sealed, "%s publishes %s before the cluster is sealed", c.Name, ch.Name)
			}
			s, _ := cluster.ParseService(v)
			_, has := after.Get(cluster.Key{Name: s.Target, Type: cluster.A})
			r.must("R8", has, "%s publishes %s, which has no address", c.Name, s.Target)
			n, _ := spec.MemberOf(s.Target)
			r.must("R8", m != nil && m.Has(n), "%s publishes %s, which is no member", c.Name, s.Target)
			if client && m != nil {
				r.must("R8", r.life(m.Token).served[n] != 0, "%s sends clients to %s, which has never served", c.Name, n)
			}
		}
	}
}

// installs: a node holds no key (rule R15), and once the cluster is sealed it
// pins every member, itself included (rule R9). What a host knows is never taken from it (rule R2), and its own data is not
// given to another member (R6).
func (r *rules) installs(c *Controller, h *host, n node.Node) {
	if h.of == r.w.opts.Spec.Cluster {
		if h.node != nil {
			r.must("R2", n.Sealed || !h.node.Sealed, "%s unseals the node of %s", c.Name, h.Name)
			r.must("R2", n.Token == h.node.Token, "%s installs a node of token %s over one of %s on %s", c.Name, n.Token, h.node.Token, h.Name)
			r.must("R2", n.Generation >= h.node.Generation, "%s installs a node of generation %d over one of %d on %s", c.Name, n.Generation, h.node.Generation, h.Name)
		}
		r.must("R6", h.log == nil || h.log.member == n.Member && h.log.cluster == n.ID, "%s installs the node of member %s of cluster %s beside data of %v on %s", c.Name, n.Member, n.ID, h.log, h.Name)
	}
	if m := r.now(); m != nil && n.Sealed && m.Token == n.Token && m.Phase == cluster.Sealed && r.damaged <= c.listed {
		for _, name := range m.Members {
			if resizing(m.Op) && m.Op.Member == name {
				continue
			}
			_, pinned := n.Pins[r.w.opts.Spec.HostName(name)]
			r.must("R9", pinned, "%s installs a node on %s that does not pin %s", c.Name, n.Name, name)
		}
	}
	r.must("R15", !strings.Contains(strings.Join(n.Args, " "), secret), "%s puts a key into the flags of %s", c.Name, n.Name)
}
