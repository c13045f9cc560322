package member

import (
	"fmt"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// Decision is what the identity check allows.
type Decision int

// The decisions. The zero value allows nothing.
const (
	// Refuse comes with the reason as an error.
	Refuse Decision = iota
	// Restart: the data directory is this member's own; etcd starts from it
	// and asks no DNS.
	Restart
	// FirstStart: this member never had data; the gate comes first.
	FirstStart
	// Join: this member never had data and joins a sealed cluster; its own
	// gate comes first, which asks the other members.
	Join
)

// Refusal is a start that was not made, and why. Its text is one line: rule,
// evidence, and what a person can do.
type Refusal struct {
	Rule string // "R6"
	Why  string
	Do   string
}

// putBackOrReplace is what can be done about a member that has lost its data.
const putBackOrReplace = "put the data back (is its disk mounted?); if it is lost, remove this member from the cluster and replace it under a fresh name"

// Error implements error.
func (r *Refusal) Error() string { return r.Rule + ": " + r.Why + "; " + r.Do }

// Identity decides from what the data directory holds, and once held, whether
// the member may start (rules R1 and R6):
//
//	data dir   IDs in it   once had data   cluster         decision
//	present    ours        any             any             Restart
//	older      ours        any             any             refused
//	present    others'     any             any             refused; said to have been founded wrongly
//	                                                       if it once had data and is not sealed
//	empty      -           yes             any             refused
//	empty      -           no              sealed          refused
//	empty      -           no              sealed, joins   Join
//	empty      -           no              not sealed      FirstStart
//
// Empty under an ID that once voted is the case that kills clusters: etcd
// would start with an empty log, and has then been seen to panic, or worse, to
// vote again. Older data is the same loss, of a part.
func Identity(n node.Node, found cluster.Data) (Decision, error) {
	switch {
	case found.Present && found.Born && !n.Sealed && found.Cluster != n.ID:
		return Refuse, &Refusal{
			Rule: "R3",
			Why:  fmt.Sprintf("%s founded cluster %s, not %s: it did not see the whole list of members", n.Name, found.Cluster, n.ID),
			Do:   "nobody has data in a cluster that is not sealed: pleiad destroy, then pleiad up",
		}
	case found.Present && (found.Member != n.Member || found.Cluster != n.ID):
		return Refuse, &Refusal{
			Rule: "R6",
			Why: fmt.Sprintf("data directory %s belongs to member %s of cluster %s, but %s is member %s of cluster %s",
				n.Paths.Data, found.Member, found.Cluster, n.Name, n.Member, n.ID),
			Do: "move that directory away and put this member's own data back, or replace the member under a fresh name",
		}
	case found.Present && found.Older:
		return Refuse, &Refusal{
			Rule: "R6",
			Why: fmt.Sprintf("its data is not the newest: the log of member %s in %s ends at %s, but the member had got to %s: what it acknowledged and voted since is not in it",
				n.Member, n.Paths.Data, found.Ends, found.Reached),
			Do: fmt.Sprintf("put the newest data directory back; if it is lost and no other member has newer data, remove %s: what was acknowledged after %s is lost then",
				n.Paths.Mark(), found.Ends),
		}
	case found.Present:
		return Restart, nil
	case !found.Born && n.Sealed && n.Join:
		return Join, nil
	case found.Born, n.Sealed:
		return Refuse, &Refusal{
			Rule: "R6",
			Why: fmt.Sprintf("its data directory is empty but the member once had data: %s should hold member %s of cluster %s",
				n.Paths.Data, n.Member, n.ID),
			Do: putBackOrReplace,
		}
	}
	return FirstStart, nil
}
