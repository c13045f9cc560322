package plan

import (
	"fmt"
	"slices"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/system/shell"
)

// Up plans towards the spec. A refusal stops only what depends on what is
// refused: members that need nothing but their own host are started whatever
// else is wrong; see [situation.revive].
func Up(spec cluster.Spec, state cluster.State) Plan { return up(spec, state, Wishes{}) }

func up(spec cluster.Spec, state cluster.State, wishes Wishes) Plan {
	if r := copied(state.Control, "converge "+string(spec.Cluster)); r != nil {
		return refuse(*r)
	}
	p := towards(spec, state, wishes)
	// A state directory that cannot be read may be a copy, which only looks.
	if down(state.Server) && state.Control.Known() {
		return p.withServer(StartNameServer{Reason{Why: "the name server of this cluster is not running"}})
	}
	return p
}

// withServer starts the name server, and beside it only what does not need it:
// it may not start at all, with its port taken or its zone file damaged.
func (p Plan) withServer(start StartNameServer) Plan {
	steps := []Step{start}
	for _, s := range p.Steps {
		switch s := s.(type) {
		case RenewOperator:
			steps = append(steps, s)
		case AwaitHost:
			steps = append(steps, s)
		case RevertNode:
			steps = append(steps, s)
		case InstallNode:
			if s.Node.Sealed {
				steps = append(steps, s)
			}
		case StartMember:
			if s.Marker == nil {
				steps = append(steps, s)
			}
		}
	}
	return Plan{Steps: steps, Together: len(steps) > 1, Refusals: p.Refusals}
}

func towards(spec cluster.Spec, state cluster.State, wishes Wishes) Plan {
	s, refusals := look(spec, state, "converge "+string(spec.Cluster))
	s.wishes = wishes
	switch {
	case len(refusals) > 0:
		return s.refuse(refusals...)
	case s.marker == nil:
		return s.begin()
	}
	if r := s.behind("converge " + string(spec.Cluster)); r != nil {
		return s.refuse(*r)
	}
	if s.marker.Phase == cluster.Destroying {
		return refuse(Refusal{Rule: "R2", What: "converge " + string(spec.Cluster),
			Evidence: []string{"the marker says that this cluster is being destroyed"},
			Remedy:   remedies(FinishDestroy)})
	}
	if r := s.scheme(); r != nil {
		return s.refuse(*r)
	}
	if r := s.authority(); r != nil {
		return s.refuse(*r)
	}
	if s.marker.Phase == cluster.Bootstrapping {
		return s.bootstrap()
	}
	return s.keep()
}

// copied refuses to act from a copy of a state directory: the hosts and processes
// that it speaks of are the original's, and so is the right to change them.
func copied(control cluster.Seen[cluster.Control], what string) *Refusal {
	c, _ := control.Get()
	if c.Copy == "" {
		return nil
	}
	return &Refusal{Rule: "R15", What: what, Evidence: []string{c.Copy}, Remedy: remedies(UseOriginal, TakeOver)}
}

// down says that our own name server was looked for and does not run.
func down(server cluster.Seen[cluster.NameServer]) bool {
	s, known := server.Get()
	return known && s.Managed && !s.Running && s.Copy == ""
}

// refuse refuses, and does nothing else.
func refuse(r ...Refusal) Plan { return Plan{Refusals: r} }

// refuse refuses to converge, and starts what does not depend on that.
func (s situation) refuse(r ...Refusal) Plan {
	return Plan{Steps: s.revive(), Together: true, Refusals: r}
}

