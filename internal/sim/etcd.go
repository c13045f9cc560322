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
	// links are the connections between running members; they outlive the
	// names that they were made by.
	links              map[[2]cluster.MemberID]bool
	electing, retrying bool
	// removed are processes of members that were removed and do not know it.
	removed []*process
	// written is how many writes were acknowledged.
	written int
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

// entry is the entry of an ID; nil if there is none.
func (e *etcd) entry(id cluster.MemberID) *listed {
	for _, l := range e.members {
		if l.id == id {
			return l
		}
	}
	return nil
}

// voters is how many members vote.
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
	n := 0
	for _, l := range e.members {
		if l.id != but && !l.learner && l.process != nil && e.linked(e.leader, l.id) {
			n++
		}
	}
	return n
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

func (e *etcd) linked(a, b cluster.MemberID) bool { return a == b || e.links[pair(a, b)] }

func (e *etcd) unlink(id cluster.MemberID) {
	for _, l := range e.members {
		delete(e.links, pair(id, l.id))
	}
	if e.leader == id {
		e.leader = 0
	}
}

// reaches says how many running voters a member is connected with, itself
// included.
func (e *etcd) reaches(id cluster.MemberID) int {
	n := 0
	for _, p := range e.live() {
		if !p.self.learner && e.linked(id, p.self.id) {
			n++
		}
	}
	return n
}

// led says whether a member knows a leader that has a quorum.
func (e *etcd) led(p *process) bool { return e.leader != 0 && e.linked(e.leader, p.self.id) }

// settle lets everything follow from which members run and find each other:
// connections, elections, readiness. It is called whenever that changes, and
// while somebody waits for a member to become ready; that members dial every
// 100 ms in between, nobody can see.
func (w *World) settle(e *etcd) {
	live := e.live()
	for i, a := range live {
		for _, b := range live[i+1:] {
			k := pair(a.self.id, b.self.id)
			apart := a.host.isolated || b.host.isolated || !w.trusts(a.host, b.host)
			e.links[k] = !apart && (e.links[k] || w.finds(a, b) || w.finds(b, a))
		}
	}
	w.expel(e)
	quorum := cluster.Quorum(e.voters())
	if e.leader != 0 && e.reaches(e.leader) < quorum {
		e.leader = 0
	}
	able := slices.ContainsFunc(live, func(p *process) bool { return !p.self.learner && e.reaches(p.self.id) >= quorum })
	if e.leader == 0 && able && !e.electing {
		e.electing = true
		w.after(w.between(100*time.Millisecond, 1200*time.Millisecond), func() { w.elect(e) })
	}
	w.replicate(e)
	for _, p := range live {
		if !p.ready && !p.publishing && e.led(p) {
			p.publishing = true
			w.after(w.between(5*time.Millisecond, 40*time.Millisecond), func() { w.publish(p) })
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

// elect makes one of the members a leader that is connected with a quorum.
func (w *World) elect(e *etcd) {
	e.electing = false
	var able []*process
	for _, p := range e.live() {
		if !p.self.learner && e.reaches(p.self.id) >= cluster.Quorum(e.voters()) {
			able = append(able, p)
		}
	}
	if e.leader != 0 || len(able) == 0 {
		return
	}
	newest := slices.MaxFunc(able, func(a, b *process) int { return a.end - b.end }).end
	able = slices.DeleteFunc(able, func(p *process) bool { return p.end < newest })
	e.term++
	e.leader = able[w.chance.IntN(len(able))].self.id
	w.rules.elects(e, newest)
	w.write(e)
	w.settle(e)
}

// write is something that the leader of a cluster acknowledges: it is then in
// the logs of all members that the leader is connected with, a quorum.
func (w *World) write(e *etcd) {
	e.written++
	w.replicate(e)
}

// replicate brings the logs of members up to their leader's.
func (w *World) replicate(e *etcd) {
	for _, p := range e.live() {
		h := p.host
		if !e.led(p) || p.end == e.written {
			continue
		}
		if p.self.learner && !p.synced { // it gets a snapshot first
			if !p.syncing {
				p.syncing = true
				w.after(w.between(10*time.Millisecond, 4*time.Second), func() { p.synced = true; w.replicate(e) })
			}
			continue
		}
		p.end = e.written
		if h.log == nil || h.log.member != p.self.id { // it writes to files that are gone
			continue
		}
		h.log.end = p.end
		w.after(w.between(0, time.Second), func() {
			if h.process == p && h.log != nil && h.log.member == p.self.id {
				h.mark.member, h.mark.end = p.self.id, h.log.end
			}
		})
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
	w.write(p.of)
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
		if !p.of.led(p) {
			w.settle(p.of) // it goes on dialling its peers
		}
		i.c.looked[h.Name] = time.Now()
		if out = p.view(); !out.Learner && out.Stalled == "" {
			w.rules.reads(i.c, "list of members")
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
		v.Errors, v.Stalled = []string{"etcdserver: no leader"}, fmt.Sprintf("linearizable read through %s: etcdserver: request timed out", p.node.Name)
	}
	if v.Learner {
		v.Stalled = "" // it serves none, and no list
		return v
	}
	for _, l := range e.members {
		m := cluster.Member{ID: l.id, Name: l.name, PeerURLs: l.urls, Learner: l.learner}
		if l.client != "" {
			m.ClientURLs = []string{l.client}
		}
		v.Members = append(v.Members, m)
	}
	return v
}
