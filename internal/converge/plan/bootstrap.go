package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// bootstrap completes a claimed cluster with the hosts and the token that were
// chosen once (rule R2).
func (s situation) bootstrap() Plan {
	if r := s.resize(); r != nil {
		return refuse(r...)
	}
	if r := s.formerLife(); r != nil {
		return refuse(*r)
	}
	members, missing := s.roster.Members(), s.roster.Missing()
	if r := blind(ready(members), "start member"); r != nil {
		return refuse(r...)
	}
	if steps := awaitHosts(slices.DeleteFunc(slices.Clone(members), func(h cluster.Host) bool { return h.Blank })); steps != nil {
		return Plan{Steps: steps, Together: true} // one that was stopped may know of a former life
	}
	if len(missing) > 0 {
		what := "launch host " + cluster.JoinMembers(missing)
		if r := append(s.unseen(what), s.untraced(what)...); r != nil {
			return refuse(r...)
		}
		return s.launch(missing)
	}
	if steps := awaitHosts(members); steps != nil {
		return Plan{Steps: steps, Together: true}
	}
	if p := s.prepare(members); p.Refusals != nil || p.Steps != nil {
		return p
	}
	if running := runningOf(members); len(running) < len(members) {
		if steps := s.awaitRecords("no member asks its resolver before all name servers of the zone show the list"); steps != nil {
			return Plan{Steps: steps}
		}
	}
	if p := s.start(members); p.Refusals != nil || p.Steps != nil {
		return p
	}
	return s.seal(members)
}

// formerLife refuses to go on beside a host of another incarnation (rule R1).
func (s situation) formerLife() *Refusal {
	strangers := s.roster.Strangers()
	if len(strangers) == 0 {
		return nil
	}
	r := &Refusal{Rule: "R1", What: "complete the bootstrap", Remedy: remedies(RemoveHost)}
	for _, h := range strangers {
		r.Evidence = append(r.Evidence, fmt.Sprintf("host %s at %s is of another incarnation of this cluster (token %s) and %s", h.Name, h.Address, h.Token, life(h)))
	}
	return r
}

// launch makes the missing hosts, as long as the list was not published: until
// then no member can have started. Afterwards a missing host is one that was
// lost, perhaps with the data of a member that ran (rule R6).
func (s situation) launch(missing []cluster.MemberName) Plan {
	if s.marker.ID != 0 {
		return refuse(Refusal{Rule: "R6", What: "launch host " + cluster.JoinMembers(missing),
			Evidence: []string{"the host is gone, after the list of members was published: names and data are never made twice"},
			Remedy:   remedies(StartOver)})
	}
	if r := s.stillRuns(missing); r != nil {
		return refuse(r...)
	}
	p := Plan{Together: true}
	for _, name := range missing {
		p.Steps = append(p.Steps, LaunchHost{Member: name, Token: s.marker.Token, Marker: *s.stored,
			Reason: Reason{Why: "the marker names it and there is no such host", Rules: []Rule{"R2", "R11"}}})
	}
	return p
}

// stillRuns refuses to launch a member that runs and whose folder was removed. It
// has had data, so that the list was published: a marker that does not say so is
// from the past (rule R2).
func (s situation) stillRuns(missing []cluster.MemberName) []Refusal {
	var out []Refusal
	for _, h := range s.state.Missing {
		if slices.Contains(missing, h.Name) && s.orphaned(h) {
			out = append(out, Refusal{Rule: "R6", What: "launch host " + string(h.Name), Remedy: remedies(StartOver),
				Evidence: []string{fmt.Sprintf("member %s runs as process %d, and its folder was removed: names and data are never made twice", h.Name, h.Node.Or(cluster.Node{}).Process.PID)}})
		}
	}
	return out
}

// prepare publishes the complete list before any member starts, and gives
// every host its node (rules R3, R8).
func (s situation) prepare(members []cluster.Host) Plan {
	if r := s.skewed(members); r != nil {
		return refuse(*r)
	}
	id := node.ClusterID(s.spec, s.marker.Token, members)
	changes, conflicts := s.changes(s.wanted(false))
	if conflicts != nil {
		return refuse(s.conflict(conflicts))
	}
	p := Plan{Together: true}
	if len(changes) > 0 || s.marker.ID != id {
		changes = append(changes, s.advance(func(m *cluster.Marker) { m.ID = id }))
		p.Steps = append(p.Steps, ChangeRecords{Purpose: Publish, Changes: changes,
			Reason: Reason{Why: "the complete list is in DNS before the first member starts", Rules: []Rule{"R3", "R8"}}})
	}
	p.Steps = append(p.Steps, s.install(members, true, "")...)
	p.Steps = append(p.Steps, s.renewOperator()...)
	return p
}

