package sim_test

import (
	"slices"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/sim"
)

// end lets faults stop and checks that the world can be brought to agreement,
// if need be by what a refusal tells a person to do.
func (s *scenario) end() {
	s.w.Before = func(int) {}
	s.w.Heal()
	for attempt := 0; ; attempt++ {
		r := s.do("up", s.spec, s.mine)
		switch {
		case s.stop():
			return
		case r.err != nil && (s.removed() || s.lost(r.out.Refusals)):
			s.takeDown(s.mine)
			continue
		case r.err != nil:
			s.fail("%s ends with an error although nothing fails any more: %v", r.Name, r.err)
			return
		case r.out.Reached():
			s.agree()
			if !s.stop() && s.spec.DNS.Embedded == nil && s.chance.IntN(4) == 0 {
				s.withoutDNS()
			}
			if !s.stop() && s.chance.IntN(4) == 0 {
				s.beset()
			}
			if !s.stop() && s.chance.IntN(2) == 0 {
				s.nothingLeft()
			}
			return
		case len(r.out.Refusals) == 0:
			s.fail("%s ends without a step to take, but: %v", r.Name, r.out.Differences)
			return
		case attempt == 6:
			s.fail("after %d runs and all that was advised: %v", attempt, r.out.Refusals)
			return
		}
		for _, refusal := range r.out.Refusals {
			if why := s.excuse(refusal); why == "" {
				s.fail("%s refuses without need: %s", r.Name, refusal)
				return
			}
		}
		s.heed(r.out.Refusals)
	}
}

// removed says whether up goes on starting a member that is no longer on etcd's list,
// because somebody else removed it, or the zone of before its removal was put back, and
// nobody is left who serves that list. It tells why the member ends.
func (s *scenario) removed() bool {
	return s.w.Counts()["fault: restore zone"]+s.w.Counts()["fault: etcdctl"] > 0 && s.w.Expelled()
}

// lost says whether up waits in vain beside a refusal that says why: a quorum is lost.
func (s *scenario) lost(refusals []plan.Refusal) bool {
	return slices.ContainsFunc(refusals, func(r plan.Refusal) bool { return r.Rule == "R14" })
}

// agree checks that all lists are equal: what the loop verified by asking is
// compared with the truth.
func (s *scenario) agree() {
	for _, d := range s.w.Disagreements(s.spec) {
		s.fail("up has converged, but %s", d)
	}
}

// withoutDNS kills all members of a sound cluster and takes DNS away for good:
// up brings them back all the same (rule R9).
func (s *scenario) withoutDNS() {
	s.w.Blackout()
	r := s.do("up", s.spec, s.mine)
	if err := s.w.Run(10*time.Second, func() bool { return len(s.w.Silent()) == 0 }); err != nil {
		s.fail("R9 violated: without DNS %s has not brought back %s: %v", r.Name, cluster.JoinMembers(s.w.Silent()), r.err)
		return
	}
	s.w.Heal()
	if r = s.do("up", s.spec, s.mine); r.err != nil || !r.out.Reached() {
		s.fail("%s does not converge when DNS is back: %v %v", r.Name, r.err, r.out.Refusals)
		return
	}
	s.agree()
}

// beset lets much go wrong at once: up starts all the same what needs nothing of
// it (rules R9, R13).
func (s *scenario) beset() {
	able, end := s.w.Beset()
	r := s.do("up", s.spec, s.mine)
	for _, name := range able {
		if !s.w.Running(name) {
			s.fail("R13 violated: %s has not started %s, which needed nothing but its host: %v %v", r.Name, name, r.err, r.out.Refusals)
			return
		}
	}
	end()
	if r = s.do("up", s.spec, s.mine); r.err != nil || !r.out.Reached() {
		s.fail("%s does not converge when all is well again: %v %v", r.Name, r.err, r.out.Refusals)
		return
	}
	s.agree()
}

// nothingLeft destroys a sound cluster and checks that nothing of it is left.
func (s *scenario) nothingLeft() {
	r := s.do("destroy", s.spec, s.mine)
	if r.err != nil || !r.out.Reached() {
		s.fail("%s does not succeed: %v %v", r.Name, r.err, r.out.Refusals)
		return
	}
	for _, rest := range s.w.Remains(s.spec) {
		s.fail("after destroy there is still %s", rest)
	}
	if !s.mine.Empty() {
		s.fail("after destroy the state directory is not empty")
	}
}

