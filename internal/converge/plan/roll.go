package plan

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/coreos/go-semver/semver"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/system/shell"
)

// rollGrace is how long a member may take to hand over leadership and finish
// what clients wait for; etcd needs up to 7 s (server/embed/etcd.go, Close).
const rollGrace = 10 * time.Second

// roll restarts members that run with other flags or another program than they
// should, one at a time, and only while all members serve and the rest is a quorum
// (rules R4, R5). The restart is on the marker before the member is stopped, and
// until it serves again: two controllers that both see everybody serve would otherwise
// stop a member each. What did not come up on one member is not tried on the next.
//
// It is sound if nothing is refused. All members serve then: for one that does
// not there is a refusal, or a step that comes first.
func (s situation) roll(members []cluster.Host, sound bool) ([]Step, []Refusal) {
	if r := s.unproven(members); r != nil {
		var end []Step
		if s.marker.Op.Kind == cluster.Restart && sound {
			end = s.reserve(cluster.Operation{}, Reason{Why: "it serves again with what it had before", Rules: []Rule{"R5"}})
		}
		return end, []Refusal{*r}
	}
	h, found := s.due(members)
	if !found {
		if s.marker.Op == (cluster.Operation{}) || !sound {
			return nil, nil
		}
		return s.reserve(cluster.Operation{}, Reason{Why: "all members serve with what they should", Rules: []Rule{"R5"}}), nil
	}
	voters, n := s.voters(), s.render(*s.marker, members, h)
	arithmetic := cluster.Arithmetic(voters-1, voters)
	restart := cluster.Operation{Kind: cluster.Restart, Member: h.Name, With: startup(h, n).Digest()}
	r := Refusal{Rule: "R5", What: "restart member " + string(h.Name), Evidence: []string{s.stale(h, n)}}
	switch {
	case s.otherMinor(h, n) != "":
		r.Evidence = append(r.Evidence, s.otherMinor(h, n))
		r.Remedy = remedies(SameMinor)
	case s.older(h, n) && !s.wishes.Older:
		r.Evidence = append(r.Evidence, "nobody was asked about that when this began")
		r.Remedy = remedies(AgreeOlder)
	case voters-1 < cluster.Quorum(voters):
		r.Evidence[0] += ", and without it there is no quorum: " + arithmetic
		r.Remedy = []Remedy{RestartByHand.Say("accept the outage: stop it yourself, then start it again:"), RestartByHand.form("%s && {up}", s.stopByHand(h))}
	case !sound:
		r.Evidence[0] += "; nothing is restarted while anything else is refused"
		r.Remedy = remedies(MendRest)
	case s.marker.Op != restart:
		return s.reserve(restart, Reason{Why: "it is next to be restarted, and no other controller may stop another one", Rules: []Rule{"R5", "R11"}, Quorum: arithmetic}), nil
	case !s.ready(h, n):
		return []Step{InstallNode{Host: h, Node: n, Renew: true, Reason: Reason{Why: "it is next to be restarted: " + s.stale(h, n), Rules: []Rule{"R5"}}}}, nil
	default:
		if move := s.handOver(h.Name, Reason{Why: "it leads the cluster, and is about to be restarted", Rules: []Rule{"R4", "R5"}, Quorum: arithmetic}); move != nil {
			return move, nil
		}
		// It is started at once, whatever another look at the other hosts would take.
		return []Step{
			StopMember{Host: h, Marker: s.stored, Grace: rollGrace, Back: s.older(h, n), Reason: Reason{Why: s.stale(h, n) + "; all others serve", Rules: []Rule{"R4", "R5"}, Quorum: arithmetic}},
			StartMember{Host: h, Node: n, Reason: Reason{Why: "it was stopped to be restarted", Rules: []Rule{"R5", "R13"}}},
		}, nil
	}
	return nil, []Refusal{r}
}

// inTurn says whether a member is to get other options, or another program, only when
// it is next to be restarted: it runs, or has come up with what it has, and the others
// are a quorum meanwhile. Otherwise all members would be down together with options
// that none of them comes up with. One whose host does not hold what was delivered needs
// that first.
func (s situation) inTurn(h cluster.Host) bool {
	found, voters := h.Node.Or(cluster.Node{}), s.voters()
	if found.Process.Running {
		return len(s.marker.Members) > 1
	}
	failed := found.Failed != nil && found.Failed.Same(found.Next)
	return found.Sealed && !failed && len(found.Drift) == 0 && voters-1 >= cluster.Quorum(voters)
}