// conflict refuses to publish beside what is not ours, and says how to remove that.
func (s situation) conflict(conflicts []intruder) Refusal {
	r := Refusal{Rule: "R10", What: "publish records", Remedy: remedies(RemoveForeign)}
	var sets []cluster.RecordSet
	for _, c := range conflicts {
		r.Evidence = append(r.Evidence, c.why)
		sets = append(sets, c.set)
	}
	r.Remedy = append(r.Remedy, s.deletion(sets)...)
	return r
}

// install gives each host that can be inspected the node it should hold, where
// it holds another, and a new certificate where that is due. The node speaks of
// all members, of those too that cannot be seen just now: their peers need their
// addresses all the more (rule R9).
//
// In a sealed cluster, what a member could come to grief with is changed one member
// at a time: the certificate of one that runs, if it is that of next; and options,
// when it is to be restarted with them, see [situation.inTurn]. What else a node says
// goes to all hosts at once: it is read at the next start only, and is what the
// members are seen to run with.
func (s situation) install(members []cluster.Host, issue bool, next cluster.MemberName) []Step {
	var steps []Step
	for _, h := range visible(members) {
		n, found := s.render(*s.marker, members, h), h.Node.Or(cluster.Node{})
		if found.Data.Foreign(n.Made()) {
			continue // refused where its start is planned
		}
		apart := s.marker.Phase == cluster.Sealed && found.Process.Running && len(s.marker.Members) > 1
		due := issue && s.outdated(h) && (!apart || h.Name == next)
		step, other := InstallNode{Host: h, Node: n, Issue: due}, found.Installed != n.Digest()
		want, minor := startup(h, n), s.otherMinor(h, n)
		step.Renew = !found.Process.Running && !s.inTurn(h) && found.Next.Program.Differs(want.Program) && minor == ""
		switch {
		case s.broken(h), found.Failed != nil && found.Failed.Same(want) && !found.Next.Same(want):
			continue // see roll
		case !due && s.spec.TLS && found.Certificate == nil:
			continue // it would be of no use
		case !due && found.Sealed && starts(found) != n.Flags() && (minor != "" || s.inTurn(h)):
			continue
		case found.Installed == "":
			step.Why = "there is nothing on the host yet"
		case step.Renew:
			step.Why = "its member does not run, and has " + found.Next.Program.String() + died(h)
		case len(found.Drift) > 0:
			step.Why = "the host does not hold what was delivered: " + strings.Join(found.Drift, "; ")
		case n.Sealed && !found.Sealed:
			step.Why, step.Rules = "the cluster is sealed: from now on the member starts without DNS", []Rule{"R1", "R9"}
		case other && !(due && apart):
			step.Why = "the host holds another configuration"
		case due && found.Certificate == nil:
			step.Why = "the member has no certificate"
		case due && s.state.At.Before(found.Certificate.NotBefore):
			step.Why = "the certificate is not valid before " + found.Certificate.NotBefore.UTC().Format(time.DateOnly)
		case due:
			step.Why = "the certificate has been due for renewal since " + found.Certificate.RenewAt.UTC().Format(time.DateOnly)
		default:
			continue
		}
		if due && apart {
			step.Rules = append(step.Rules, "R5")
		}
		steps = append(steps, step)
	}
	return steps
}

// start starts fresh members, then waits until all of them serve. They are started
// together: in what order etcd begins on them, they see to themselves (package member).
func (s situation) start(members []cluster.Host) Plan {
	var p Plan
	for _, h := range members {
		n := s.render(*s.marker, members, h)
		if r := unfit(h, n, StartOver); r != nil {
			p.Refusals = append(p.Refusals, *r)
		} else if !h.Runs() {
			why := Reason{Why: "first start, behind the gate: its resolver must show the complete list", Rules: []Rule{"R2", "R3"}}
			if h.Node.Or(cluster.Node{}).Data.Present {
				why = Reason{Why: "it is not running, in the middle of the bootstrap" + died(h), Rules: []Rule{"R2", "R13"}}
			}
			p.Steps = append(p.Steps, StartMember{Host: h, Node: n, Marker: s.stored, Reason: why})
		}
	}
	if p.Refusals != nil {
		// A bootstrap with a lost member cannot be completed; what is started
		// now would only be more to tear down.
		p.Steps = nil
		return p
	}
	if p.Steps != nil {
		p.Together = true
		return p
	}
	if waiting := s.waiting(members); len(waiting) > 0 {
		p.Steps = []Step{AwaitMembers{Hosts: waiting, Reason: Reason{Why: "started, not yet serving" + gates(waiting), Rules: []Rule{"R2"}}}}
	}
	return p
}

