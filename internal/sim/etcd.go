package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// etcd is one cluster that etcd members formed, by its ID: more than one under
// a token is what the rules exist to prevent.
type etcd struct {
	id      cluster.ID
	members []*listed // by ID
	term    uint64
	leader  cluster.MemberID // 0: none
	// links are the connections between running members, and since when; they
	// outlive the names that they were made by.
	links              map[[2]cluster.MemberID]time.Time
	electing, retrying bool
	// written is how many writes were acknowledged, flowed when the last one was.
	written int
	flowed  time.Time
	// list is the member list as it is told; a new one with each change.
	list []cluster.Member
	// removed are the IDs that were removed, expelled the processes of such members
	// that do not know it yet.
	removed  map[cluster.MemberID]bool
	expelled []*process
}

// listed is an entry of the member list. Its name is empty until it has
// started and published it.
type listed struct {
	id      cluster.MemberID
	name    cluster.MemberName
	urls    []string
	client  string
	host    string // host name
	learner bool
	process *process
}

func (e *etcd) live() []*process {
	var out []*process
	for _, l := range e.members {
		if l.process != nil {
			out = append(out, l.process)
		}
	}
	return out
}

func pair(a, b cluster.MemberID) [2]cluster.MemberID {
	return [2]cluster.MemberID{min(a, b), max(a, b)}
}

func (e *etcd) linked(a, b cluster.MemberID) bool {
	return a == b || !e.links[pair(a, b)].IsZero()
}

func (e *etcd) unlink(id cluster.MemberID) {
	for _, l := range e.members {
		delete(e.links, pair(id, l.id))
	}
	if e.leader == id {
		e.leader = 0
	}
}

// voting are the running voters that a member is connected with, itself included.
func (e *etcd) voting(id cluster.MemberID) []*process {
	return slices.DeleteFunc(e.live(), func(p *process) bool { return p.self.learner || !e.linked(id, p.self.id) })
}

// voters is how many members vote, running or not.
func (e *etcd) voters() int {
	n := 0
	for _, l := range e.members {
		if !l.learner {
			n++
		}
	}
	return n
}

// alive is how many voters but one run and are connected with the leader.
func (e *etcd) alive(but cluster.MemberID) int {
	return len(slices.DeleteFunc(e.voting(e.leader), func(p *process) bool { return p.self.id == but }))
}

// majority says whether so many voters are a quorum.
func (e *etcd) majority(n int) bool { return n >= cluster.Quorum(e.voters()) }

// electable says whether a majority votes for a member: it is connected with them,
// and they have nothing that it lacks.
func (e *etcd) electable(p *process) bool {
	votes := slices.DeleteFunc(e.voting(p.self.id), func(o *process) bool { return o.end > p.end })
	return !p.self.learner && e.majority(len(votes))
}

// led says whether a member knows a leader that has a quorum.
func (e *etcd) led(p *process) bool { return e.leader != 0 && e.linked(e.leader, p.self.id) }

// settle lets everything follow from which members run and find each other:
// connections, elections, readiness. It is called whenever that changes, and
// while somebody waits for a member to become ready; that members dial every
// 100 ms in between, nobody can see.
func (w *World) settle(e *etcd) {
	w.flow(e)
	live := e.live()
	w.connect(e, live)
	w.expel(e, live)
	if e.leader != 0 && !e.majority(len(e.voting(e.leader))) {
		e.leader = 0
	}
	w.rules.keeps(e, live)
	if e.leader == 0 && !e.electing && slices.ContainsFunc(live, e.electable) {
		e.electing = true
		w.after(w.between(100*time.Millisecond, 1200*time.Millisecond), func() { w.elect(e) })
	}
	for _, p := range live {
		if p.self.learner && !p.synced && !p.syncing && e.led(p) {
			p.syncing = true
			w.after(w.between(10*time.Millisecond, 4*time.Second), func() { w.sync(p) })
		}
		if !p.ready && !p.publishing && e.led(p) && (p.synced || !p.self.learner) {
			p.publishing = true
			w.after(w.between(5*time.Millisecond, 40*time.Millisecond), func() { w.publish(p) })
		}
	}
}

// connect brings the connections between running members up to date.
func (w *World) connect(e *etcd, live []*process) {
	for i, a := range live {
		for _, b := range live[i+1:] {
			k := pair(a.self.id, b.self.id)
			switch {
			case a.host.isolated || b.host.isolated || !w.trusts(a.host, b.host):
				delete(e.links, k)
			case e.links[k].IsZero() && (w.finds(a, b) || w.finds(b, a)):
				e.links[k] = time.Now()
			}
		}
	}
}

