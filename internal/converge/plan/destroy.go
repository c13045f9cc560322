package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// Destroy plans towards nothing: everything of ours goes, the marker last, and
// nothing else is touched (rules R2, R10).
func Destroy(spec cluster.Spec, state cluster.State) Plan { return destroy(spec, state, false) }

// DestroyButData is Destroy, but the members' data is moved aside and kept on
// their hosts.
func DestroyButData(spec cluster.Spec, state cluster.State) Plan { return destroy(spec, state, true) }

func destroy(spec cluster.Spec, state cluster.State, keepData bool) Plan {
	what := "destroy " + string(spec.Cluster)
	if r := copied(state.Control, what); r != nil {
		return refuse(*r)
	}
	s, refusals := look(spec, state, what)
	if len(refusals) > 0 {
		return Plan{Refusals: s.withoutDirectory(refusals)}
	}
	// All that is refused is refused before anything changes.
	unknown := append(blind(ready(s.hosts), "terminate host"), s.unseen(what)...)
	if s.marker == nil || s.marker.Phase != cluster.Destroying {
		unknown = append(unknown, s.untraced(what)...)
	}
	if s.marker == nil {
		unknown = append(unknown, s.astray(what)...)
		switch {
		case unknown != nil: // what is forgotten, or stamped from the hosts alone, must be all there is
			return refuse(unknown...)
		case len(s.hosts) == 0:
			return s.leave()
		}
		return s.stampAgain()
	}
	if s.otherLife() != nil {
		return refuse(*s.behind(what))
	}
	if r := s.atLarge(what); r != nil {
		return refuse(r...)
	}
	if r := s.otherHosts(what); r != nil {
		return refuse(*r)
	}
	if unknown != nil {
		return refuse(unknown...)
	}
	// Once the marker is gone, nothing says any more that one of the addresses was ours.
	var mixed []Refusal
	for _, name := range slices.Concat(s.marker.Members, s.marker.Left) {
		if r := s.mixed(name, what); r != nil {
			mixed = append(mixed, *r)
		}
	}
	if mixed != nil {
		return refuse(mixed...)
	}
	// What was made goes, not what the spec says now.
	s.spec.TLS = s.marker.CA != ""
	if s.marker.Phase != cluster.Destroying && len(s.unlisted()) > len(s.roster.Unlisted()) {
		return s.relist()
	}
	if s.marker.Phase != cluster.Destroying || s.clients() != nil || len(s.unlisted()) > 0 {
		return s.stamp()
	}
	stopped := slices.DeleteFunc(slices.Clone(s.hosts), func(h cluster.Host) bool { return h.Blank })
	if steps := awaitHosts(stopped); steps != nil {
		return Plan{Steps: steps, Together: true}
	}
	if p := s.stopAll(); p.Steps != nil {
		return p
	}
	if p := s.withdraw(); p.Steps != nil {
		return p
	}
	if p := s.terminateAll(keepData); p.Steps != nil {
		return p
	}
	// What runs of a host that was removed is looked for once the marker is stamped.
	// Until that succeeds the marker stays, and says that there was such a member.
	if r := s.untraced(what); r != nil {
		return refuse(r...)
	}
	changes := append(s.withdrawn(s.missing), cluster.Change{Key: s.stored.Key, Old: s.stored})
	return Plan{Steps: []Step{ChangeRecords{Purpose: DeleteMarker, Changes: changes,
		Reason: Reason{Why: "only the marker of this cluster is left, and it goes last", Rules: []Rule{"R2"}}}}}
}

// relist puts the members back on the marker that somebody took off it, and whose
// hosts were not found. Only who is on the list is asked whether it still serves; see
// [situation.atLarge].
func (s situation) relist() Plan {
	change := s.advance(func(m *cluster.Marker) {
		m.Members = append(m.Members, s.unlisted()...)
		if slices.ContainsFunc(s.hosts, func(h cluster.Host) bool { return h.Node.Or(cluster.Node{}).Sealed }) {
			m.Phase = cluster.Sealed // a zone from the past does not say so
		}
	})
	return Plan{Steps: []Step{ChangeRecords{Purpose: Repair, Changes: []cluster.Change{change},
		Reason: Reason{Why: "the cluster ID was made of more members than the marker lists; they are asked before they go", Rules: []Rule{"R1", "R2"}}}}}
}