// waiting are the members that do not serve yet, or do not yet know all others
// by name.
func (s situation) waiting(members []cluster.Host) []cluster.Host {
	return slices.DeleteFunc(slices.Clone(members), func(h cluster.Host) bool {
		v, known := h.View.Get()
		if !known || !v.Serves() {
			return false
		}
		named := 0
		for _, m := range v.Members {
			if m.Name != "" {
				named++
			}
		}
		return named >= len(members)
	})
}

// gates repeats what start gates wait for.
func gates(hosts []cluster.Host) string {
	for _, h := range hosts {
		if g := h.Node.Or(cluster.Node{}).Process.Gate; g != "" {
			return "; " + string(h.Name) + " waits at its gate: " + g
		}
	}
	return ""
}

// seal ends the bootstrap, if every member reports the one cluster ID computed
// beforehand and the complete member list (rule R2).
func (s situation) seal(members []cluster.Host) Plan {
	if evidence := s.otherCluster(members); evidence != nil {
		return refuse(Refusal{Rule: "R2", What: "seal the cluster", Evidence: evidence,
			Remedy: remedies(StartOver)})
	}
	changes, conflicts := s.changes(s.wanted(true))
	if conflicts != nil {
		return refuse(s.conflict(conflicts))
	}
	changes = append(changes, s.advance(func(m *cluster.Marker) { m.Phase = cluster.Sealed }))
	return Plan{Steps: []Step{ChangeRecords{Purpose: Seal, Changes: changes, Reason: Reason{
		Why:    fmt.Sprintf("all %d members report cluster %s and the complete list", len(members), s.marker.ID),
		Rules:  []Rule{"R2", "R8"},
		Quorum: cluster.Arithmetic(len(members), len(members)),
	}}}}
}

// otherCluster is what members report that is not this cluster: another ID, or
// a member list other than the marker's.
func (s situation) otherCluster(members []cluster.Host) []string {
	expected := s.expected(members)
	var out []string
	for _, h := range members {
		v, known := h.View.Get()
		if !known {
			continue
		}
		if v.Cluster != s.marker.ID {
			out = append(out, fmt.Sprintf("%s is in cluster %s, not %s", h.Name, v.Cluster, s.marker.ID))
			continue
		}
		for _, m := range v.Members {
			if !expected[m.ID] {
				out = append(out, fmt.Sprintf("%s lists member %s %q, which pleiad did not add", h.Name, m.ID, m.Name))
			}
		}
		if len(v.Members) < len(expected) {
			out = append(out, fmt.Sprintf("%s lists %d members of %d", h.Name, len(v.Members), len(expected)))
		}
	}
	return out
}

// expected are the IDs of our own members.
func (s situation) expected(members []cluster.Host) map[cluster.MemberID]bool {
	out := map[cluster.MemberID]bool{}
	for _, h := range members {
		out[s.spec.MemberID(*s.marker, h)] = true
	}
	return out
}

// undo is what to do about a membership that somebody else has changed. A member of
// ours is never removed here: its host says whose the ID is, or its peer URL whose the
// name.
func (s situation) undo() []Remedy {
	if token, other := s.otherToken(); other {
		return PutMarkerBack.lines(damaged, s.entry(s.marker.Next(func(m *cluster.Marker) { m.Token, m.Generation = token, m.Generation+1_000_000 })))
	}
	var out []Remedy
	for _, m := range s.list.Or(nil) {
		name, _ := s.urlOf(m)
		ours := s.marker.Has(name) || slices.ContainsFunc(s.hosts, func(h cluster.Host) bool { return h.Node.Or(cluster.Node{}).Made.Member == m.ID })
		if !ours && !slices.ContainsFunc(s.marker.Members, func(name cluster.MemberName) bool { return s.is(m, name) }) {
			out = append(out, UndoMember.Say(m.ID))
		}
	}
	for _, h := range s.roster.Members() {
		if m, url := s.listed(h.Name), s.spec.PeerURL(h.Name, h.Ports.Peer); m != nil && !slices.Equal(m.PeerURLs, []string{url}) {
			out = append(out, UpdateMember.Say(m.ID, url))
		}
	}
	if out == nil {
		return remedies(LetOthersServe)
	}
	return out
}

// otherToken is the token that a host has and a member's ID was made with, where the
// marker has another: then somebody has edited that.
func (s situation) otherToken() (cluster.Token, bool) {
	for _, m := range s.list.Or(nil) {
		name, url := s.urlOf(m)
		for _, h := range s.hosts {
			if s.marker.Has(name) && h.Token != s.marker.Token && m.ID == cluster.BootstrapMemberID(url, h.Token) {
				return h.Token, true
			}
		}
	}
	return "", false
}