// finds says whether a member can look its peer up: as its gate has verified, or
// pinned when it was started sealed (rule R9), or else through its resolver.
func (w *World) finds(p, peer *process) bool {
	want := peer.host.Address
	if pinned, ok := p.node.Pins[peer.self.host]; ok {
		return pinned == want.String()
	}
	if seen, ok := expected(p.node.Gate).Hosts[peer.self.host+"."]; ok && !p.node.Sealed {
		return slices.Contains(seen.Or(nil), want)
	}
	return slices.Contains(w.addresses(p.host, p.node.Resolver, peer.self.host+".").Or(nil), want)
}

// elect makes one of the members the leader that a majority votes for.
func (w *World) elect(e *etcd) {
	e.electing = false
	able := slices.DeleteFunc(e.live(), func(p *process) bool { return !e.electable(p) })
	if e.leader != 0 || len(able) == 0 {
		return
	}
	w.lead(e, able[w.chance.IntN(len(able))])
	w.settle(e)
}

// lead makes a member the leader. It begins with a write of its own.
func (w *World) lead(e *etcd, p *process) {
	e.term++
	e.leader = p.self.id
	w.write(e)
}

// flow lets the clients of a cluster have written until now. They write all the
// time, and one write stands for all since somebody last looked: what matters is
// only that there was one before anything that happens to a member.
func (w *World) flow(e *etcd) {
	if e.leader == 0 || !time.Now().After(e.flowed) {
		return
	}
	for _, p := range e.live() {
		if e.led(p) && (p.synced || !p.self.learner) {
			w.hold(p) // what was written before has arrived by now
		}
	}
	w.write(e)
}

// write is something that the leader of a cluster acknowledges: it is then in the
// logs of a quorum. Other members that the leader is connected with may lag.
func (w *World) write(e *etcd) {
	acks := e.voting(e.leader)
	if !e.majority(len(acks)) {
		return // until it is settled who leads
	}
	e.written++
	e.flowed = time.Now()
	first := slices.IndexFunc(acks, func(p *process) bool { return p.self.id == e.leader })
	w.hold(acks[first])
	acks = slices.Delete(acks, first, first+1)
	for need := cluster.Quorum(e.voters()) - 1; need > 0; need-- {
		i := w.chance.IntN(len(acks))
		w.hold(acks[i])
		acks = slices.Delete(acks, i, i+1)
	}
	for _, p := range acks {
		if w.chance.IntN(2) == 0 {
			w.hold(p)
		}
	}
}

// hold brings a member up to date: it has on its disk all that was acknowledged, and
// has applied the member list. Its mark follows.
func (w *World) hold(p *process) {
	h := p.host
	p.end, p.list = p.of.written, p.of.list
	if h.log == nil || h.log.member != p.self.id { // it writes to files that are gone
		return
	}
	h.log.end = p.end
	if p.marking {
		return
	}
	p.marking = true
	w.after(w.between(0, time.Second), func() {
		p.marking = false
		if h.process == p && h.log != nil && h.log.member == p.self.id {
			h.mark.member, h.mark.end = p.self.id, h.log.end
		}
	})
}

// sync gives a learner all that the leader has, as a snapshot.
func (w *World) sync(p *process) {
	p.syncing = false
	if p.host.process == p && p.of.led(p) {
		p.synced = true
		w.hold(p)
		w.settle(p.of)
	}
}

// publish makes a member ready: its name and client URL are in the list, which
// takes a quorum, and it begins to serve.
func (w *World) publish(p *process) {
	p.publishing = false
	if p.host.process != p || p.ready || !p.of.led(p) {
		return
	}
	p.ready, p.self.name = true, p.node.Name
	for _, a := range p.node.Args {
		if url, ok := strings.CutPrefix(a, "--advertise-client-urls="); ok {
			p.self.client = url
		}
	}
	w.rules.serves(p)
	p.of.relist()
	w.write(p.of)
	w.hold(p)
	for _, o := range p.viewers {
		w.act(o)
		w.answer(o, o.err, w.between(100*time.Microsecond, 2*time.Millisecond))
	}
	p.viewers = nil
}

// Inspector asks the members of one cluster for one controller. It implements
// etcd.Inspector.
type Inspector struct {
	c  *Controller
	of cluster.Name
}

// unready is how long the client waits for a member that is not ready.
const unready = 3 * time.Second

