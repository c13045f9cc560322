package plan

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/system/shell"
)

// keep keeps a sealed cluster right: what is not running is started, what is
// missing in DNS or on a host is put back; then the members are changed, one at a
// time, and at last restarted with new options. One refusal does not stop the repair
// of the rest, except where members say that they are not this cluster.
func (s situation) keep() Plan {
	if evidence := s.foreignMembers(); evidence != nil {
		return s.refuse(Refusal{Rule: "R8", What: "maintain the cluster", Evidence: evidence,
			Remedy: s.undo()})
	}
	changes, refused := s.change()
	s.replacing = refused == nil
	repairs, whole, refusals := s.repairs()
	if len(repairs) == 0 {
		repairs = s.leftovers()
	}
	if len(repairs) > 0 {
		return Plan{Steps: repairs, Together: true, Refusals: refusals}
	}
	refusals = append(refusals, slices.DeleteFunc(refused, func(r Refusal) bool { // a repair may be refused for the same
		return slices.ContainsFunc(refusals, r.same)
	})...)
	refusals = append(refusals, s.unserved()...)
	if len(changes) == 0 {
		changes = s.await(whole)
	}
	if len(changes) > 0 {
		return Plan{Steps: changes, Refusals: refusals}
	}
	steps, r := s.roll(s.roster.Members(), len(refusals) == 0 && !s.changeWanted())
	if len(steps) == 0 {
		steps = s.awaitRecords("clients may get an old list")
	}
	if len(steps)+len(refusals)+len(r) == 0 {
		r = s.full()
	}
	if len(steps)+len(refusals)+len(r) == 0 {
		var mixed []Refusal
		steps, mixed = s.expire()
		r = append(r, mixed...)
	}
	return Plan{Steps: steps, Refusals: append(refusals, r...)}
}

// repairs are all steps that need no other: records, nodes and certificates, starts.
// One may fail each time: starts do not wait for the others, but for the installation
// on their own host. The nodes are whole if it is known where all peers are.
func (s situation) repairs() (steps []Step, whole bool, refusals []Refusal) {
	members, missing := s.roster.Members(), s.roster.Missing()
	refusals = append(s.lost(missing), s.unreached(members)...)
	steps, conflicts := s.repair(missing)
	steps = append(steps, awaitHosts(slices.DeleteFunc(slices.Clone(members), func(h cluster.Host) bool { return s.replaced(h.Name) }))...)
	refusals = append(refusals, conflicts...)

	standing := slices.DeleteFunc(slices.Clone(members), func(h cluster.Host) bool { return !s.belongs(h.Name) })
	peers, whole := s.peers(members, missing)
	starts, unfits := s.restart(members, visible(members), whole)
	skewed := s.skewed(standing)
	next, unsafe := s.renewal(standing, starts)
	for _, r := range []*Refusal{skewed, unsafe} {
		if r != nil {
			refusals = append(refusals, *r)
		}
	}
	if whole && !s.departing() {
		steps = append(steps, s.install(peers, skewed == nil, next)...)
	}
	if skewed == nil {
		steps = append(steps, s.renewOperator()...)
	}
	return append(steps, starts...), whole, append(refusals, unfits...)
}

// departing says whether the service of the peers still has the member that is no
// longer on etcd's list. The nodes of the others name it until it has not: if the
// marker is deleted meanwhile, they know that its records are ours.
func (s situation) departing() bool {
	op := s.marker.Op
	_, published := s.spec.Peer(s.records, op.Member)
	return op.Kind == cluster.Remove && published && !s.belongs(op.Member)
}

// unreached are refusals for members whose hosts could not be inspected, but for one
// that is given up.
func (s situation) unreached(members []cluster.Host) []Refusal {
	var out []Refusal
	for _, h := range members {
		if s.replaced(h.Name) {
			continue
		}
		for _, r := range blind(ready([]cluster.Host{h}), "repair member") {
			if !h.View.Known() {
				r.Remedy = append(r.Remedy, ReplaceLost.Say(h.Name))
			}
			out = append(out, r)
		}
	}
	return out
}

// await waits for members that run and do not serve, where enough of them run.
func (s situation) await(whole bool) []Step {
	running := slices.DeleteFunc(runningOf(visible(s.roster.Members())), func(h cluster.Host) bool { return !s.belongs(h.Name) })
	waiting := slices.DeleteFunc(s.lagging(running), needsPerson)
	if !whole { // a member that is refused a certificate will not serve
		waiting = slices.DeleteFunc(waiting, s.wanting)
	}
	if len(waiting) == 0 || !s.mayServe(running) {
		return nil
	}
	return []Step{AwaitMembers{Hosts: waiting, Reason: Reason{Why: "running, not yet serving" + gates(waiting)}}}
}