// starts is the digest of the flags that a member runs with, or would.
func starts(found cluster.Node) string {
	if found.Process.Running {
		return found.Process.Flags
	}
	return found.Next.Flags
}

// startup is what a member should start with: the flags of the spec, and the program
// of this pleiad where that is known.
func startup(h cluster.Host, n node.Node) cluster.Startup {
	found := h.Node.Or(cluster.Node{})
	if found.Offered.Build == "" {
		return cluster.Startup{Flags: n.Flags(), Program: found.Next.Program}
	}
	return cluster.Startup{Flags: n.Flags(), Program: n.Runs(found.Offered)}
}

// ready says whether the member would start with what it should.
func (s situation) ready(h cluster.Host, n node.Node) bool {
	found := h.Node.Or(cluster.Node{})
	return found.Installed == n.Digest() && !found.Next.Program.Differs(startup(h, n).Program)
}

// stale says what a member runs with that it should not; empty if there is nothing.
func (s situation) stale(h cluster.Host, n node.Node) string {
	p, want := h.Node.Or(cluster.Node{}).Process, startup(h, n)
	var out []string
	if p.Running && p.Program.Differs(want.Program) {
		what := fmt.Sprintf("it runs %s, this is %s", p.Program, want.Program)
		if s.older(h, n) {
			what += ", which is older"
		}
		out = append(out, what)
	}
	if p.Running && p.Flags != n.Flags() {
		what := "its etcd options differ from the spec"
		if p.Args != nil {
			what += ": " + strings.Join(node.Differences(p.Args, n.Lasting()), ", ")
		}
		out = append(out, what)
	}
	return strings.Join(out, ", and ")
}

// older says whether a member runs a newer program than it should. Of programs whose
// versions do not tell, such as those of two working copies, none is.
func (s situation) older(h cluster.Host, n node.Node) bool {
	have, want := h.Node.Or(cluster.Node{}).Process.Program, startup(h, n).Program
	if !have.Differs(want) {
		return false
	}
	if c, known := compare(want.Etcd, have.Etcd); known && c != 0 {
		return c < 0
	}
	c, known := compare(want.Version, have.Version)
	return known && c < 0
}

// compare compares two versions, if both are.
func compare(a, b string) (order int, known bool) {
	v, err := semver.NewVersion(strings.TrimPrefix(a, "v"))
	if err != nil {
		return 0, false
	}
	w, err := semver.NewVersion(strings.TrimPrefix(b, "v"))
	if err != nil {
		return 0, false
	}
	return v.Compare(*w), true
}

// otherMinor says why a member would come to run another minor version of etcd than
// it does; empty if it would not, or nobody knows. Members of different minors may
// serve beside each other only in the order and for the time that etcd's own guides
// to upgrading say.
func (s situation) otherMinor(h cluster.Host, n node.Node) string {
	found := h.Node.Or(cluster.Node{})
	have, want := cmp.Or(found.Process.Program.Etcd, found.Next.Program.Etcd), startup(h, n).Program.Etcd
	if v := h.View.Or(cluster.View{}); v.Version != "" {
		have = v.Version
	}
	a, errA := semver.NewVersion(have)
	b, errB := semver.NewVersion(want)
	if errA != nil || errB != nil || a.Major == b.Major && a.Minor == b.Minor {
		return ""
	}
	return fmt.Sprintf("it would run etcd %s in the place of %s: another minor version, which this pleiad does not change to", want, have)
}

// mixesMinors refuses what would run another minor version of etcd beside the members.
func (s situation) mixesMinors(what string) *Refusal {
	members := s.roster.Members()
	for _, h := range visible(members) {
		if why := s.otherMinor(h, s.render(*s.marker, members, h)); why != "" {
			return &Refusal{Rule: "R5", What: what, Evidence: []string{string(h.Name) + ": " + why}, Remedy: remedies(SameMinor)}
		}
	}
	return nil
}

