package sim

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/onhost/member"
)

// process is `pleiad member` on a host: first itself, then etcd.
type process struct {
	host  *host
	node  node.Node // as it was when the process began
	flags string
	// program is what it runs; a local member, what the controller is that started it.
	program cluster.Program
	pid     int
	since   time.Time
	began   int           // the moment
	gate    string        // what the start gate waits for
	shown   string        // what was wrong with DNS when the gate let it pass
	pause   time.Duration // until it asks again

	listening  bool // its peer port answers: it is etcd now
	publishing bool
	stopping   bool // it was told to end
	ready      bool // etcd has joined a quorum since its start
	self       *listed
	of         *etcd
	syncing    bool             // a learner that is being sent what the leader has
	synced     bool             // and has it
	end        int              // of its log, in memory
	list       []cluster.Member // as it has applied it
	marking    bool             // its mark is about to follow its log

	starters, viewers []*op // calls that wait for it
}

// start runs the member of a host as a program: who am I, may I, then etcd. The checks
// are those of package member itself.
func (w *World) start(h *host, as cluster.Program) {
	p := &process{host: h, program: as, pid: w.number(), since: time.Now(), began: w.moment()}
	h.process, h.exit = p, ""
	if h.node == nil {
		w.end(h, "read member file: no such file or directory")
		return
	}
	p.node, p.flags = *h.node, h.node.Flags()
	if w.programs.broken[as.Build] {
		w.end(h, "exit status 1")
		w.rules.stumbles(h)
		return
	}
	if h.puppet != nil && h.puppet.refuse != "" {
		w.end(h, h.puppet.refuse)
		return
	}
	decision, err := member.Identity(p.node, h.data())
	if err != nil && !w.opts.NoIdentity {
		w.end(h, err.Error())
		return
	}
	if decision == member.Restart || err != nil && h.log != nil {
		h.begun, h.born = true, true
		w.boot(p, w.etcds[h.log.cluster])
		return
	}
	p.pause = 20 * time.Millisecond
	if decision == member.Join {
		w.join(p)
		return
	}
	w.gate(p)
}

// gate asks the host's resolver until it shows the exact truth (rule R3), as
// member.waitAtGate does.
func (w *World) gate(p *process) {
	if p.host.process != p {
		return
	}
	if err := member.Replaced(p.node, p.host.node); err != nil {
		w.end(p.host, err.Error())
		return
	}
	_, wrong := w.seen(p)
	if wrong != "" && !w.opts.NoGate {
		if text := "R3: " + wrong; text != p.gate {
			w.log(string(p.host.Name), "waits", "", text)
			p.gate = text
		}
		w.count("gate waits")
		w.started(p, nil)
		w.after(p.pause, func() { w.gate(p) })
		p.pause = min(2*p.pause, 500*time.Millisecond)
		return
	}
	p.gate, p.shown = "", wrong
	if h := p.host; !h.begun {
		h.begun, h.born, h.fresh = true, false, true
		h.known = w.moment()
	}
	// etcd begins a moment later, and DNS does not wait for it.
	w.after(w.between(time.Millisecond, 50*time.Millisecond), func() { w.read(p) })
}

// read is etcd learning of its peers: from its flags, which hold the list that
// the gate has compared with DNS, unless it is to ask DNS itself.
func (w *World) read(p *process) {
	if p.host.process != p {
		return
	}
	answers := expected(p.node.Gate)
	if w.opts.AskTwice && p.host.puppet == nil {
		answers, _ = w.seen(p)
	}
	list, self := discover(p, answers)
	if self == nil {
		w.end(p.host, "cannot find local etcd member \""+string(p.node.Name)+"\" in SRV records")
		return
	}
	w.found(p, list, self)
}

// seen is what the host's resolver shows, and what is wrong with it.
func (w *World) seen(p *process) (member.Answers, string) {
	if p.host.puppet != nil {
		return expected(p.node.Gate), strings.TrimPrefix(p.host.puppet.gate, "R3: ")
	}
	rival := rivalOf(p.node.Gate.Service)
	answers := w.ask(p.host, p.node, rival)
	return answers, strings.Join(member.Check(p.node.Gate, rival, answers), "; ")
}

