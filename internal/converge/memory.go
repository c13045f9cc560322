package converge

import (
	"slices"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
)

// memory is what a loop knows from its earlier rounds. It says what was told and
// what is left to tell, and what new things are called; nothing of it stands for
// the world.
type memory struct {
	told    map[string]bool // what gates wait for
	missing missing
	fresh   fresh
	givenUp givenUp
}

func newMemory() memory { return memory{told: map[string]bool{}, missing: missing{}} }

// missing are the members whose host was not found, as each was first seen; the
// zero value for one that was seen to run and so is known to have ended since.
type missing map[cluster.MemberName]cluster.Host

// seen adds what is missing now, and returns those that may still run.
func (m missing) seen(s cluster.State) []cluster.Host {
	var out []cluster.Host
	now := map[cluster.MemberName]bool{}
	for _, h := range s.Missing {
		if running := h.Runs(); running {
			out, now[h.Name] = append(out, h), true
			m[h.Name] = cluster.Host{}
		} else if _, known := m[h.Name]; !known {
			m[h.Name] = h
		}
	}
	for name, h := range m {
		if h.Name != "" && !now[name] {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b cluster.Host) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return out
}

// fresh are names that nobody has used yet. As long as no plan claims them, all
// plans speak of the same, so that what was shown is what is done.
type fresh struct{ cluster.Fresh }

// keep puts the names that were kept in the place of these, or keeps these.
func (f *fresh) keep(names *cluster.Fresh) {
	if f.Token == "" {
		f.Fresh = *names
	}
	*names = f.Fresh
}

// spend forgets names that a plan claims, whether or not that succeeds (rule
// R6).
func (f *fresh) spend(p plan.Plan) {
	for _, s := range p.Steps {
		change, ok := s.(plan.ChangeRecords)
		joins := change.Purpose == plan.Reserve && change.Op == cluster.Add
		if joins {
			f.Members = slices.DeleteFunc(slices.Clone(f.Members), func(name cluster.MemberName) bool { return name == change.Of })
		}
		if ok && (change.Purpose == plan.Claim || joins && len(f.Members) == 0) {
			*f = fresh{}
		}
	}
}

// givenUp are the members that were to join one after the other, and left again.
type givenUp []cluster.GivenUp

// learn adds one that a plan gives up, and forgets all once one has joined. A plan
// that fails is made again, for the same member.
func (g *givenUp) learn(op cluster.Operation, p plan.Plan) {
	for _, s := range p.Steps {
		change, ok := s.(plan.ChangeRecords)
		known := func(other cluster.GivenUp) bool { return other.Member == change.Of }
		switch {
		case !ok || op.Kind != cluster.Add || change.Of != op.Member:
		case change.Purpose == plan.Release:
			*g = nil
		case change.Purpose == plan.Reserve && change.Op == cluster.Remove && !slices.ContainsFunc(*g, known):
			*g = append(*g, cluster.GivenUp{Member: change.Of, Why: change.Why})
		}
	}
}
