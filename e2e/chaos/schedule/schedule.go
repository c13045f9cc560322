// Package schedule draws from a seed what happens to a cluster: rounds, in each
// of which pleiad is asked for one thing, while faults strike hosts, network,
// DNS and pleiad itself. [Draw] is pure: one seed is one schedule.
//
// A round begins and ends with a cluster that is whole. Within it, a fault may
// take the quorum away for a while, but never for good: no more than one member
// loses its disk or is given up, and what was cut, stopped or frozen comes back.
// Whatever is lost then was lost by etcd or pleiad.
package schedule

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Operation is what pleiad is asked for in a round.
type Operation string

// The operations. After each round, pleiad up finishes what is left.
const (
	Up      Operation = "up"      // nothing new, but what the faults of the round call for
	Roll    Operation = "roll"    // another etcd option
	Grow    Operation = "grow"    // to [Most] members
	Shrink  Operation = "shrink"  // to [Least] members
	Replace Operation = "replace" // a living member for a new one
	GiveUp  Operation = "give up" // a member whose machine is off until pleiad has ended
)

// Sizes of the cluster. There must be a machine more than Most.
const (
	Least    = 3
	Most     = 5
	Machines = Most + 1
)

// How long faults last.
const shortest, longest = 500 * time.Millisecond, 5 * time.Second

// latest is when faults strike at the latest, from the beginning of the round:
// while pleiad is at work. A change of a member takes from ten seconds to a
// minute, and to see that there is nothing to do takes two.
func (o Operation) latest() time.Duration {
	if o == Up {
		return 2 * time.Second
	}
	return 10 * time.Second
}

// Kind of a fault.
type Kind string

// The kinds, by what they befall; a round has at most one of each line.
const (
	Kill, Pause, PowerCut, Blackout, Wipe, FullDisk Kind = "kill", "pause", "power cut", "power cut of all", "wiped disk", "full disk"

	CutOne, Unplug, CutPair Kind = "partition of one", "cable pulled", "partition of a pair"

	NoDNS, PartialDNS, DeniedDNS, StaleDNS, FalseDNS Kind = "DNS gone", "DNS leaves out", "DNS denies", "DNS stale", "DNS false"

	KillPleiad Kind = "pleiad killed"
)

// kinds are the lines above.
func kinds() [][]Kind {
	return [][]Kind{
		{Kill, Pause, PowerCut, Blackout, Wipe, FullDisk},
		{CutOne, Unplug, CutPair},
		{NoDNS, PartialDNS, DeniedDNS, StaleDNS, FalseDNS},
		{KillPleiad},
	}
}

// Kinds are all kinds.
func Kinds() []Kind { return slices.Concat(kinds()...) }

// Fault is one thing that happens in a round.
type Fault struct {
	Kind Kind
	// After is when it strikes, from the beginning of the round, and Lasts how
	// long until it is undone. A killed member is started by its host, and a
	// wiped disk stays so.
	After, Lasts time.Duration
	// Who is struck, by number: members first, then the machines without one.
	// Other is the other of a pair, or whose address is given out as Who's.
	Who, Other int
	// Boundary is at which beginning or end of a step pleiad is killed, from 1.
	Boundary int
}

// Round is what happens until the cluster must be whole again.
type Round struct {
	Operation Operation
	// Who is replaced or given up, by number among the members.
	Who int
	// Members is how many are wanted from this round on.
	Members int
	Faults  []Fault
}

// Draw draws rounds with this many faults in all.
func Draw(seed uint64, faults int) []Round {
	d := drawer{Rand: rand.New(rand.NewPCG(seed, 0)), members: Least}
	var rounds []Round
	for faults > 0 {
		r := d.round()
		r.Faults = r.Faults[:min(faults, len(r.Faults))]
		faults -= len(r.Faults)
		rounds = append(rounds, r)
	}
	return rounds
}

// drawer knows how many members there are when a round begins.
type drawer struct {
	*rand.Rand
	members int
}

