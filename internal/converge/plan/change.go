package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// A membership change of a sealed cluster: one at a time, named on the marker from
// its beginning to its end (rule R4), so that it is completed or undone whoever
// goes on with it. Each row is planned from a fresh observation:
//
//	remove   on the marker        client service without it, and the operation
//	         leads the cluster    make another member the leader
//	         in etcd's list       remove it by its ID
//	         in the services      server service without it (a repair)
//	         its host is there    stop it, and terminate the host, its data kept
//	         nothing is left      off the marker; its address outlives the services
//
//	add      on the marker        a fresh name, and the operation
//	         no host              launch it
//	         no address           publish it (a repair)
//	         not in etcd's list   add it as a learner
//	         no ID on the marker  its ID, and server service with it
//	         not running          its node, those of its peers; start it
//	         learner              promote it once it has caught up
//	         voter, and serves    client service with it; the operation ends, or goes
//	                              on with the removal of the member that it replaces
//
// An exchange is both: the marker names the new member, and the one that leaves when
// it has joined. What is wanted: dead members leave before others join (rule R7), and a new one
// joins only where the members that serve bear it (rule R5).

// change plans the next step of the membership change in flight, or begins one.
func (s situation) change() ([]Step, []Refusal) {
	op, why := s.marker.Op, Reason{}
	if op == (cluster.Operation{}) {
		op, why = s.wantedChange()
	}
	switch {
	case op.Kind == cluster.Restart:
		return s.endRestart(op.Member), nil
	case op.Kind == "":
		return nil, nil
	case op.Kind == cluster.Remove && s.marker.Op != op:
		return s.beginRemove(op.Member, why)
	case op.Kind == cluster.Remove:
		return s.remove(op.Member)
	case s.marker.Op != op:
		return s.beginAdd(op, why)
	}
	return s.join(op)
}

// endRestart makes room for a change of the members, once the member that was to be
// restarted serves, or will not return either.
func (s situation) endRestart(name cluster.MemberName) []Step {
	h, _ := s.roster.Member(name)
	unlisted := s.list.Known() && s.listed(name) == nil // by somebody else
	if !s.changeWanted() || !h.View.Or(cluster.View{}).Serves() && !s.deadMember(name) && !s.saidDead(name) && !unlisted {
		return nil
	}
	return s.reserve(cluster.Operation{}, Reason{Why: "the members are to change first", Rules: []Rule{"R4"}})
}

// changeWanted says whether the members are to change.
func (s situation) changeWanted() bool {
	op, _ := s.wantedChange()
	return op != (cluster.Operation{})
}

// wantedChange is the change that is to be begun next, if any: the first of these.
func (s situation) wantedChange() (cluster.Operation, Reason) {
	for _, want := range []func() (cluster.Operation, Reason){s.undoLate, s.bury, s.followList, s.settleLearner, s.shrink, s.grow, s.exchange} {
		if op, why := want(); op != (cluster.Operation{}) {
			return op, why
		}
	}
	return cluster.Operation{}, Reason{}
}

// undoLate removes a learner that etcd added after the addition had been given up.
func (s situation) undoLate() (cluster.Operation, Reason) {
	for _, m := range s.list.Or(nil) {
		if name, late := s.lateAddition(m); late {
			return cluster.Operation{Kind: cluster.Remove, Member: name}, Reason{Why: "etcd added it as a learner after that had been given up", Rules: []Rule{"R4"}}
		}
	}
	return cluster.Operation{}, Reason{}
}

// bury removes a member that is dead.
func (s situation) bury() (cluster.Operation, Reason) {
	for _, row := range s.roster {
		if why, dead := s.dead(row); row.Listed && dead {
			return cluster.Operation{Kind: cluster.Remove, Member: row.Name}, Reason{Why: why + ": a dead member leaves before a new one joins", Rules: []Rule{"R4", "R6", "R7"}}
		}
	}
	return cluster.Operation{}, Reason{}
}

// followList removes a member that somebody else has removed from etcd's list.
func (s situation) followList() (cluster.Operation, Reason) {
	for _, row := range s.roster {
		if row.Listed && s.list.Known() && s.listed(row.Name) == nil {
			return cluster.Operation{Kind: cluster.Remove, Member: row.Name}, Reason{Why: "somebody has removed it from etcd's list of members", Rules: []Rule{"R4", "R8"}}
		}
	}
	return cluster.Operation{}, Reason{}
}

// settleLearner goes on with a learner that the marker has as a member.
func (s situation) settleLearner() (cluster.Operation, Reason) {
	for _, row := range s.roster {
		if l := s.listed(row.Name); row.Listed && l != nil && l.Learner {
			return cluster.Operation{Kind: cluster.Add, Member: row.Name}, Reason{Why: "etcd lists it as a learner, which must vote or leave", Rules: []Rule{"R4"}}
		}
	}
	return cluster.Operation{}, Reason{}
}

