package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/onhost/member"
	contract "github.com/pleiad-etcd/pleiad/internal/world/etcd"
)

// Changes of a member list, as etcd v3.7.3 makes them with --strict-reconfig-check:
// server/etcdserver/server.go (mayAddMember, mayPromoteMember, mayRemoveMember),
// server/etcdserver/api/membership/cluster.go.

// What etcd says when it refuses.
var (
	errUnhealthy       = errors.New("etcdserver: unhealthy cluster")
	errNotStarted      = errors.New("etcdserver: re-configuration failed due to not enough started members")
	errTooManyLearners = errors.New("etcdserver: too many learner members in cluster")
	errNotReady        = errors.New("etcdserver: can only promote a learner member which is in sync with leader")
	errNotLeader       = errors.New("etcdserver: not leader")
	errTransferee      = errors.New("etcdserver: bad leader transferee")
	errTooSoon         = errors.New("a member with this peer URL was removed within the same second")
)

// How long the client waits for a member and for a change, and how long members must
// have been connected before etcd adds another.
const (
	silence     = 2 * time.Second
	changeLimit = 10 * time.Second
	steady      = 5 * time.Second
)

// Changer changes the member list of one cluster for one controller. It implements
// etcd.Changer.
type Changer struct {
	c  *Controller
	of cluster.Name
}

func listOf(of cluster.Name) string { return "member list of " + string(of) }

// AddLearner implements etcd.Changer.
func (c Changer) AddLearner(ctx context.Context, via []cluster.Host, peerURL string) (id cluster.MemberID, err error) {
	u, err := url.Parse(peerURL)
	if err != nil {
		return 0, fmt.Errorf("add learner %s: %w: %w", peerURL, contract.ErrRefused, err)
	}
	err = c.change(ctx, via, "add learner "+peerURL, func(p *process, m *cluster.Marker) error {
		// As etcd makes it, of the URL and of the second.
		id = cluster.BootstrapMemberID(peerURL, cluster.Token(fmt.Sprint(time.Now().Unix())))
		l := &listed{id: id, urls: []string{peerURL}, host: u.Hostname(), learner: true}
		if err := p.mayAdd(l); err != nil {
			return err
		}
		c.c.w.rules.adds(c.c, m, p.of, l)
		p.of.add(l)
		return nil
	})
	return id, err
}

// Promote implements etcd.Changer.
func (c Changer) Promote(ctx context.Context, via []cluster.Host, id cluster.MemberID) error {
	return c.change(ctx, via, "promote member "+id.String(), func(p *process, m *cluster.Marker) error {
		l := p.of.entry(id)
		if err := p.of.mayPromote(l); err != nil {
			return err
		}
		c.c.w.rules.promotes(c.c, m, p.of, l)
		l.learner = false
		p.of.relist()
		return nil
	})
}

// Remove implements etcd.Changer.
func (c Changer) Remove(ctx context.Context, via []cluster.Host, id cluster.MemberID) error {
	return c.change(ctx, via, "remove member "+id.String(), func(p *process, m *cluster.Marker) error {
		l := p.of.entry(id)
		if err := p.mayRemove(l); err != nil {
			return err
		}
		c.c.w.rules.removes(c.c, m, p.of, l)
		p.of.remove(l)
		return nil
	})
}

// MoveLeader implements etcd.Changer.
func (c Changer) MoveLeader(ctx context.Context, via []cluster.Host, to cluster.MemberID) error {
	return c.change(ctx, via, "move the leader to member "+to.String(), func(p *process, _ *cluster.Marker) error {
		l := p.of.entry(to)
		switch {
		case p.of.leader != p.self.id:
			return fmt.Errorf("%w: %w", contract.ErrRefused, errNotLeader)
		case l == nil || l.learner:
			return fmt.Errorf("%w: %w", contract.ErrRefused, errTransferee)
		case l.process == nil || !p.of.linked(to, p.self.id):
			return contract.ErrUnknownOutcome // etcd waits for it
		}
		c.c.w.hold(l.process)
		c.c.w.lead(p.of, l.process)
		return nil
	})
}

// change lets the first member that can be asked make a change, which takes a
// quorum. Its effect gets the marker that the controller had read for it.
func (c Changer) change(ctx context.Context, via []cluster.Host, what string, effect func(*process, *cluster.Marker) error) error {
	through, marker, err := c.reach(ctx, via, what)
	if err != nil {
		return err
	}
	what += " through " + string(through)
	e := errs{failed: fmt.Errorf("%s: %w: connection refused", what, contract.ErrUnreachable), lost: fmt.Errorf("%s: %w", what, contract.ErrUnknownOutcome)}
	return c.c.call(ctx, &op{kind: write, verb: "change", object: listOf(c.of) + ": " + what, errs: e}, func(o *op) error {
		w, h := c.c.w, c.c.w.host(c.of, through)
		if h == nil || h.process == nil {
			return e.lost
		}
		p := h.process
		if !p.ready || !p.of.led(p) {
			w.answer(o, e.lost, changeLimit)
			return errParked
		}
		w.flow(p.of)
		err := effect(p, marker)
		if errors.Is(err, contract.ErrUnknownOutcome) {
			w.answer(o, e.lost, changeLimit)
			return errParked
		}
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		w.write(p.of)
		w.settle(p.of)
		return nil
	})
}