// excuse says which fault a refusal is due to; without one it is unfounded.
func (s *scenario) excuse(r plan.Refusal) string {
	had := func(faults ...string) string {
		for _, f := range faults {
			if s.w.Counts()["fault: "+f] > 0 {
				return f
			}
		}
		return ""
	}
	text := r.String()
	damage := had("delete marker", "restore zone", "edit marker")
	switch {
	case r.Rule == "R5" && (strings.HasPrefix(r.What, "change the certificate") || strings.HasPrefix(r.What, "promote") && !r.Unknown): // what must be mended first is refused beside it
		return had("vanish", "lose host", "host dies while starting", "wipe", "misplace", "restore", "roll back", "delete marker", "restore zone", "edit marker", "foreign value", "etcdctl")
	case r.Rule == "R14" && r.Unknown: // one that runs where nobody looks may return, and never does
		return had("lose host")
	case r.Unknown:
		return ""
	case r.Rule == "R14", r.Rule == "R4": // more members are lost than a cluster can lose, or one cannot be replaced
		return had("vanish", "lose host", "host dies while starting", "wipe", "misplace", "restore", "roll back", "delete marker", "restore zone", "edit marker", "etcdctl", "a life that nobody knows of begins again")
	case r.Rule == "R2" && advises(r, plan.RemoveHost) && had("lose host") != "": // a machine came back after its cluster was forgotten
		return "lose host"
	case strings.Contains(text, "is not the one that the hosts of this cluster know"):
		return had("restore zone", "edit marker", "delete marker") // another controller has claimed since
	case damage != "" && (r.Rule == "R2" || r.Rule == "R6" && strings.HasPrefix(r.What, "launch")):
		return damage
	case r.Rule == "R6" && (strings.HasPrefix(r.What, "start member") || strings.HasPrefix(r.What, "rely on member")):
		if why := had("wipe", "misplace", "roll back", "restore"); why != "" {
			return why
		}
		// Launched again, when nothing that was found knew that it had had data.
		return had("a life that nobody knows of begins again")
	case r.Rule == "R6":
		return had("vanish", "lose host", "host dies while starting")
	case r.Rule == "R9": // a lost host's address is in no node that is made now
		return had("vanish", "lose host", "host dies while starting", "restore zone", "edit marker")
	case advises(r, plan.UndoMember) || advises(r, plan.UpdateMember) || r.Rule == "R8" && advises(r, plan.PutMarkerBack): // or nothing that is left knows that it was added
		return had("etcdctl", "restore zone", "edit marker", "delete marker")
	case strings.Contains(text, "belongs to owner"):
		return had("another owner", "companion")
	case r.Rule == "R10" && strings.Contains(text, "did not write") && had("companion") != "":
		return had("foreign value", "vanish", "lose host", "host dies while starting", "restore zone") // and was made again elsewhere
	case r.Rule == "R10":
		return had("foreign value", "foreign marker", "lose host", "delete marker", "restore zone", "edit marker")
	case r.Rule == "R1" && strings.Contains(text, "still serves"):
		return had("lose host")
	case r.Rule == "R1" && strings.Contains(text, "its folder was removed, and there is no marker"):
		return had("delete marker", "restore zone", "edit marker")
	case r.Rule == "R1" && strings.Contains(text, "of another incarnation"):
		return had("lose host", "delete marker", "restore zone", "edit marker", "crossing")
	case r.Rule == "R1" && r.What == "bootstrap":
		return had("lose host", "delete marker", "restore zone", "edit marker", "crossing")
	case r.Rule == "R15" && strings.Contains(text, "there is no CA key"): // a copy of the state directory has made the cluster
		return had("companion")
	case r.Rule == "R2" && strings.Contains(text, "being destroyed") && s.destroyed:
		return "destroy"
	case s.mistaken && (r.What == "change TLS" || strings.HasPrefix(r.What, "change the cluster")):
		return "mistake"
	case r.Rule == "R5" && s.spec.Members == 1:
		return "a single member"
	case r.Rule == "R5" && s.mistaken:
		return "mistake"
	case r.Rule == "R5": // what must be mended first is refused beside it
		return had("vanish", "lose host", "host dies while starting", "wipe", "misplace", "roll back", "restore", "foreign value", "restore zone", "edit marker")
	}
	return ""
}