// shrink and grow follow the size in the spec.
func (s situation) shrink() (cluster.Operation, Reason) {
	if len(s.marker.Members) <= s.spec.Members {
		return cluster.Operation{}, Reason{}
	}
	return cluster.Operation{Kind: cluster.Remove, Member: s.leastNeeded()}, s.size()
}

func (s situation) grow() (cluster.Operation, Reason) {
	if len(s.marker.Members) >= s.spec.Members {
		return cluster.Operation{}, Reason{}
	}
	return cluster.Operation{Kind: cluster.Add, Member: s.freshName()}, s.size()
}

func (s situation) size() Reason {
	return Reason{Why: fmt.Sprintf("the spec wants %d members, and there are %d", s.spec.Members, len(s.marker.Members)), Rules: []Rule{"R4", "R13"}}
}

// freshName is a name that no member of this cluster has had, as far as can be seen
// (rule R6).
func (s situation) freshName() cluster.MemberName {
	i := slices.IndexFunc(s.state.Fresh.Members, func(name cluster.MemberName) bool {
		used := func(row cluster.Row) bool { return row.Name == name }
		return !slices.ContainsFunc(s.roster, used) && !slices.Contains(s.marker.Left, name)
	})
	if i < 0 {
		return ""
	}
	return s.state.Fresh.Members[i]
}

// leastNeeded is the member that leaves first where the cluster is to be smaller:
// one that does not serve, one that would not survive a restart, one whose machine is no
// longer in the spec, not the leader; the last of several.
func (s situation) leastNeeded() cluster.MemberName {
	c := s.census().Or(census{})
	need := func(row cluster.Row) int {
		serves := slices.ContainsFunc(c.alive, func(h cluster.Host) bool { return h.Name == row.Name })
		switch {
		case !serves:
			return 0
		case row.Host == nil, s.unfit(*row.Host):
			return 1
		case s.unwanted(row.Name) != "":
			return 2
		case row.Host.View.Or(cluster.View{}).ID != c.leader:
			return 3
		}
		return 4
	}
	listed := slices.DeleteFunc(slices.Clone(s.roster), func(row cluster.Row) bool { return !row.Listed })
	slices.Reverse(listed)
	return slices.MinFunc(listed, func(a, b cluster.Row) int { return need(a) - need(b) }).Name
}

// rewrite changes the marker, and with it all records that follow from it.
func (s situation) rewrite(purpose Purpose, of cluster.MemberName, why Reason, edit func(*cluster.Marker)) ([]Step, []Refusal) {
	next := s
	m := s.marker.Next(edit)
	next.marker = &m
	next.roster = s.spec.Roster(m, s.hosts, s.records)
	op := m.Op.Kind
	if purpose == Release {
		op = s.marker.Op.Kind
	}
	changes, conflicts := next.changes(next.wanted(true))
	if conflicts != nil {
		return nil, []Refusal{s.conflict(conflicts)}
	}
	return []Step{ChangeRecords{Purpose: purpose, Of: of, Op: op, Reason: why, Changes: append(changes, s.advance(edit))}}, nil
}

// expire takes the addresses of members that have left out of DNS, when no cache
// can hold a service any more that names them (rule R8). A name that has more than one
// address, of which one is ours, is for a person.
func (s situation) expire() ([]Step, []Refusal) {
	var gone []cluster.MemberName
	var refusals []Refusal
	for _, name := range s.marker.Left {
		if r := s.mixed(name, "expire the address of "+string(name)); r != nil {
			refusals = append(refusals, *r)
		} else {
			gone = append(gone, name)
		}
	}
	if gone == nil {
		return nil, refusals
	}
	left := func(m cluster.MemberName) bool { return slices.Contains(gone, m) }
	forget := s.advance(func(m *cluster.Marker) { m.Left = slices.DeleteFunc(m.Left, left) })
	return []Step{ChangeRecords{Purpose: Expire, Rests: caches(s.spec), Changes: append(s.withdrawn(left), forget),
		Reason: Reason{Why: "no service names " + cluster.JoinMembers(gone) + " any more", Rules: []Rule{"R8"}}}}, refusals
}

// mixed refuses to take an address for that of a member whose host is gone where
// several stand on its name (rule R10).
func (s situation) mixed(name cluster.MemberName, what string) *Refusal {
	for _, kind := range []cluster.RecordType{cluster.A, cluster.AAAA} {
		set, _ := s.records.Get(cluster.Key{Name: s.spec.HostName(name) + ".", Type: kind})
		if _, found := s.roster.Member(name); len(set.Values) > 1 && !found && s.uses(kind) {
			return &Refusal{Rule: "R10", What: what, Remedy: remedies(RemoveForeign),
				Evidence: []string{set.String() + " holds what pleiad did not write, and the host that could tell which is gone"}}
		}
	}
	return nil
}

// caches is how long others may hold what DNS said before: nobody asks pleiad's own
// name server through a cache.
func caches(spec cluster.Spec) time.Duration {
	if spec.ServesZone() {
		return 0
	}
	return time.Duration(cluster.TTL) * time.Second
}