// discover is what etcd makes of DNS when it has no data (facts about etcd
// 3.7.3, client/pkg/srv/srv.go and server/embed/config.go): both SRV sets are
// read and mixed, targets that do not resolve are skipped without a word, and
// the own entry is the one that resolves to the own address and port. Of the
// answers that a gate expects it makes the list of the flags.
func discover(p *process, a member.Answers) (list []*listed, self *listed) {
	scheme, other := "http://", "https://"
	if strings.HasPrefix(p.node.Gate.Service, "_etcd-server-ssl") {
		scheme, other = other, scheme
	}
	urls, at := map[string][]string{}, map[string]netip.Addr{}
	add := func(scheme string, services []cluster.Service) {
		for _, s := range services {
			seen := a.Hosts[s.Target].Or(nil)
			if len(seen) == 0 {
				continue
			}
			name := strings.TrimSuffix(s.Target, ".")
			key := fmt.Sprintf("%s:%d", name, s.Port)
			urls[key], at[key] = append(urls[key], scheme+key), seen[0]
		}
	}
	add(scheme, a.Services.Or(nil))
	add(other, a.Rival.Or(nil))
	for key, u := range urls {
		own := at[key] == p.host.Address && strings.HasSuffix(key, fmt.Sprintf(":%d", p.host.Ports.Peer))
		if own {
			u = slices.DeleteFunc(u, func(s string) bool { return strings.HasPrefix(s, other) })
			if len(u) == 0 {
				continue // "scheme mismatch": the entry is dropped
			}
		}
		slices.Sort(u)
		name, _, _ := strings.Cut(key, ":")
		l := &listed{id: cluster.BootstrapMemberID(strings.Join(u, ""), p.node.Token), urls: u, host: name}
		list = append(list, l)
		if own {
			self = l
		}
	}
	slices.SortFunc(list, func(a, b *listed) int { return cmp.Compare(a.id, b.id) })
	return list, self
}

// expected are the answers that would show a gate's exact truth.
func expected(g node.Gate) member.Answers {
	a := member.Answers{Hosts: map[string]cluster.Seen[[]netip.Addr]{}}
	var services []cluster.Service
	for _, p := range g.Peers {
		services = append(services, cluster.Service{Target: p.Target, Port: p.Port})
		if addr, err := netip.ParseAddr(p.Address); err == nil {
			a.Hosts[p.Target] = cluster.Known([]netip.Addr{addr})
		}
	}
	a.Services = cluster.Known(services)
	return a
}

// found lets etcd begin a life with a list of members: soon there is a
// write-ahead log with the IDs that follow from it.
func (w *World) found(p *process, list []*listed, self *listed) {
	ids := make([]cluster.MemberID, len(list))
	for i, l := range list {
		ids[i] = l.id
	}
	id := cluster.BootstrapID(ids)
	w.after(w.between(10*time.Millisecond, 60*time.Millisecond), func() {
		h := p.host
		if h.process != p {
			return
		}
		w.rules.founds(p, self.id, id, ids)
		w.log(string(h.Name), "founds", fmt.Sprintf("member %s of %d", self.id, len(ids)), "cluster "+id.String())
		w.after(w.between(time.Millisecond, 10*time.Millisecond), func() { h.born = h.born || h.log != nil })
		if w.etcds[id] == nil {
			w.etcds[id] = &etcd{id: id, members: list, links: map[[2]cluster.MemberID]time.Time{}, removed: map[cluster.MemberID]bool{}}
			w.etcds[id].relist()
		}
		h.log = &identity{member: self.id, cluster: id}
		w.boot(p, w.etcds[id])
	})
}

// boot lets etcd start from its write-ahead log; it asks no DNS for that.
func (w *World) boot(p *process, e *etcd) {
	w.after(w.between(5*time.Millisecond, 40*time.Millisecond), func() {
		h := p.host
		if h.process != p {
			return
		}
		if h.log == nil {
			w.end(h, "open write-ahead log: no such file or directory")
			return
		}
		if w.rules.boots(p, h.log.member); w.rules.hollow[h.log.member] {
			w.end(h, "panic: tocommit(7) is out of range [lastIndex(0)]. Was the raft log corrupted, truncated, or lost?")
			return
		}
		p.listening, p.of, p.end = true, e, h.log.end
		if p.self = e.entry(h.log.member); p.self != nil {
			p.self.process = p
		} else if p.self = (&listed{id: h.log.member}); e.removed[p.self.id] {
			e.expelled = append(e.expelled, p)
		}
		w.started(p, nil)
		w.settle(e)
	})
}

// started answers the calls that wait for a start.
func (w *World) started(p *process, err error) {
	if len(p.starters) > 0 {
		p.host.noteStart(cluster.Startup{Flags: p.flags, Program: p.program}, err)
	}
	for _, o := range p.starters {
		w.answer(o, err, w.between(time.Millisecond, 5*time.Millisecond))
	}
	p.starters = nil
}

// end ends the process of a host, whatever it was doing.
func (w *World) end(h *host, why string) {
	p := h.process
	h.process, h.exit = nil, why
	w.log(string(h.Name), "ended", "", why)
	w.started(p, fmt.Errorf("start member %s: %s", h.Name, why))
	for _, o := range p.viewers {
		w.finish(o, fmt.Errorf("ask member %s: connection reset by peer", h.Name))
	}
	if h.astray && !w.given() { // its process was all that was left
		w.remove(h)
	}
	if p.self != nil {
		w.flow(p.of)
		p.self.process = nil
		p.of.unlink(p.self.id)
		w.settle(p.of)
	}
}