// stamp says on the marker that this cluster goes, before anything of it does,
// and sends clients away from members that are about to stop (rule R8).
func (s situation) stamp() Plan {
	changes := append(s.clients(), s.advance(func(m *cluster.Marker) {
		m.Phase, m.Members = cluster.Destroying, append(m.Members, s.unlisted()...)
	}))
	return Plan{Steps: []Step{ChangeRecords{Purpose: MarkDestroying, Changes: changes,
		Reason: Reason{Why: "from here on this cluster can only be destroyed, and clients no longer find it", Rules: []Rule{"R2", "R8"}}}}}
}

// atLarge refuses to destroy a cluster while a member of it serves whose host was
// not found (rule R1): it could not be stopped, and once the records are gone
// nothing says any more where it is.
func (s situation) atLarge(what string) []Refusal {
	var out []Refusal
	for _, h := range s.state.Missing {
		if !h.View.Known() || !s.isMember(h) || s.orphaned(h) {
			continue
		}
		at := netip.AddrPortFrom(h.Address, h.Ports.Client)
		out = append(out, Refusal{Rule: "R1", What: what, Remedy: []Remedy{s.reclaim(h)},
			Evidence: []string{fmt.Sprintf("member %s still serves at %s, and its host was not found", h.Name, at)}})
	}
	return out
}

// orphaned says whether a member whose host was not found runs as a process that
// is proven to be its own, so that it can be stopped.
func (s situation) orphaned(h cluster.Host) bool {
	return h.Runs() && s.marker.Has(h.Name)
}

// astray refuses to begin, give up or forget a cluster of which there is no marker
// while a member of it runs whose folder was removed: nothing else says that it is
// there (rule R1).
func (s situation) astray(what string) []Refusal {
	var out []Refusal
	for _, h := range s.state.Missing {
		if pid := h.Node.Or(cluster.Node{}).Process.PID; h.Runs() {
			out = append(out, Refusal{Rule: "R1", What: what, Remedy: []Remedy{EndMember.Say(fmt.Sprintf("stop it, then run the command again: kill %d", pid))},
				Evidence: []string{fmt.Sprintf("member %s runs as process %d, its folder was removed, and there is no marker", h.Name, pid)}})
		}
	}
	return out
}

// untraced refuses what must not be done beside a member that runs and whose
// folder was removed, where nobody could look for one (rule R1).
func (s situation) untraced(what string) []Refusal {
	if s.state.Untraced == "" {
		return nil
	}
	return []Refusal{{Rule: "R1", What: what, Unknown: true, Remedy: remedies(ReadHosts),
		Evidence: []string{"whether a member runs whose host was removed could not be found out: " + s.state.Untraced}}}
}

// isMember says whether what answers where a member was is that member. The
// address may be somebody else's by now, or another member's.
func (s situation) isMember(h cluster.Host) bool {
	v := h.View.Or(cluster.View{})
	other := func(m cluster.Member) bool { return m.ID == v.ID && m.Name != "" && m.Name != h.Name }
	return (s.marker.ID == 0 || v.Cluster == s.marker.ID) && !slices.ContainsFunc(v.Members, other)
}

// reclaim is how a member whose host was not found comes to its end.
func (s situation) reclaim(h cluster.Host) Remedy {
	if !s.spec.OnMachines() {
		return EndMember.Say("its folder was removed while it ran; stop its process, then run the command again: " + endLocal(h.Name))
	}
	return EndMember.Say(fmt.Sprintf("stop it on %s, then run the command again: systemctl disable --now %s", h.Address, node.UnitName))
}

// endLocal is the command that ends a member on this machine whose folder is
// gone, and with it what says which process it is. The last argument of that
// process is the folder; the name is random. The pattern matches no shell that
// runs the command.
func endLocal(name cluster.MemberName) string {
	return fmt.Sprintf("pkill -f '/hosts/%s/config$'", name)
}

// NotFound says what may be left of a host that was not found. A member whose
// folder was removed runs on, and cannot be asked without its certificates.
func NotFound(spec cluster.Spec, h cluster.Host) string {
	text := "host " + string(h.Name)
	if h.Address.IsValid() {
		text += " at " + h.Address.String()
	}
	text += " was not found"
	if p := h.Node.Or(cluster.Node{}).Process; p.Running {
		text += fmt.Sprintf(", and its member runs as process %d", p.PID)
	} else if !h.View.Known() {
		text += ", and its member could not be asked: " + h.View.Why().Text
	}
	if !spec.OnMachines() {
		return text + "; if its process still runs, stop it: " + endLocal(h.Name)
	}
	return text + "; if the machine still exists, so does what is on it"
}