// reach finds the first member that takes changes. One that is silent takes its
// time. The marker that the controller has read is good for this attempt alone.
func (c Changer) reach(ctx context.Context, via []cluster.Host, what string) (through cluster.MemberName, marker *cluster.Marker, err error) {
	e := fmt.Errorf("%s: %w", what, contract.ErrUnreachable)
	err = c.c.call(ctx, &op{kind: read, verb: "reach", object: listOf(c.of) + ": " + what, errs: errs{failed: e, lost: e}}, func(o *op) error {
		marker, c.c.marker = c.c.marker, nil
		silent := 0
		for _, v := range via {
			h := c.c.w.host(c.of, v.Name)
			switch {
			case h == nil || h.process == nil || !h.process.listening || c.c.handshake(h) != nil:
			case h.unreachable || c.c.w.dark[h.Address] || !h.process.ready:
				silent++
			case h.process.self.learner || !h.process.of.led(h.process):
			case silent > 0:
				through = h.Name
				c.c.w.answer(o, nil, time.Duration(silent)*silence)
				return errParked
			default:
				through = h.Name
				return nil
			}
		}
		if silent > 0 {
			c.c.w.answer(o, e, time.Duration(silent)*silence)
			return errParked
		}
		return e
	})
	return through, marker, err
}

// entry is the entry of an ID; nil if there is none.
func (e *etcd) entry(id cluster.MemberID) *listed {
	for _, l := range e.members {
		if l.id == id {
			return l
		}
	}
	return nil
}

// add adds an entry.
func (e *etcd) add(l *listed) {
	e.members = append(e.members, l)
	slices.SortFunc(e.members, func(a, b *listed) int { return cmp.Compare(a.id, b.id) })
	e.relist()
}

// remove removes an entry for good.
func (e *etcd) remove(l *listed) {
	e.unlink(l.id)
	e.removed[l.id] = true
	e.members = slices.DeleteFunc(e.members, func(o *listed) bool { return o == l })
	if l.process != nil {
		e.expelled = append(e.expelled, l.process)
	}
	e.relist()
}

// relist makes the list that members tell.
func (e *etcd) relist() {
	e.list = make([]cluster.Member, len(e.members))
	for i, l := range e.members {
		e.list[i] = cluster.Member{ID: l.id, Name: l.name, PeerURLs: l.urls, Learner: l.learner}
		if l.client != "" {
			e.list[i].ClientURLs = []string{l.client}
		}
	}
}

// started is how many voters but one have started since they were added.
func (e *etcd) started(but *listed) int {
	n := 0
	for _, l := range e.members {
		if l != but && !l.learner && l.name != "" {
			n++
		}
	}
	return n
}

// active is how many voters a member has been connected with for a while, itself
// included.
func (p *process) active() int {
	n := 0
	for _, l := range p.of.members {
		since := p.of.links[pair(p.self.id, l.id)]
		if !l.learner && (l == p.self || !since.IsZero() && since.Add(steady).Before(time.Now())) {
			n++
		}
	}
	return n
}

// mayAdd is why etcd does not add a learner.
func (p *process) mayAdd(l *listed) error {
	e := p.of
	if n := e.voters(); n > 1 && p.active() < cluster.Quorum(n+1) {
		return fmt.Errorf("%w: %w", contract.ErrRefused, errUnhealthy)
	}
	if e.removed[l.id] {
		return fmt.Errorf("%w: %w", contract.ErrRefused, errTooSoon)
	}
	if slices.ContainsFunc(e.members, func(o *listed) bool { return slices.Contains(o.urls, l.urls[0]) }) {
		return contract.ErrExists
	}
	if slices.ContainsFunc(e.members, func(o *listed) bool { return o.learner }) {
		return fmt.Errorf("%w: %w", contract.ErrRefused, errTooManyLearners)
	}
	return nil
}

// mayPromote is why etcd does not make a member a voter.
func (e *etcd) mayPromote(l *listed) error {
	switch {
	case l == nil:
		return contract.ErrNotFound
	case l.process == nil || !e.linked(e.leader, l.id) || l.learner && !l.process.synced:
		return fmt.Errorf("%w: %w", contract.ErrRefused, errNotReady)
	case e.started(nil)+1 < cluster.Quorum(e.voters()+1):
		return fmt.Errorf("%w: %w", contract.ErrRefused, errNotStarted)
	case !l.learner:
		return contract.ErrExists
	}
	return nil
}

// mayRemove is why etcd does not remove a member. One that is not connected always
// goes, as far as enough others have started.
func (p *process) mayRemove(l *listed) error {
	e := p.of
	n := e.voters()
	switch {
	case l == nil:
		return contract.ErrNotFound
	case l.learner:
		return nil
	case e.started(l) < cluster.Quorum(n-1):
		return fmt.Errorf("%w: %w", contract.ErrRefused, errNotStarted)
	case e.linked(p.self.id, l.id) && p.active()-1 < cluster.Quorum(n-1):
		return fmt.Errorf("%w: %w", contract.ErrRefused, errUnhealthy)
	}
	return nil
}

// expel ends the processes of members that were removed, as soon as one of the others
// can tell them.
func (w *World) expel(e *etcd, live []*process) {
	e.expelled = slices.DeleteFunc(e.expelled, func(p *process) bool {
		h := p.host
		told := slices.ContainsFunc(live, func(o *process) bool {
			return !h.isolated && !o.host.isolated && w.trusts(h, o.host)
		})
		if told && h.process == p {
			w.after(w.between(10*time.Millisecond, 1500*time.Millisecond), func() {
				if h.process == p {
					w.end(h, "the member has been permanently removed from the cluster")
				}
			})
		}
		return told || h.process != p
	})
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