// View implements etcd.Inspector. A member that is not ready accepts the
// connection and does not answer.
func (i Inspector) View(ctx context.Context, h cluster.Host) (cluster.View, error) {
	var out cluster.View
	object := "member " + string(h.Name)
	e := errs{failed: errors.New(object + ": connection refused"), lost: errors.New(object + ": connection reset by peer")}
	err := i.c.call(ctx, &op{kind: read, verb: "view", object: object, errs: e}, func(o *op) error {
		delete(i.c.served, h.Name)
		w, h := i.c.w, i.c.w.host(i.of, h.Name)
		switch {
		case h == nil || h.process == nil || !h.process.listening || h.astray && w.local() && w.opts.Spec.TLS:
			return e.failed // without its folder it has no certificate to show
		case h.unreachable || w.dark[h.Address]:
			return errParked
		}
		p := h.process
		if err := i.c.handshake(h); err != nil {
			return fmt.Errorf("%s: %w", object, err)
		}
		if !p.ready {
			w.settle(p.of)
			p.viewers = append(p.viewers, o)
			o.state = sent // to act once more, when the member is ready
			w.retry(p.of)
			w.answer(o, fmt.Errorf("%s: no answer within %s", object, unready), unready)
			return errParked
		}
		if w.flow(p.of); p.of.led(p) {
			w.hold(p) // for a linearizable read
		} else {
			w.settle(p.of) // it goes on dialling its peers
		}
		i.c.looked[h.Name] = time.Now()
		if out = p.view(); out.Stalled == "" && !out.Learner {
			i.c.served[h.Name] = time.Now()
			w.rules.readsAll(i.c, listOf(i.of))
		}
		return nil
	})
	if err != nil {
		return cluster.View{}, err
	}
	return out, nil
}

// Shown implements etcd.Inspector.
func (i Inspector) Shown(ctx context.Context, h cluster.Host) (cluster.Certificate, error) {
	var out cluster.Certificate
	object := "member " + string(h.Name)
	e := errs{failed: errors.New(object + ": connection refused"), lost: errors.New(object + ": connection reset by peer")}
	err := i.c.call(ctx, &op{kind: read, verb: "handshake", object: object, errs: e}, func(*op) error {
		w, h := i.c.w, i.c.w.host(i.of, h.Name)
		switch {
		case h == nil || h.process == nil || !h.process.listening || h.certificate == nil:
			return e.failed
		case h.unreachable || w.dark[h.Address]:
			return errParked
		}
		if err := i.c.handshake(h); err != nil {
			return fmt.Errorf("%s: %w", object, err)
		}
		w.rules.proves(h)
		out = *h.certificate
		return nil
	})
	if err != nil {
		return cluster.Certificate{}, err
	}
	return out, nil
}

// Heard implements etcd.Inspector.
func (i Inspector) Heard(ctx context.Context, h cluster.Host) ([]cluster.MemberID, error) {
	var out []cluster.MemberID
	object := "member " + string(h.Name)
	e := errs{failed: errors.New(object + ": connection refused"), lost: errors.New(object + ": connection reset by peer")}
	err := i.c.call(ctx, &op{kind: read, verb: "heard by", object: object, errs: e}, func(*op) error {
		w, h := i.c.w, i.c.w.host(i.of, h.Name)
		switch {
		case h == nil || h.process == nil || !h.process.ready:
			return e.failed
		case h.unreachable || w.dark[h.Address]:
			return errParked
		}
		if err := i.c.handshake(h); err != nil {
			return fmt.Errorf("%s: %w", object, err)
		}
		p := h.process
		for _, o := range p.of.live() {
			if o != p && p.of.linked(p.self.id, o.self.id) {
				out = append(out, o.self.id)
				i.c.heard[o.node.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// retry lets members that somebody waits for look for each other again.
func (w *World) retry(e *etcd) {
	if e.retrying {
		return
	}
	e.retrying = true
	w.after(250*time.Millisecond, func() {
		e.retrying = false
		waited := false
		for _, p := range e.live() {
			p.viewers = slices.DeleteFunc(p.viewers, func(o *op) bool { return o.state == done })
			waited = waited || len(p.viewers) > 0
		}
		if waited {
			w.settle(e)
			w.retry(e)
		}
	})
}

// view is what a ready member says of itself.
func (p *process) view() cluster.View {
	e := p.of
	v := cluster.View{ID: p.self.id, Cluster: e.id, Term: e.term, Applied: uint64(p.end), Revision: 1, Version: "3.7.3", DBSize: 20480, Learner: p.self.learner}
	if e.led(p) {
		v.Leader = e.leader
	} else {
		v.Errors = []string{"etcdserver: no leader"}
	}
	if v.Learner {
		return v
	}
	if v.Leader == 0 {
		v.Stalled = fmt.Sprintf("linearizable read through %s: etcdserver: request timed out", p.node.Name)
	}
	v.Members = slices.Clone(p.list)
	return v
}