// otherHosts refuses to destroy beside hosts of another incarnation: nobody has
// said that they may go.
func (s situation) otherHosts(what string) *Refusal {
	r := s.formerLife()
	if r != nil {
		r.What = what
	}
	return r
}

// unlisted are hosts of this incarnation that are not on the marker's list, and
// members of which its cluster ID was made. They are its members all the same, and go
// with the rest.
func (s situation) unlisted() []cluster.MemberName {
	out := names(s.roster.Unlisted())
	if members, found := s.published(); found && !s.changed() {
		for _, name := range members {
			if !s.marker.Has(name) && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// clients takes our members off the client SRV set; nil if none is on it. The
// set of the other scheme counts too: a marker that lost its CA does not know
// how the cluster was made.
func (s situation) clients() []cluster.Change {
	var out []cluster.Change
	for _, tls := range []bool{true, false} {
		s.spec.TLS = tls
		set, ok := s.records.Get(cluster.Key{Name: s.spec.ClientService(), Type: cluster.SRV})
		if !ok {
			continue
		}
		if left, ours := s.without(set, everybody); ours {
			out = append(out, cluster.Change{Key: set.Key, Old: &set, New: left})
		}
	}
	return out
}

func everybody(cluster.MemberName) bool { return true }

// stampAgain writes the marker of a cluster that lost it, for the sake of its
// hosts: they carry our claim. Whoever owns nothing has no claim.
func (s situation) stampAgain() Plan {
	if r := s.ownerless("R10", "destroy "+string(s.spec.Cluster)); r != nil {
		return refuse(*r)
	}
	var members []cluster.MemberName
	for _, h := range s.hosts {
		if h.Token != s.hosts[0].Token {
			return refuse(Refusal{Rule: "R10", What: "destroy " + string(s.spec.Cluster),
				Evidence: []string{fmt.Sprintf("hosts %s and %s are of different incarnations of this cluster, and there is no marker that says which is this one", s.hosts[0].Name, h.Name)},
				Remedy:   append(remedies(RemoveHost), RemoveByHand.lines(s.removeHosts()...)...)})
		}
		members = append(members, h.Name)
	}
	return Plan{Steps: []Step{ChangeRecords{Purpose: MarkDestroying, Changes: claim(s.spec, s.control, s.hosts[0].Token, members, cluster.Destroying),
		Reason: Reason{Why: "the marker is gone, but the hosts are this cluster's", Rules: []Rule{"R2", "R10"}}}}}
}

// destroyGrace is how long a member of a destroyed cluster may take to stop.
// The last one could wait for peers that are gone, and its data goes anyway.
const destroyGrace = time.Second

func (s situation) stopAll() Plan {
	p := Plan{Together: true}
	var orphans []int
	for _, h := range s.state.Missing {
		if s.orphaned(h) {
			orphans = append(orphans, h.Node.Or(cluster.Node{}).Process.PID)
			p.Steps = append(p.Steps, StopMember{Host: h, Marker: s.stored, Grace: destroyGrace,
				Reason: Reason{Why: "its host was removed while it ran, and the cluster is being destroyed", Rules: []Rule{"R1", "R2"}}})
		}
	}
	for _, h := range runningOf(s.hosts) {
		// If a folder is removed while hosts are looked at, its member is seen both on
		// its host and as an orphan. A second stop would not know what became of the
		// first one (rule R12).
		if !slices.Contains(orphans, h.Node.Or(cluster.Node{}).Process.PID) {
			p.Steps = append(p.Steps, StopMember{Host: h, Marker: s.stored, Grace: destroyGrace, Reason: Reason{Why: "the cluster is being destroyed", Rules: []Rule{"R2"}}})
		}
	}
	return p
}

func (s situation) terminateAll(keepData bool) Plan {
	p := Plan{Together: true}
	why := "the cluster is being destroyed: its data goes too"
	if keepData {
		why = "the cluster is being destroyed: its data is moved aside and kept"
	}
	for _, h := range s.hosts {
		p.Steps = append(p.Steps, TerminateHost{Host: h, Marker: *s.stored, KeepData: keepData, Reason: Reason{Why: why, Rules: []Rule{"R2", "R14"}}})
	}
	return p
}

// withdraw takes what is ours off our names, while the hosts that tell whose
// an address is are still there. Values that are not ours stay, and for now those
// of members whose host was not found: should this destroy be interrupted, they
// tell the next one that there was such a member, and where.
func (s situation) withdraw() Plan {
	changes := s.withdrawn(func(m cluster.MemberName) bool { return !s.missing(m) })
	// Nothing else says where a host is whose address has left the spec.
	changes = slices.DeleteFunc(changes, func(c cluster.Change) bool {
		m, _ := s.spec.MemberOf(c.Name)
		h, found := s.roster.Member(m)
		return found && c.Type != cluster.SRV && s.outside(h)
	})
	if len(changes) == 0 {
		return Plan{}
	}
	changes = append(changes, s.advance(func(*cluster.Marker) {}))
	return Plan{Steps: []Step{ChangeRecords{Purpose: Withdraw, Changes: changes,
		Reason: Reason{Why: "no member runs; what pleiad did not write stays", Rules: []Rule{"R8", "R10"}}}}}
}

// withdrawn takes the values of some members off our names.
func (s situation) withdrawn(whose func(cluster.MemberName) bool) []cluster.Change {
	var out []cluster.Change
	for _, set := range s.records.Sets {
		if left, ours := s.without(set, whose); ours {
			out = append(out, cluster.Change{Key: set.Key, Old: &set, New: left})
		}
	}
	return out
}

// missing says whether the host of a member was not found.
func (s situation) missing(name cluster.MemberName) bool {
	_, found := s.roster.Member(name)
	return !found && slices.ContainsFunc(s.state.Missing, func(h cluster.Host) bool { return h.Name == name })
}

// without is a record set less the values of some members, nil if none are left,
// and whether there were any in it.
func (s situation) without(set cluster.RecordSet, whose func(cluster.MemberName) bool) (*cluster.RecordSet, bool) {
	var foreign []string
	for _, v := range set.Values {
		if m, ours := s.wrote(set.Key, v); !ours || !whose(m) {
			foreign = append(foreign, v)
		}
	}
	switch len(foreign) {
	case 0:
		return nil, true
	case len(set.Values):
		return &set, false
	}
	left := cluster.NewRecordSet(set.Name, set.Type, foreign...)
	return &left, true
}

// wrote says whether a value on our names is one that pleiad writes, and for
// which member: its service, or the address of a member's host. The address of a host that
// is gone cannot be compared: that it stands alone on a name of the marker must do, that
// other members have addresses of that family, and that the list was published at all.
func (s situation) wrote(k cluster.Key, value string) (cluster.MemberName, bool) {
	switch k.Type {
	case cluster.SRV:
		return s.ourService(value)
	case cluster.A, cluster.AAAA:
		m, ok := s.spec.MemberOf(k.Name)
		if !ok || !s.marker.Has(m) && !slices.Contains(s.marker.Left, m) {
			return m, false
		}
		if h, found := s.roster.Member(m); found {
			return m, h.Address.String() == value
		}
		set, _ := s.records.Get(k)
		return m, len(set.Values) == 1 && s.uses(k.Type) && s.marker.ID != 0
	}
	return "", false
}

// uses says whether the members that were found have addresses of a family; true if
// there are none.
func (s situation) uses(family cluster.RecordType) bool {
	members := s.roster.Members()
	return len(members) == 0 || slices.ContainsFunc(members, func(h cluster.Host) bool { return h.Address.Is6() == (family == cluster.AAAA) })
}

// leave removes what pleiad itself needed for the cluster.
func (s situation) leave() Plan {
	switch {
	case s.state.Server.Or(cluster.NameServer{}).Address != "":
		return Plan{Steps: []Step{RemoveNameServer{Reason{Why: "no records are left to serve"}, s.spec.MarkerKey()}}}
	case s.control.Owner != "" || s.control.CA != "" || s.control.Unusable != "":
		return Plan{Steps: []Step{Forget{Reason{Why: "nothing is left that needs the CA or the owner"}, s.spec.MarkerKey()}}}
	}
	return Plan{}
}