// mayServe says whether there is a quorum, as a linearizable read shows, or enough
// voters run for one, as far as the marker knows.
func (s situation) mayServe(running []cluster.Host) bool {
	if s.list.Known() {
		return true
	}
	voters, run := 0, 0
	for _, name := range s.marker.Members {
		if s.changing(name) {
			continue
		}
		voters++
		if slices.ContainsFunc(running, func(h cluster.Host) bool { return h.Name == name }) {
			run++
		}
	}
	return run >= cluster.Quorum(voters)
}

// peers are the hosts of all members, for a node to pin: one that is gone is
// where the nodes of the others say it was, or else the records; there it is for
// its peers, too. They are whole if that is known of all. Nodes and certificates
// would otherwise wait for a host that never comes back.
func (s situation) peers(members []cluster.Host, missing []cluster.MemberName) (peers []cluster.Host, whole bool) {
	peers, whole = slices.Clone(members), true
	peers = slices.DeleteFunc(peers, func(h cluster.Host) bool { return !s.belongs(h.Name) })
	for _, name := range missing {
		if !s.belongs(name) {
			continue
		}
		h, known := s.former(members, name)
		peers, whole = append(peers, h), whole && known
	}
	return peers, whole
}

// former is a host that is gone, and whether it is known where it was.
func (s situation) former(members []cluster.Host, name cluster.MemberName) (h cluster.Host, known bool) {
	h, _ = s.spec.Listed(s.records, name)
	_, known = s.spec.Peer(s.records, name)
	if at, found := pinned(members, name); found {
		h.Address, h.Ports.Peer, known = at.Addr(), at.Port(), true
	}
	h.Token, h.Node = s.marker.Token, cluster.Unknown[cluster.Node]("its host is gone")
	return h, known && h.Address.IsValid()
}

// pinned is where a member was when a node was delivered to another one. Only a
// node of the sealed cluster counts: before, a host may be made again elsewhere.
func pinned(members []cluster.Host, name cluster.MemberName) (at netip.AddrPort, found bool) {
	for _, h := range visible(members) {
		made := h.Node.Or(cluster.Node{}).Made
		if i := slices.Index(made.Members, name); h.Node.Or(cluster.Node{}).Sealed && made.Token == h.Token && i >= 0 && i < len(made.At) && made.At[i].Addr().IsValid() {
			return made.At[i], true
		}
	}
	return netip.AddrPort{}, false
}

func visible(hosts []cluster.Host) []cluster.Host {
	var out []cluster.Host
	for _, h := range ready(hosts) {
		if h.Node.Known() {
			out = append(out, h)
		}
	}
	return out
}

func runningOf(hosts []cluster.Host) []cluster.Host {
	var out []cluster.Host
	for _, h := range hosts {
		if h.Runs() {
			out = append(out, h)
		}
	}
	return out
}

// lost refuses to make a lost host anew under its old name (rule R6), and
// points at hosts of another life (rule R1).
func (s situation) lost(missing []cluster.MemberName) []Refusal {
	var out []Refusal
	if len(missing) > 0 {
		if r := s.unseen("repair member " + cluster.JoinMembers(missing)); r != nil {
			return r
		}
	}
	for _, name := range missing {
		if s.deadMember(name) || s.changing(name) {
			continue // see change
		}
		r := Refusal{Rule: "R6", What: "launch host " + string(name), Remedy: remedies(LetOthersServe),
			Evidence: []string{"the host of member " + string(name) + " is gone, its data with it"}}
		switch hearsay, unknown := s.hearsay(name); {
		case s.answers(name):
			r.Evidence = []string{"the host of member " + string(name) + " is gone, but its member still runs: it will not survive a restart"}
		case s.heard(name):
			r.Evidence, r.Unknown = append([]string{"the host of member " + string(name) + " is gone"}, hearsay...), unknown
		}
		out = append(out, r)
	}
	for _, h := range s.roster.Strangers() {
		out = append(out, Refusal{Rule: "R10", What: "use host " + string(h.Name),
			Evidence: []string{fmt.Sprintf("host %s at %s carries this cluster's claim but is not a member of this incarnation; it %s", h.Name, h.Address, life(h))},
			Remedy:   remedies(RemoveHost)})
	}
	return out
}

// repair puts back records that are missing under our marker. With a host missing
// its address is unknown, and records are left as they are, unless that is the
// member that leaves.
func (s situation) repair(missing []cluster.MemberName) ([]Step, []Refusal) {
	if slices.ContainsFunc(missing, func(name cluster.MemberName) bool { return !s.changing(name) }) {
		return nil, nil
	}
	changes, conflicts := s.changes(s.wanted(true))
	if conflicts != nil {
		return nil, []Refusal{s.conflict(conflicts)}
	}
	if len(changes) == 0 {
		return nil, nil
	}
	why := "records are missing or differ from the member list: " + changes[0].String()
	changes = append(changes, s.advance(func(*cluster.Marker) {}))
	return []Step{ChangeRecords{Purpose: Repair, Changes: changes, Reason: Reason{Why: why, Rules: []Rule{"R8"}}}}, nil
}

