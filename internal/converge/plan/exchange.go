package plan

import (
	"fmt"
	"slices"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// Wishes are what a person asks for beside the spec.
type Wishes struct {
	// Replaced are members that are to be replaced. One that serves leaves when another
	// one has joined in its place. One that does not is given up on that person's word,
	// unless other members hear from it: that this controller cannot reach a member says
	// nothing of it.
	Replaced []cluster.MemberName
	// Older agrees to programs that are older than those that members run.
	Older bool
}

// For plans as [Up] does, with the wishes of a person.
func For(w Wishes) Planner {
	return func(spec cluster.Spec, state cluster.State) Plan { return up(spec, state, w) }
}

// exchange begins to replace a member that is to make room for another one.
func (s situation) exchange() (cluster.Operation, Reason) {
	for _, row := range s.roster {
		switch why := s.unwanted(row.Name); {
		case why == "":
		case s.serves(row.Name):
			return cluster.Operation{Kind: cluster.Add, Member: s.freshName(), For: row.Name},
				Reason{Why: string(row.Name) + " serves, and is to be replaced: " + why, Rules: []Rule{"R4", "R7"}}
		case s.saidDead(row.Name):
			return cluster.Operation{Kind: cluster.Remove, Member: row.Name},
				Reason{Why: "it does not serve, and you asked to replace it", Rules: []Rule{"R4", "R7"}}
		}
	}
	return cluster.Operation{}, Reason{}
}

// unwanted says why a member is to make room for another one; empty if it is not.
func (s situation) unwanted(name cluster.MemberName) string {
	h, found := s.roster.Member(name)
	switch {
	case !s.marker.Has(name):
		return ""
	case slices.Contains(s.wishes.Replaced, name):
		return "you asked for it"
	case found && s.outside(h):
		return fmt.Sprintf("its address %s is no longer in the spec", h.Address)
	}
	return ""
}

// outside says whether the address of a host has left the spec.
func (s situation) outside(h cluster.Host) bool {
	machines := s.spec.Machines()
	return machines != nil && !slices.Contains(machines, h.Address)
}

// serves says whether a member serves, as far as this controller sees.
func (s situation) serves(name cluster.MemberName) bool {
	return slices.ContainsFunc(s.census().Or(census{}).alive, func(h cluster.Host) bool { return h.Name == name })
}

// saidDead says whether a person gives up a member that does not serve.
func (s situation) saidDead(name cluster.MemberName) bool {
	return slices.Contains(s.wishes.Replaced, name) && s.marker.Has(name) && !s.serves(name)
}

// sighted refuses to give up a member that does not answer here, or knows no leader,
// while others hear from it, or do not say whether they do. A member loses its leader
// for a moment whenever that one ends.
func (s situation) sighted(name cluster.MemberName) *Refusal {
	h, _ := s.roster.Member(name)
	v, answers := h.View.Get()
	if !s.saidDead(name) || v.Leader != 0 || h.Node.Known() && !h.Runs() {
		return nil // it says itself why it does not serve, or its host does
	}
	evidence, unknown := s.hearsay(name)
	switch {
	case evidence == nil:
		return nil
	case answers:
		evidence, unknown = append([]string{string(name) + " answers, and knows no leader yet"}, evidence...), true
	default:
		evidence = append([]string{string(name) + " does not answer here: " + h.View.Why().Text}, evidence...)
	}
	return &Refusal{Rule: "R14", What: "replace member " + string(name), Evidence: evidence, Unknown: unknown, Remedy: remedies(ReachHost)}
}

// hearsay is what speaks against giving up a member that cannot be found or reached
// from here: others that serve hear from it, or do not say whether they do. It is
// unknown if one of them does not say.
func (s situation) hearsay(name cluster.MemberName) (evidence []string, unknown bool) {
	id, c := s.memberID(name), s.census().Or(census{})
	for _, other := range c.others(name) {
		switch peers, known := other.Heard.Get(); {
		case !known:
			unknown = true
			evidence = append(evidence, fmt.Sprintf("%s does not say whether it hears from %s: %s", other.Name, name, other.Heard.Why().Text))
		case len(peers) == 0 && c.voters > 1: // who serves in a quorum hears at least one other
			unknown = true
			evidence = append(evidence, fmt.Sprintf("%s says that it hears from nobody, and yet it serves", other.Name))
		case slices.Contains(peers, id):
			evidence = append(evidence, fmt.Sprintf("%s hears from %s: it runs", other.Name, name))
		}
	}
	return evidence, unknown
}

// asked says whether the members were asked whom they hear: they are if one is lost,
// unless its addition or removal has begun.
func (s situation) asked() bool {
	return slices.ContainsFunc(s.hosts, func(h cluster.Host) bool { return h.Heard.Tried() })
}