// begin starts the life of a cluster, if nothing at all speaks of a former one
// (rule R1).
func (s situation) begin() Plan {
	const what = "bootstrap"
	if r := s.ownerless("R1", what); r != nil {
		return s.refuse(*r)
	}
	if len(s.hosts) > 0 {
		r := Refusal{Rule: "R1", What: what, Remedy: remedies(DestroyUnwanted)}
		if m, whole := s.rightMarker(); whole {
			r.Remedy = append(PutMarkerBack.lines("if the marker was deleted by mistake, put this record back:", m), r.Remedy...)
		}
		r.Evidence = append(r.Evidence, "there is no marker on "+s.spec.MarkerName()+", but hosts of this cluster exist:")
		for _, h := range s.hosts {
			r.Evidence = append(r.Evidence, "host "+string(h.Name)+" at "+h.Address.String()+" "+life(h))
		}
		return s.refuse(r)
	}
	if r := slices.Concat(s.unseen(what), s.untraced(what), s.astray(what)); r != nil {
		return refuse(r...)
	}
	if r := s.taken(what); r != nil {
		return refuse(*r)
	}
	if len(s.records.Sets) > 0 {
		r := Refusal{Rule: "R10", What: what, Remedy: remedies(DeleteRecords, OtherDomain)}
		for _, set := range s.records.Sets {
			r.Evidence = append(r.Evidence, set.String()+" exists and is not ours: there is no marker")
		}
		r.Remedy = append(r.Remedy[:1:1], append(s.deletion(s.records.Sets), r.Remedy[1:]...)...)
		return refuse(r)
	}
	if s.spec.TLS && s.control.Unusable != "" {
		r := s.unusable()
		r.Remedy = append(r.Remedy, StartOver.Say())
		return refuse(r)
	}
	if s.control.Owner == "" || s.spec.TLS && s.control.CA == "" {
		owner := s.control.Owner
		if owner == "" {
			owner = s.state.Fresh.Owner
		}
		return Plan{Steps: []Step{CreateAuthority{Reason{Why: "this state directory has none yet", Rules: []Rule{"R15"}}, owner}}}
	}
	control := s.control
	if !s.spec.TLS {
		control.CA = ""
	}
	members := s.state.Fresh.Members[:s.spec.Members]
	return Plan{Steps: []Step{ChangeRecords{
		Reason:  Reason{Why: "nothing exists under this name: no marker, record or host", Rules: []Rule{"R1", "R2", "R11"}},
		Purpose: Claim,
		Changes: claim(s.spec, control, s.state.Fresh.Token, members, cluster.Bootstrapping),
	}}}
}

// life says in a few words what was found on a host.
func life(h cluster.Host) string {
	switch n, known := h.Node.Get(); {
	case !known:
		return "could not be inspected: " + h.Node.Why().Text
	case n.Process.Running:
		return "runs a member"
	case n.Data.Present:
		return "holds data of member " + n.Data.Member.String()
	}
	return "holds no data"
}

// scheme refuses to change TLS, which cannot be done in this version.
func (s situation) scheme() *Refusal {
	made := s.marker.CA != ""
	if made == s.spec.TLS {
		return nil
	}
	return &Refusal{Rule: "R2", What: "change TLS", Asked: true,
		Evidence: []string{fmt.Sprintf("the cluster was made with tls %s, the spec says tls %s", onOff(made), onOff(s.spec.TLS))},
		Remedy:   remedies(SetTLSBack)}
}

