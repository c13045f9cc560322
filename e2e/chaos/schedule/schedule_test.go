package schedule

import (
	"fmt"
	"slices"
	"testing"
)

func TestOneSeedIsOneSchedule(t *testing.T) {
	a, b, other := fmt.Sprint(Draw(7, 100)), fmt.Sprint(Draw(7, 100)), fmt.Sprint(Draw(8, 100))
	if a != b {
		t.Errorf("one seed, two schedules:\n%s\n%s", a, b)
	}
	if a == other {
		t.Error("two seeds, one schedule")
	}
	if short := fmt.Sprint(Draw(7, 10)[0]); short != fmt.Sprint(Draw(7, 100)[0]) {
		t.Errorf("fewer faults begin differently: %s", short)
	}
}

// What is said of a schedule holds for any.
func TestDraw(t *testing.T) {
	for seed := range uint64(300) {
		rounds := Draw(seed, 60)
		members, faults := Least, 0
		for i, r := range rounds {
			if err := r.wrong(members); err != nil {
				t.Fatalf("seed %d, round %d (%s): %v", seed, i, r, err)
			}
			members, faults = r.Members, faults+len(r.Faults)
		}
		if faults != 60 {
			t.Fatalf("seed %d: %d faults", seed, faults)
		}
	}
}

// wrong is what a round must not be, with this many members at its beginning.
func (r Round) wrong(members int) error {
	want := map[Operation]int{Grow: Most, Shrink: Least}[r.Operation]
	if want == 0 {
		want = members
	} else if want == members {
		return fmt.Errorf("there are %d members already", members)
	}
	if r.Members != want || r.Who < 0 || r.Who >= members {
		return fmt.Errorf("want %d members of %d, replaced is %d", r.Members, members, r.Who)
	}
	if len(r.Faults) == 0 {
		return fmt.Errorf("no fault")
	}
	struck, lines := map[int]bool{}, map[int]bool{}
	for _, f := range r.Faults {
		line := slices.IndexFunc(kinds(), func(l []Kind) bool { return slices.Contains(l, f.Kind) })
		if lines[line] {
			return fmt.Errorf("two faults such as %s", f.Kind)
		}
		lines[line] = true
		if f.After < 0 || f.After > r.Operation.latest() || f.Lasts < shortest || f.Lasts > longest || f.Boundary < 1 {
			return fmt.Errorf("%s at %s for %s, boundary %d", f.Kind, f.After, f.Lasts, f.Boundary)
		}
		if err := f.strikes(members, struck); err != nil {
			return err
		}
		if r.Operation == GiveUp && isOneTooMany(f.Kind) {
			return fmt.Errorf("%s while a member is given up", f.Kind)
		}
	}
	if r.Operation == GiveUp && struck[r.Who] {
		return fmt.Errorf("%d is off already", r.Who)
	}
	if lines[1] && slices.ContainsFunc(r.Faults, func(f Fault) bool { return f.Kind == Blackout }) {
		return fmt.Errorf("nobody is there to be cut off")
	}
	return nil
}

// strikes notes whom the fault strikes. To be undone, each must be struck by
// one fault alone.
func (f Fault) strikes(members int, struck map[int]bool) error {
	var whom []int
	switch f.Kind {
	case Kill, Wipe:
		if whom = []int{f.Who}; f.Who >= members {
			return fmt.Errorf("%s of %d, which has no member", f.Kind, f.Who)
		}
	case Pause, PowerCut, FullDisk, CutOne, Unplug:
		whom = []int{f.Who}
	case CutPair:
		whom = []int{f.Who, f.Other}
	case FalseDNS:
		if f.Who >= members || f.Other >= members || f.Who == f.Other {
			return fmt.Errorf("the address of %d for %d", f.Other, f.Who)
		}
	}
	for _, i := range whom {
		if i < 0 || i >= Machines || struck[i] {
			return fmt.Errorf("%d is struck by two", i)
		}
		struck[i] = true
	}
	return nil
}

// Every kind and operation comes within what is run by hand, and machines
// without a member are struck too.
func TestEverythingIsDrawn(t *testing.T) {
	drawn := map[string]int{}
	members := Least
	for _, r := range Draw(1, 500) {
		drawn[string(r.Operation)]++
		for _, f := range r.Faults {
			drawn[string(f.Kind)]++
			if f.Who >= members {
				drawn["a machine without a member"]++
			}
		}
		members = r.Members
	}
	for _, k := range Kinds() {
		if drawn[string(k)] < 5 {
			t.Errorf("%s: %d times", k, drawn[string(k)])
		}
	}
	for _, o := range []Operation{Up, Roll, Grow, Shrink, Replace, GiveUp, "a machine without a member"} {
		if drawn[string(o)] < 5 {
			t.Errorf("%s: %d times", o, drawn[string(o)])
		}
	}
}