func (d *drawer) round() Round {
	r := Round{Operation: d.operation(), Who: d.IntN(d.members)}
	who := d.whom(r)
	for _, line := range d.lines() {
		if r.Operation == GiveUp {
			line = slices.DeleteFunc(line, isOneTooMany)
		}
		f := Fault{Kind: line[d.IntN(len(line))], After: d.upTo(r.Operation.latest()), Lasts: shortest + d.upTo(longest-shortest), Boundary: 1 + d.IntN(30)}
		all := slices.ContainsFunc(r.Faults, func(f Fault) bool { return f.Kind == Blackout })
		if all && slices.Contains(kinds()[1], f.Kind) {
			continue // there is nobody to be cut off
		}
		f.Who, f.Other, who = d.victims(f.Kind, who)
		r.Faults = append(r.Faults, f)
	}
	switch r.Operation {
	case Grow:
		d.members = Most
	case Shrink:
		d.members = Least
	}
	r.Members = d.members
	return r
}

func (d *drawer) operation() Operation {
	resize := Grow
	if d.members == Most {
		resize = Shrink
	}
	return []Operation{Up, Roll, resize, resize, Replace, GiveUp}[d.IntN(6)]
}

// isOneTooMany is whether a fault befalls the data of a member while that of
// another one is given up, or boots a machine that is to stay off.
func isOneTooMany(k Kind) bool { return k == Wipe || k == Blackout }

// whom are those that may be struck, in their order.
func (d *drawer) whom(r Round) []int {
	if r.Operation == GiveUp { // one is off already, and another one becomes a member
		return slices.DeleteFunc(d.Perm(Machines), func(i int) bool { return i == r.Who })
	}
	who := d.Perm(d.members)
	if d.IntN(4) == 0 { // a machine that may become a member in this round
		who = append([]int{d.members + d.IntN(Machines-d.members)}, who...)
	}
	return who
}

// lines are those from which a round has a fault, in their order.
func (d *drawer) lines() [][]Kind {
	all := kinds()
	chosen := d.Perm(len(all))[:1+d.IntN(3)]
	slices.Sort(chosen)
	var out [][]Kind
	for _, i := range chosen {
		out = append(out, all[i])
	}
	return out
}

// victims takes from those who are left in this round. Only what has a member
// can lose its data or process.
func (d *drawer) victims(k Kind, from []int) (who, other int, left []int) {
	member := func(i int) bool { return i < d.members }
	switch k {
	case Kill, Wipe:
		i := slices.IndexFunc(from, member)
		return from[i], 0, slices.Delete(slices.Clone(from), i, i+1)
	case CutPair:
		return from[0], from[1], from[2:]
	case Pause, PowerCut, FullDisk, CutOne, Unplug:
		return from[0], 0, from[1:]
	case FalseDNS:
		who = d.IntN(d.members)
		return who, (who + 1) % d.members, from
	}
	return 0, 0, from
}

func (d *drawer) upTo(most time.Duration) time.Duration {
	return time.Duration(d.Int64N(int64(most))).Truncate(10 * time.Millisecond)
}

// KilledAt is the boundary at which pleiad is killed, 0 if it is not.
func (r Round) KilledAt() int {
	for _, f := range r.Faults {
		if f.Kind == KillPleiad {
			return f.Boundary
		}
	}
	return 0
}

// String is the round in one line.
func (r Round) String() string {
	var b strings.Builder
	b.WriteString(string(r.Operation))
	switch r.Operation {
	case Replace, GiveUp:
		fmt.Fprintf(&b, " %d", r.Who)
	case Grow, Shrink:
		fmt.Fprintf(&b, " to %d", r.Members)
	}
	for _, f := range r.Faults {
		fmt.Fprintf(&b, "; %s", f)
	}
	return b.String()
}

// String says what strikes whom, when, and for how long.
func (f Fault) String() string {
	switch f.Kind {
	case KillPleiad:
		return fmt.Sprintf("%s at boundary %d", f.Kind, f.Boundary)
	case Kill, Wipe:
		return fmt.Sprintf("%s of %d at %s", f.Kind, f.Who, f.After)
	case CutPair, FalseDNS:
		return fmt.Sprintf("%s (%d, %d) at %s for %s", f.Kind, f.Who, f.Other, f.After, f.Lasts)
	case Blackout, NoDNS, PartialDNS, DeniedDNS, StaleDNS:
		return fmt.Sprintf("%s at %s for %s", f.Kind, f.After, f.Lasts)
	}
	return fmt.Sprintf("%s: %d at %s for %s", f.Kind, f.Who, f.After, f.Lasts)
}
