package sim

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/onhost/member"
	contract "github.com/pleiad-etcd/pleiad/internal/world/etcd"
)

// Changer changes the member list of one cluster for one controller. It implements
// etcd.Changer.
type Changer struct {
	c  *Controller
	of cluster.Name
}

// change lets the first of the hosts that can be asked change its cluster's list,
// which takes a quorum.
func (c Changer) change(ctx context.Context, via []cluster.Host, verb, object string, effect func(*etcd) error) error {
	e := errs{failed: fmt.Errorf("%s %s: %w", verb, object, contract.ErrUnreachable), lost: fmt.Errorf("%s %s: %w", verb, object, contract.ErrUnknownOutcome)}
	return c.c.call(ctx, &op{kind: write, verb: verb, object: "list of members: " + object, errs: e}, func(*op) error {
		w := c.c.w
		for _, v := range via {
			h := w.host(c.of, v.Name)
			if h == nil || h.process == nil || !h.process.ready || h.unreachable || w.dark[h.Address] || c.c.handshake(h) != nil {
				continue
			}
			if p := h.process; !p.of.led(p) || p.self == nil {
				return fmt.Errorf("%s %s: etcdserver: request timed out: %w", verb, object, contract.ErrUnknownOutcome)
			}
			if err := effect(h.process.of); err != nil {
				return fmt.Errorf("%s %s: %w", verb, object, err)
			}
			w.settle(h.process.of)
			return nil
		}
		return e.failed
	})
}

// AddLearner implements etcd.Changer.
func (c Changer) AddLearner(ctx context.Context, via []cluster.Host, peerURL string) (id cluster.MemberID, err error) {
	err = c.change(ctx, via, "add learner", peerURL, func(e *etcd) error {
		w := c.c.w
		for _, l := range e.members {
			switch {
			case slices.Contains(l.urls, peerURL):
				return contract.ErrExists
			case l.learner:
				return fmt.Errorf("%w: too many learner members in cluster", contract.ErrRefused)
			case l.process == nil || !e.linked(e.leader, l.id):
				return fmt.Errorf("%w: unhealthy cluster", contract.ErrRefused)
			}
		}
		_, rest, _ := strings.Cut(peerURL, "://")
		name, _, _ := strings.Cut(rest, ":")
		l := &listed{id: cluster.BootstrapMemberID(peerURL, cluster.Token(fmt.Sprint(w.moment()))), urls: []string{peerURL}, host: name, learner: true}
		w.rules.adds(c.c, e, l)
		e.members = append(e.members, l)
		slices.SortFunc(e.members, func(a, b *listed) int { return cmp.Compare(a.id, b.id) })
		id = l.id
		w.write(e)
		return nil
	})
	return id, err
}

// Promote implements etcd.Changer.
func (c Changer) Promote(ctx context.Context, via []cluster.Host, id cluster.MemberID) error {
	return c.change(ctx, via, "promote", id.String(), func(e *etcd) error {
		l := e.entry(id)
		switch {
		case l == nil:
			return contract.ErrNotFound
		case !l.learner:
			return contract.ErrExists
		case l.process == nil || l.process.end < e.written || !e.linked(e.leader, id):
			return fmt.Errorf("%w: can only promote a learner member which is in sync with leader", contract.ErrRefused)
		}
		c.c.w.rules.promotes(c.c, e, l)
		l.learner = false
		c.c.w.write(e)
		return nil
	})
}

// Remove implements etcd.Changer.
func (c Changer) Remove(ctx context.Context, via []cluster.Host, id cluster.MemberID) error {
	return c.change(ctx, via, "remove", id.String(), func(e *etcd) error {
		l, w := e.entry(id), c.c.w
		if l == nil {
			return contract.ErrNotFound
		}
		if rest := e.alive(id); !l.learner && rest < cluster.Quorum(e.voters()-1) {
			return fmt.Errorf("%w: unhealthy cluster", contract.ErrRefused)
		}
		w.rules.removes(c.c, e, l)
		w.write(e) // before it is gone: it knows of it
		e.unlink(id)
		e.members = slices.DeleteFunc(e.members, func(o *listed) bool { return o == l })
		if l.process != nil {
			e.removed = append(e.removed, l.process)
		}
		return nil
	})
}

// MoveLeader implements etcd.Changer.
func (c Changer) MoveLeader(ctx context.Context, via []cluster.Host, to cluster.MemberID) error {
	return c.change(ctx, via[:1], "move leader", to.String(), func(e *etcd) error {
		l, from := e.entry(to), c.c.w.host(c.of, via[0].Name).process
		if l == nil || l.learner || !e.linked(e.leader, to) || e.leader != from.self.id {
			return fmt.Errorf("%w: bad leader transferee", contract.ErrRefused)
		}
		e.term++
		e.leader = to
		return nil
	})
}

// expel ends the processes of members that were removed, as soon as any of the others
// can tell them.
func (w *World) expel(e *etcd) {
	for _, p := range e.removed {
		if p.host.process == p && !p.host.isolated {
			w.after(w.between(time.Millisecond, 100*time.Millisecond), func() {
				if p.host.process == p {
					w.end(p.host, "the member has been permanently removed from the cluster")
				}
			})
		}
	}
	e.removed = slices.DeleteFunc(e.removed, func(p *process) bool { return p.host.process != p || !p.host.isolated })
}

// join is the gate of a member that joins: the peers' list, as member.CheckJoin
// compares it.
func (w *World) join(p *process) {
	h := p.host
	if h.process != p {
		return
	}
	if err := member.Replaced(p.node, h.node); err != nil {
		w.end(h, err.Error())
		return
	}
	e := w.etcds[p.node.ID]
	wrong := w.unlisted(p, e)
	if e != nil && e.entry(p.node.Member) != nil && e.entry(p.node.Member).name != "" && !w.opts.NoGate {
		w.end(h, "R6: its peers list it as one that has started before, and it has no data")
		return
	}
	if wrong != "" {
		p.gate = "R6: " + wrong
		w.started(p, nil)
		w.after(p.pause, func() { w.join(p) })
		p.pause = min(2*p.pause, 500*time.Millisecond)
		return
	}
	p.gate = ""
	if !h.begun {
		h.begun, h.born, h.fresh = true, false, true
		h.known = w.moment()
	}
	w.after(w.between(10*time.Millisecond, 60*time.Millisecond), func() {
		l := e.entry(p.node.Member)
		if h.process != p {
			return
		}
		if l == nil {
			w.end(h, "the member has been permanently removed from the cluster")
			return
		}
		w.rules.joins(p, e, l)
		w.log(string(h.Name), "joins", l.id.String(), "cluster "+e.id.String())
		w.after(w.between(time.Millisecond, 10*time.Millisecond), func() { h.born = h.born || h.log != nil })
		h.log = &identity{member: l.id, cluster: e.id}
		w.boot(p, e)
	})
}

// unlisted is what is wrong with the list that the peers of a joiner show.
func (w *World) unlisted(p *process, e *etcd) string {
	switch {
	case e == nil:
		return "no peer answers"
	case !slices.ContainsFunc(e.live(), func(peer *process) bool {
		return peer.listening && !peer.host.isolated && !p.host.isolated && w.trusts(p.host, peer.host)
	}):
		return "no peer answers"
	case e.entry(p.node.Member) == nil:
		return "its peers do not list it yet"
	case len(e.members) != len(p.node.Gate.Peers):
		return "its peers list other members"
	}
	return ""
}