// authority refuses to act for a cluster whose CA is not here.
func (s situation) authority() *Refusal {
	ca := s.control.CA
	if !s.spec.TLS || ca == s.marker.CA {
		return nil
	}
	if s.control.Unusable != "" {
		r := s.unusable()
		r.Remedy = append(r.Remedy, s.withoutKeys(&r)...)
		return &r
	}
	here := "there is no CA key"
	if ca != "" {
		here = "the CA is " + ca
	}
	r := Refusal{Rule: "R15", What: "act for this cluster", Remedy: remedies(OwnersDirectory),
		Evidence: []string{fmt.Sprintf("the cluster's CA is %s; in this state directory %s", s.marker.CA, here)}}
	if ca == "" {
		r.Remedy = append(r.Remedy, s.withoutKeys(&r)...)
	}
	for _, h := range s.hosts {
		if ca != "" && h.View.Known() {
			r.Evidence = append(r.Evidence, fmt.Sprintf("member %s accepts a certificate of the CA that is here", h.Name))
			r.Remedy = s.putBack(damaged)
		}
	}
	return &r
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

// resize refuses another size in the middle of a bootstrap (rule R2).
func (s situation) resize() []Refusal {
	have := len(s.marker.Members)
	if have == s.spec.Members {
		return nil
	}
	return []Refusal{{Rule: "R2", What: fmt.Sprintf("change the cluster from %d to %d members", have, s.spec.Members), Asked: true,
		Evidence: []string{fmt.Sprintf("the cluster has %d: %s", have, cluster.JoinMembers(s.marker.Members)),
			"the members of a bootstrap are chosen once"},
		Remedy: []Remedy{SetMembersBack.Say(have), StartOver.Say()}}}
}

// blind are refusals for hosts that could not be inspected. Whoever tried to
// knows best what can be done about it.
func blind(hosts []cluster.Host, what string) []Refusal {
	var out []Refusal
	for _, h := range hosts {
		if h.Node.Known() {
			continue
		}
		why := h.Node.Why()
		remedy := PlaceSays.lines(why.Remedy...)
		if len(remedy) == 0 {
			remedy = remedies(ReachHost)
		}
		out = append(out, Refusal{Rule: "R1", What: what + " " + string(h.Name), Unknown: !why.Lasting, Remedy: remedy,
			Evidence: []string{"host " + string(h.Name) + " at " + h.Address.String() + " could not be inspected: " + why.Text}})
	}
	return out
}

// unseen are refusals for places that could not be inspected, where there may
// be a host of this cluster.
func (s situation) unseen(what string) []Refusal {
	var out []Refusal
	for _, p := range s.state.Unseen() {
		remedy := PlaceSays.lines(p.Remedy...)
		switch given := s.spec.Machines(); {
		case !p.Address.IsValid():
		case len(given) > s.spec.Members: // a spec with too few is refused
			remedy = append(remedy, ReachPlace.Say())
		default:
			remedy = append(remedy, OtherPlace.Say())
		}
		out = append(out, Refusal{Rule: "R1", What: what, Unknown: !p.Lasting, Remedy: remedy,
			Evidence: []string{p.String() + " could not be inspected, and there may be a host of this cluster: " + p.Unknown}})
	}
	return out
}

// taken refuses to begin on machines on which somebody else has something.
func (s situation) taken(what string) *Refusal {
	r := Refusal{Rule: "R10", What: what, Remedy: remedies(OtherMachines)}
	for _, p := range s.state.Places {
		if p.Taken != "" {
			r.Evidence = append(r.Evidence, p.String()+": "+p.Taken)
			r.Remedy = append(r.Remedy, PlaceSays.lines(p.Remedy...)...)
		}
	}
	if r.Evidence == nil {
		return nil
	}
	return &r
}

// unfit refuses to start a member whose data is lost, older than it was or
// somebody else's (rule R6), or whose etcd founded another cluster than the one that was computed
// (rule R3); nil if the data fits the node.
func unfit(h cluster.Host, n node.Node, otherwise Way) *Refusal {
	d := h.Node.Or(cluster.Node{}).Data
	r := Refusal{Rule: "R6", What: "start member " + string(h.Name)}
	switch {
	case d.Present && d.Born && !n.Sealed && d.Cluster != n.ID:
		r.Rule = "R3"
		r.Evidence = []string{fmt.Sprintf("it founded cluster %s, not %s: it did not see the whole list of members", d.Cluster, n.ID),
			"this cluster is not sealed: nobody has data in it yet"}
		r.Remedy = remedies(StartOver)
	case h.Copy != "":
		r.Evidence = []string{h.Copy + ": if started, it could lose writes that it has acknowledged"}
		r.Remedy = remedies(PutFolderBack, TrustCopy)
	case d.Foreign(n.Made()):
		r.Evidence = []string{fmt.Sprintf("%s holds member %s of cluster %s, want member %s of cluster %s", h.Paths.Data, d.Member, d.Cluster, n.Member, n.ID)}
		r.Remedy = remedies(PutDataBack)
	case d.Older:
		r.Evidence = []string{fmt.Sprintf("%s holds an older state of member %s: its log ends at %s, but the member had got to %s", h.Paths.Data, n.Member, d.Ends, d.Reached),
			"what it acknowledged and voted since is missing: if started, it could make the cluster lose writes"}
		r.Remedy = append(remedies(PutNewestBack, otherwise), AcceptLoss.Say(shell.Quote(h.Paths.Mark()), h.Name, d.Ends))
	case !d.Present && (d.Born || n.Sealed && !n.Join):
		r.Evidence = []string{fmt.Sprintf("%s is empty, but member %s once had data: if started, it could corrupt the others", h.Paths.Data, n.Member)}
		r.Remedy = remedies(PutDataBack, otherwise)
	default:
		return nil
	}
	return &r
}

func (s situation) render(m cluster.Marker, members []cluster.Host, h cluster.Host) node.Node {
	return node.Render(s.spec, m, members, h, s.spec.Resolver(s.state.Server.Or(cluster.NameServer{})))
}
