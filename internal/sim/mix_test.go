package sim_test

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/sim"
)

// mix is which faults a seed has, and how often.
type mix struct {
	rates       sim.Rates
	afflictions []string
	crashes     int // in ten runs
	companions  int // controllers beside the first, in ten runs
	strangers   int // controllers of another owner, in ten runs
}

func (s *scenario) drawMix() mix {
	var m mix
	if s.chance.IntN(8) == 0 {
		return m // a quiet seed
	}
	some := func(most int) int {
		if s.chance.IntN(2) == 0 {
			return 0
		}
		return 1 + s.chance.IntN(most)
	}
	m.rates = sim.Rates{Fail: some(80), Lose: some(80), Swallow: some(50), Slow: some(80), Late: some(80), Half: some(100), DieStarting: some(60)}
	for _, a := range sim.Afflictions() {
		if s.chance.IntN(4) == 0 {
			m.afflictions = append(m.afflictions, a)
		}
	}
	m.crashes, m.companions, m.strangers = some(8), some(5), some(3)/2
	return m
}

// incident is something that happens at the n-th call of an act.
type incident struct {
	call int
	do   func()
}

// act is one stretch of a scenario: a command, what befalls it, and who else
// is at work meanwhile.
func (s *scenario) act() {
	if s.between() {
		return
	}
	verb := "up"
	if s.runs > 0 {
		switch s.chance.IntN(8) {
		case 0, 1:
			verb = "destroy"
		case 2:
			verb = "replace"
		}
	}
	runs := []*run{s.begin(verb, s.spec, s.mine)}
	incidents := s.drawIncidents(&runs)
	first := -1
	s.w.Before = func(n int) {
		if first < 0 {
			first = n
		}
		for len(incidents) > 0 && incidents[0].call <= n-first {
			do := incidents[0].do
			incidents = incidents[1:]
			do()
		}
	}
	ended := func() bool { return !slices.ContainsFunc(runs, func(r *run) bool { return !r.Ended() }) }
	if err := s.w.Run(3*time.Hour, ended); err != nil {
		s.fail("act: %v", err)
	}
	s.w.Before = func(int) {}
	for _, r := range runs {
		s.told(r)
	}
}

// drawIncidents draws what befalls an act, sorted by call. Early calls are
// likelier, since many acts are short.
func (s *scenario) drawIncidents(runs *[]*run) []incident {
	var out []incident
	add := func(do func()) {
		at := 1 << s.chance.IntN(8)
		out = append(out, incident{call: at + s.chance.IntN(at), do: do})
	}
	for _, a := range s.mix.afflictions {
		if s.chance.IntN(2) == 0 && (a != "foreign marker" && a != "deny" || s.chance.IntN(4) == 0) {
			add(func() { s.w.Afflict(a) }) // those two end a run before much can happen
		}
	}
	if s.chance.IntN(10) < s.mix.crashes {
		add(func() {
			if r := (*runs)[s.chance.IntN(len(*runs))]; !r.Ended() {
				r.Crash()
			}
		})
	}
	if s.chance.IntN(10) < s.mix.companions {
		verb := "up"
		if s.chance.IntN(3) == 0 {
			verb = "destroy"
		}
		add(func() {
			s.w.Note("fault: companion")
			store := s.mine.Copy()
			if s.chance.IntN(3) == 0 {
				store = s.mine.Duplicate()
			}
			switch {
			case store.Empty():
				s.w.Note("fault: another owner")
			case store.Copied():
				s.w.Note("fault: copied state directory")
				*runs = append(*runs, s.begin(verb, s.spec, store))
				return
			}
			s.stores = append(s.stores, store)
			*runs = append(*runs, s.begin(verb, s.spec, store))
		})
	}
	if s.chance.IntN(10) < s.mix.strangers {
		add(func() { s.w.Note("fault: another owner"); *runs = append(*runs, s.begin("up", s.spec, s.stores[1])) })
	}
	slices.SortStableFunc(out, func(a, b incident) int { return a.call - b.call })
	return out
}

// between is what happens between commands; it says whether anything did.
func (s *scenario) between() bool {
	if s.runs == 0 {
		return false
	}
	switch s.chance.IntN(13) {
	case 3:
		// A host that no record names is nowhere once its address has left the spec;
		// see lose.
		if s.spec.Machines() == nil || !s.w.Published() || slices.ContainsFunc([]string{"delete address", "foreign value", "restore zone", "edit marker", "delete marker", "lose host"},
			func(a string) bool { return slices.Contains(s.mix.afflictions, a) }) {
			return false
		}
		s.w.Note("an address leaves the spec")
		s.moved++
		hosts := *s.spec.Hosts.SSH
		hosts.Addresses = slices.Clone(hosts.Addresses)
		hosts.Addresses[s.chance.IntN(len(hosts.Addresses))] = netip.AddrFrom4([4]byte{10, 5, 2, byte(s.moved)})
		s.spec.Hosts.SSH = &hosts
	case 0:
		if s.w.AtGate() {
			return false
		}
		s.w.Note("a year passes")
		s.w.Run(250*24*time.Hour, s.w.AtGate) // which would take as long to play
	case 1:
		s.w.Note("other options")
		s.spec.Etcd.Options = maps.Clone(s.spec.Etcd.Options)
		if s.spec.Etcd.Options == nil {
			s.spec.Etcd.Options = map[string]string{}
		}
		s.spec.Etcd.Options["snapshot-count"] = []string{"10000", "20000", "30000"}[s.chance.IntN(3)]
	case 2:
		wrong := s.spec
		if s.chance.IntN(2) == 0 {
			wrong.TLS = !wrong.TLS
		} else {
			wrong.Members = []int{1, 3, 5}[s.chance.IntN(3)]
		}
		s.mistaken = true
		s.w.Note("another spec")
		s.do("up", wrong, s.mine)
	default:
		return false
	}
	return true
}