// restart starts members that stand still with their data in place (rule R13),
// and refuses those without (rule R6).
func (s situation) restart(members, seen []cluster.Host, whole bool) ([]Step, []Refusal) {
	var steps []Step
	var refusals []Refusal
	alive := len(runningOf(seen))
	for _, h := range seen {
		n := s.render(*s.marker, members, h)
		if !s.belongs(h.Name) || s.replaced(h.Name) || s.list.Known() && s.listed(h.Name) == nil {
			continue // see change
		}
		if r := unfit(h, n, LetOthersServe); r != nil {
			if at := h.Node.Or(cluster.Node{}).Process.Gate; s.marker.Op == (cluster.Operation{Kind: cluster.Remove, Member: h.Name}) && (!h.Runs() || at != "") {
				continue // it leaves; why it cannot yet is told of that
			}
			if h.Runs() {
				r.What = "rely on member " + string(h.Name)
				r.Evidence = append(r.Evidence, "its process still runs, on files that are gone: it will not survive a restart")
			}
			refusals = append(refusals, *r)
			continue
		}
		if !whole && (s.wanting(h) || h.Runs() && s.outdated(h)) {
			refusals = append(refusals, s.bare(h))
		}
		if h.Runs() || h.Node.Or(cluster.Node{}).Installed == "" { // until its node is installed
			continue
		}
		alive++
		steps = append(steps, s.startOrRevert(StartMember{Host: h, Node: n, Reason: Reason{Why: "it is not running" + died(h), Rules: []Rule{"R9", "R13"},
			Quorum: cluster.Arithmetic(alive, max(alive, s.voters()))}})...)
	}
	return steps, refusals
}

// wanting says whether a member cannot go on without a node: it has none to be
// started with, or serves nobody with its certificate, which comes with one.
func (s situation) wanting(h cluster.Host) bool {
	if h.Runs() {
		return s.outdated(h) && !certificate(h).Valid(s.state.At, 0)
	}
	return h.Node.Or(cluster.Node{}).Installed == ""
}

// bare refuses to make a node while the host of another member is gone and nothing
// says where it was: a node pins all peers (rule R9).
func (s situation) bare(h cluster.Host) Refusal {
	members, missing := s.roster.Members(), s.roster.Missing()
	missing = slices.DeleteFunc(missing, func(name cluster.MemberName) bool {
		_, known := s.former(members, name)
		return known
	})
	r := Refusal{Rule: "R9", What: "start member " + string(h.Name)}
	lacks := "its node is not on its host, and cannot be made"
	if h.Runs() {
		r.What = "change the certificate of member " + string(h.Name)
		lacks = "it is due for renewal; a new one comes with a node, which cannot be made"
		if !certificate(h).Valid(s.state.At, 0) {
			lacks = "it is not valid; a new one comes with a node, which cannot be made"
		}
	}
	r.Evidence = []string{lacks + ": it pins the addresses of all peers, and nothing says where the host of " + cluster.JoinMembers(missing) + " was"}
	r.Remedy = PutRecordsBack.lines("if you know where that was, put its records back:")
	for _, name := range missing {
		r.Remedy = append(r.Remedy, s.sought(name)...)
	}
	return r
}

// sought are the records of a host that is gone which would say where it was, for a
// person to fill in.
func (s situation) sought(name cluster.MemberName) []Remedy {
	var out []Remedy
	if h, _ := s.spec.Listed(s.records, name); !h.Address.IsValid() {
		kind := cluster.A
		if slices.ContainsFunc(s.hosts, func(h cluster.Host) bool { return h.Address.Is6() }) {
			kind = cluster.AAAA
		}
		out = append(out, PutRecordsBack.Say(fmt.Sprintf("%s. %d %s ADDRESS", s.spec.HostName(name), cluster.TTL, kind)))
	}
	if _, published := s.spec.Peer(s.records, name); !published {
		out = append(out, PutRecordsBack.Say(fmt.Sprintf("%s %d SRV 0 0 PORT %s.", s.spec.ServerService(), cluster.TTL, s.spec.HostName(name))))
	}
	return out
}

func died(h cluster.Host) string {
	if why := h.Node.Or(cluster.Node{}).Process.Exit; why != "" {
		return ": " + why
	}
	return ""
}

// stopByHand is the command that stops a member. On a machine of its own it is
// systemd's; a process ID would be that of somebody else here.
func (s situation) stopByHand(h cluster.Host) string {
	if s.spec.OnMachines() {
		return s.loginAsRoot(h) + " systemctl stop " + node.UnitName
	}
	return fmt.Sprintf("kill %d", h.Node.Or(cluster.Node{}).Process.PID)
}

// loginAsRoot begins the command line by which a person has root run something on
// a machine.
func (s situation) loginAsRoot(h cluster.Host) string {
	return shell.Line(s.spec.LoginAsRoot(h.Reach().Address)...)
}