// unproven refuses to go on with what one member did not come up with.
func (s situation) unproven(members []cluster.Host) *Refusal {
	for _, h := range members {
		n := s.render(*s.marker, members, h)
		found, want := h.Node.Or(cluster.Node{}), startup(h, n)
		if found.Failed == nil || !found.Failed.Same(want) || found.Next.Same(want) && !found.Process.Program.Differs(want.Program) {
			continue
		}
		return &Refusal{Rule: "R5", What: "restart members with what the spec and this pleiad want",
			Evidence: []string{fmt.Sprintf("member %s did not come up with it: %s", h.Name, found.Failed.Why), s.stale(h, n) + "; no other member is restarted with it"},
			Remedy:   append(remedies(FixStartup), TryAgain.Say("to try the same again:"), TryAgain.form("%s && {up}", s.forget(h)))}
	}
	return nil
}

// forget is the command that makes a host forget how its last start ended.
func (s situation) forget(h cluster.Host) string {
	rm := shell.Line("rm", h.Paths.Failed())
	if s.spec.OnMachines() {
		return s.loginAsRoot(h) + " " + rm
	}
	return rm
}

// broken says whether a member that is being restarted did not come up with what it
// was given, and can go back to what it had (rule R5). Without a marker nobody knows
// what is being done to it.
func (s situation) broken(h cluster.Host) bool {
	found := h.Node.Or(cluster.Node{})
	restarted := s.marker == nil || s.marker.Op.Kind == cluster.Restart && s.marker.Op.Member == h.Name
	return restarted && !found.Process.Running &&
		found.Failed != nil && found.Failed.Same(found.Next) && found.Former != nil && !found.Former.Same(found.Next)
}

// startOrRevert starts a member; one that did not come up with what it was given goes
// back to what it had first.
func (s situation) startOrRevert(start StartMember) []Step {
	if !s.broken(start.Host) {
		return []Step{start}
	}
	failed := start.Host.Node.Or(cluster.Node{}).Failed
	start.Why = "it is started with what it had before"
	return []Step{RevertNode{Host: start.Host, Reason: Reason{Why: "it did not come up: " + failed.Why, Rules: []Rule{"R5", "R13"}, Quorum: start.Quorum}}, start}
}

// due is the member to restart next: the one on the marker, as long as it runs
// as before, for somebody may be about to stop it; else one that follows, so that
// the leader is the last.
func (s situation) due(members []cluster.Host) (next cluster.Host, found bool) {
	for _, h := range members {
		if s.stale(h, s.render(*s.marker, members, h)) == "" {
			continue
		}
		if !found || s.marker.Op.Member == h.Name || s.marker.Op.Member != next.Name && leads(next) && !leads(h) {
			next, found = h, true
		}
	}
	return next, found
}

func leads(h cluster.Host) bool {
	v := h.View.Or(cluster.View{})
	return v.Leader != 0 && v.Leader == v.ID
}

// reserve puts an operation on the marker; the zero value ends the one before.
func (s situation) reserve(op cluster.Operation, why Reason) []Step {
	step := ChangeRecords{While: s.elsewhere(), Purpose: Reserve, Of: op.Member, Op: op.Kind, Changes: []cluster.Change{s.advance(func(m *cluster.Marker) { m.Op = op })}, Reason: why}
	if op == (cluster.Operation{}) {
		step.Purpose, step.Of, step.Op = Release, s.marker.Op.Member, s.marker.Op.Kind
	}
	if step.While != nil {
		step.Rests = arrives
		step.Why += fmt.Sprintf("; another controller, with another spec or program, has begun to restart %s, or had", step.While.Name)
	}
	return []Step{step}
}

// arrives is longer than what a controller has sent takes to be done.
const arrives = 30 * time.Second

// elsewhere is the member that somebody has begun to restart with something else than
// this controller would, and that serves: it may be stopped at any moment. A member
// that does not serve counts as stopped already. nil if there is none.
func (s situation) elsewhere() *cluster.Host {
	op := s.marker.Op
	h, found := s.roster.Member(op.Member)
	if op.Kind != cluster.Restart || !found || !h.View.Or(cluster.View{}).Serves() {
		return nil
	}
	if n := s.render(*s.marker, s.roster.Members(), h); op.With == startup(h, n).Digest() {
		return nil
	}
	return &h
}
