package register

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// searchLimit bounds the search for an order of the operations on one register.
const searchLimit = time.Minute

// Check returns an error if no order explains the history, or none was found in
// time: one that could not be checked has not passed.
func (h History) Check() error {
	registers := map[string]History{}
	for _, o := range h.effective() {
		registers[o.Register] = append(registers[o.Register], o)
	}
	var wrong []error
	for _, name := range slices.Sorted(maps.Keys(registers)) {
		ops := registers[name]
		switch porcupine.CheckOperationsTimeout(model(), ops.operations(), searchLimit) {
		case porcupine.Ok:
		case porcupine.Illegal:
			wrong = append(wrong, fmt.Errorf("register %s: no order of these operations explains them:\n%s", name, ops))
		default:
			wrong = append(wrong, fmt.Errorf("register %s: not decided in %s, with %d operations, %d of them doubtful", name, searchLimit, len(ops), ops.Doubtful()))
		}
	}
	return errors.Join(wrong...)
}

// effective leaves out what cannot matter, so that the search is short: reads
// without an answer, and doubtful operations whose value nobody ever saw. Where
// an order explains the others, these may stand at its end; and they may be
// taken out of any order that holds them, as nobody looked between them and the
// next write. (A doubtful Swap that would then find its Old goes to the end.)
func (h History) effective() History {
	seen := map[string]bool{}
	for _, o := range h {
		if !o.Unknown {
			seen[o.Value] = true
		}
		seen[o.Old] = true
	}
	var out History
	for _, o := range h {
		if !o.Unknown || o.Kind != Read && seen[o.New] {
			out = append(out, o)
		}
	}
	return out
}

func (h History) operations() []porcupine.Operation {
	out := make([]porcupine.Operation, len(h))
	for i, o := range h {
		end := int64(o.Ended)
		if o.Unknown {
			end = math.MaxInt64
		}
		out[i] = porcupine.Operation{ClientId: o.Client, Input: o.Call, Output: o.Answer, Call: int64(o.Begun), Return: end}
	}
	return out
}

// model is one register without faults. Its state is the value.
func model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return "" },
		Step: func(state, input, output any) (bool, any) { return step(state.(string), input.(Call), output.(Answer)) },
	}
}

// step is whether a register that holds a value may answer so, and what it
// holds then.
func step(value string, c Call, a Answer) (possible bool, after string) {
	switch c.Kind {
	case Read:
		return a.Value == value, value
	case Write:
		return true, c.New
	}
	switch {
	case a.Unknown && value != c.Old:
		return true, value
	case a.Unknown || a.Swapped:
		return value == c.Old, c.New
	default:
		return value == a.Value && value != c.Old, value
	}
}

// String is an operation a line, in the order in which they began.
func (h History) String() string {
	sorted := slices.SortedStableFunc(slices.Values(h), func(a, b Operation) int { return int(a.Begun - b.Begun) })
	var b strings.Builder
	for _, o := range sorted {
		fmt.Fprintf(&b, "%s\n", o)
	}
	return b.String()
}

// String is the operation in one line.
func (o Operation) String() string {
	var what string
	switch o.Kind {
	case Read:
		what = fmt.Sprintf("read: %q", o.Value)
	case Write:
		what = fmt.Sprintf("write %q", o.New)
	case Swap:
		what = fmt.Sprintf("swap %q for %q: %t, %q", o.Old, o.New, o.Swapped, o.Value)
	}
	if o.Unknown {
		what += ", no answer"
	}
	return fmt.Sprintf("%10.3fs to %10.3fs  client %d  %s", o.Begun.Seconds(), o.Ended.Seconds(), o.Client, what)
}