// heed does what refusals advise.
func (s *scenario) heed(refusals []plan.Refusal) {
	s.w.Tidy()
	if slices.ContainsFunc(refusals, func(r plan.Refusal) bool { return advises(r, plan.UndoMember) || advises(r, plan.UpdateMember) }) {
		for _, r := range refusals {
			for _, m := range r.Remedy {
				s.w.Unlist(m.String())
				s.w.Readdress(m.String())
			}
		}
		return
	}
	for _, r := range refusals {
		if r.Rule == "R2" && advises(r, plan.RemoveHost) && s.chance.IntN(2) == 0 {
			s.w.Dispose(r.String())
			return
		}
		if s.chance.IntN(2) == 0 && s.restore(r) {
			return
		}
	}
	if slices.ContainsFunc(refusals, func(r plan.Refusal) bool { return record(r) != "" }) {
		s.takeDown(s.maker())
		return
	}
	if slices.ContainsFunc(refusals, func(r plan.Refusal) bool { return advises(r, plan.RemoveValues) }) {
		return // tidied; which hosts are the cluster's, a marker that could not be read does not say
	}
	s.w.Sweep(s.spec)
	for _, r := range refusals {
		text := r.String()
		switch {
		case strings.Contains(text, "belongs to owner"):
			for _, store := range s.stores {
				if store.Owner() != "" && strings.Contains(text, "belongs to owner "+string(store.Owner())) {
					s.takeDown(store)
					return
				}
			}
			s.fail("nobody owns the cluster: %s", text)
			return
		case r.Rule == "R1" && strings.Contains(text, "owns nothing yet"):
			s.w.Dispose(text) // what left a listing was not destroyed with the rest
			s.w.Clear(s.spec)
			return
		case r.Rule == "R1" && advises(r, plan.EndMember):
			s.w.End(text)
			return
		case r.Rule == "R1" && r.What == "bootstrap":
			s.takeDown(s.maker())
			return
		case r.Rule == "R10" && strings.Contains(text, "there is no marker"):
			s.w.Clear(s.spec)
			return
		case r.Rule == "R10" && !advises(r, plan.AddMachine) && s.tidied < 3: // else it is of two lives
			s.tidied++
			return
		}
	}
	s.takeDown(s.mine)
}

// advises says whether a refusal names a way out.
func advises(r plan.Refusal, way plan.Way) bool {
	return slices.ContainsFunc(r.Remedy, func(m plan.Remedy) bool { return m.Way() == way })
}

// maker is a state directory that may have made the cluster: ours if it is of
// any owner.
func (s *scenario) maker() *sim.Store {
	for _, store := range s.stores {
		if store.Owner() != "" {
			return store
		}
	}
	return s.mine
}

// record is the marker that a refusal prints to be put back.
func record(r plan.Refusal) string {
	for _, m := range r.Remedy {
		if m.Way() == plan.PutMarkerBack && strings.Contains(m.String(), " TXT ") {
			return m.String()
		}
	}
	return ""
}

// restore puts back the marker that a refusal prints, if it prints one.
func (s *scenario) restore(r plan.Refusal) bool {
	line := record(r)
	if line == "" {
		return false
	}
	if err := s.w.Restore(line); err != nil {
		s.fail("%v", err)
	}
	return true
}

// takeDown destroys until nothing of an owner's cluster is left.
func (s *scenario) takeDown(store *sim.Store) {
	for range 3 {
		r := s.do("destroy", s.spec, store)
		if r.err == nil && r.out.Reached() {
			if c := s.w.Counts(); c["fault: delete marker"]+c["fault: restore zone"]+c["fault: edit marker"] > 0 {
				s.w.Clear(s.spec) // without the marker nobody knew that they were ours
			}
			return
		}
		if r.err != nil {
			s.fail("%s ends with an error although nothing fails any more: %v", r.Name, r.err)
			return
		}
		if s.restore(r.out.Refusals[0]) {
			continue
		}
		for _, refusal := range r.out.Refusals {
			for _, m := range refusal.Remedy {
				switch m.Way() {
				case plan.EndMember:
					s.w.End(refusal.String())
				case plan.RemoveByHand:
					s.w.Dispose(m.String())
				}
			}
		}
		s.w.Tidy()
		s.w.Sweep(s.spec)
		if s.excuse(r.out.Refusals[0]) == "" {
			s.fail("%s refuses without need: %s", r.Name, r.out.Refusals[0])
		}
	}
}
