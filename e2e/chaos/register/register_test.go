package register

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

// at is an operation of client 0 that began and ended at these times, in ms.
func at(begun, ended int, c Call, a Answer) Operation {
	c.Register = "r"
	return Operation{Call: c, Answer: a, Begun: time.Duration(begun) * time.Millisecond, Ended: time.Duration(ended) * time.Millisecond}
}

func reads(begun, ended int, value string) Operation {
	return at(begun, ended, Call{Kind: Read}, Answer{Value: value})
}

func writes(begun, ended int, value string) Operation {
	return at(begun, ended, Call{Kind: Write, New: value}, Answer{})
}

func swaps(begun, ended int, old, value string, swapped bool, found string) Operation {
	return at(begun, ended, Call{Kind: Swap, Old: old, New: value}, Answer{Swapped: swapped, Value: found})
}

// unknown is the operation without an answer.
func unknown(o Operation) Operation {
	o.Answer = Answer{Unknown: true}
	return o
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name string
		ok   bool
		h    History
	}{
		{"nothing", true, nil},
		{"one after another", true, History{reads(0, 1, ""), writes(2, 3, "a"), reads(4, 5, "a"), swaps(6, 7, "a", "b", true, ""), reads(8, 9, "b")}},
		{"lost write", false, History{writes(0, 1, "a"), reads(2, 3, "")}},
		{"lost write over another", false, History{writes(0, 1, "a"), writes(2, 3, "b"), reads(4, 5, "a")}},
		{"lost swap", false, History{writes(0, 1, "a"), swaps(2, 3, "a", "b", true, ""), reads(4, 5, "a")}},
		{"stale read", false, History{writes(0, 1, "a"), writes(2, 3, "b"), reads(4, 5, "b"), reads(6, 7, "a")}},
		{"stale read before the write was acknowledged", false, History{writes(0, 1, "a"), writes(2, 9, "b"), reads(3, 4, "b"), reads(5, 6, "a")}},
		{"stale swap", false, History{writes(0, 1, "a"), writes(2, 3, "b"), swaps(4, 5, "a", "c", true, "")}},
		{"a swap that should have", false, History{writes(0, 1, "a"), swaps(2, 3, "a", "b", false, "a")}},
		{"at once, in either order", true, History{writes(0, 9, "a"), writes(0, 9, "b"), reads(10, 11, "a")}},
		{"at once, in both orders", false, History{writes(0, 9, "a"), writes(0, 9, "b"), reads(10, 11, "a"), reads(12, 13, "b")}},

		{"doubtful, without effect", true, History{unknown(writes(0, 1, "a")), reads(2, 3, "")}},
		{"doubtful, with effect", true, History{unknown(writes(0, 1, "a")), reads(2, 3, "a")}},
		{"doubtful, with a late effect", true, History{unknown(writes(0, 1, "a")), reads(2, 3, ""), writes(4, 5, "b"), reads(6, 7, "a")}},
		{"doubtful, seen and then lost", false, History{unknown(writes(0, 1, "a")), reads(2, 3, "a"), reads(4, 5, "")}},
		{"doubtful, seen before it was asked for", false, History{reads(0, 1, "a"), unknown(writes(2, 3, "a"))}},
		{"doubtful swaps in a row", true, History{unknown(swaps(0, 1, "", "a", false, "")), unknown(swaps(2, 3, "a", "b", false, "")), reads(4, 5, "b")}},
		{"doubtful swap of what never was", false, History{unknown(swaps(0, 1, "x", "a", false, "")), reads(2, 3, "a")}},
		{"doubtful read", true, History{writes(0, 1, "a"), unknown(reads(2, 3, ""))}},
		{"a value of nobody's", false, History{reads(0, 1, "z")}},
	} {
		if err := c.h.Check(); (err == nil) != c.ok {
			t.Errorf("%s: want explained %t, got %v", c.name, c.ok, err)
		}
	}
}

// The error shows the register, and only that.
func TestErrorShowsOperations(t *testing.T) {
	other := writes(0, 1, "elsewhere")
	other.Register = "s"
	err := History{writes(0, 1, "a"), reads(2, 3, ""), other}.Check()
	if err == nil || !strings.Contains(err.Error(), `register r`) || !strings.Contains(err.Error(), `write "a"`) || strings.Contains(err.Error(), "elsewhere") {
		t.Errorf("got %v", err)
	}
}

// Leaving out what nobody saw does not change the verdict: many short
// histories of a store that may be right or wrong, with and without.
func TestEffectiveDecidesTheSame(t *testing.T) {
	chance := rand.New(rand.NewPCG(1, 2))
	var fine, wrong, shorter int
	for range 2000 {
		h := anyHistory(chance)
		all, less := explained(h), explained(h.effective())
		if all != less {
			t.Fatalf("all: %t, effective ones: %t:\n%s", all, less, h)
		}
		if all {
			fine++
		} else {
			wrong++
		}
		if len(h.effective()) < len(h) {
			shorter++
		}
	}
	if fine < 200 || wrong < 200 || shorter < 200 {
		t.Errorf("%d histories are explained, %d are not, %d became shorter: too few of a kind", fine, wrong, shorter)
	}
}

// anyHistory draws operations whose answers are often possible.
func anyHistory(chance *rand.Rand) History {
	values := []string{"", "a", "b", "c", "d", "e", "f"}
	var h History
	for i := range 6 {
		begun := chance.IntN(12)
		o := writes(begun, begun+1+chance.IntN(6), values[i+1])
		switch chance.IntN(3) {
		case 0:
			o = reads(begun, begun+1+chance.IntN(6), values[chance.IntN(i+1)])
		case 1:
			o = swaps(begun, begun+1+chance.IntN(6), values[chance.IntN(i+1)], values[i+1], true, "")
		}
		if chance.IntN(3) == 0 {
			o = unknown(o)
		}
		h = append(h, o)
	}
	return h
}

// explained tries all orders of a short history, in which everything without an
// answer comes late enough to have none.
func explained(h History) bool {
	var try func(rest History, value string) bool
	try = func(rest History, value string) bool {
		if len(rest) == 0 {
			return true
		}
		for i, o := range rest {
			if !first(rest, o) {
				continue
			}
			possible, after := step(value, o.Call, o.Answer)
			if o.Kind == Read && o.Unknown {
				possible, after = true, value
			}
			others := append(append(History{}, rest[:i]...), rest[i+1:]...)
			if possible && try(others, after) {
				return true
			}
		}
		return false
	}
	return try(h, "")
}

// first is whether nothing else had ended before the operation began.
func first(all History, o Operation) bool {
	for _, other := range all {
		if !other.Unknown && other.Ended < o.Begun {
			return false
		}
	}
	return true
}

// memory is a store in memory.
type memory struct {
	mu          sync.Mutex
	now, before map[string]string // values, and what they were before that
	calls       int
	// Whether the call of this number loses what it writes, finds what was
	// before, or is not answered; nil: never.
	lose, stale, silent func(n int) bool
}

func (m *memory) call(register string, change func(now string) (after string)) (found string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	yes := func(f func(int) bool) bool { return f != nil && f(m.calls) }
	found = m.now[register]
	after := change(found)
	switch {
	case after == found && yes(m.stale):
		return m.before[register], nil
	case after != found && !yes(m.lose):
		m.before[register], m.now[register] = found, after
	}
	if yes(m.silent) {
		return "", errors.New("no answer")
	}
	return found, nil
}

func (m *memory) Read(_ context.Context, register string) (string, error) {
	return m.call(register, func(now string) string { return now })
}

func (m *memory) Write(_ context.Context, register, value string) error {
	_, err := m.call(register, func(string) string { return value })
	return err
}

func (m *memory) Swap(_ context.Context, register, old, value string) (string, bool, error) {
	found, err := m.call(register, func(now string) string {
		if now == old {
			return value
		}
		return now
	})
	if err != nil || found == old {
		return "", err == nil, err
	}
	return found, false, nil
}

// Whole runs of clients: a store that keeps its word passes, also one that often
// does not answer; one that loses or is behind once in a while does not.
func TestLoadTellsStoresApart(t *testing.T) {
	some := func(n int) bool { return n%40 == 17 }
	for _, c := range []struct {
		name                string
		ok                  bool
		lose, stale, silent func(int) bool
	}{
		{name: "right", ok: true},
		{name: "often silent", ok: true, silent: some},
		{name: "loses writes", lose: some},
		{name: "stale reads", stale: some},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &memory{now: map[string]string{}, before: map[string]string{}, lose: c.lose, stale: c.stale, silent: c.silent}
			l := Start(Config{Seed: 1, Prefix: "r", Every: 100 * time.Microsecond, Timeout: time.Minute, Uses: 100}, m, m, m)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := l.Await(ctx, 500); err != nil {
				t.Fatal(err)
			}
			m.mu.Lock()
			m.silent = nil // the last reads must be answered
			m.mu.Unlock()
			h, err := l.Stop(ctx, m)
			if err != nil {
				t.Fatal(err)
			}
			if c.silent != nil && h.Doubtful() == 0 || h.Acknowledged() < 500 {
				t.Errorf("%d acknowledged, %d doubtful", h.Acknowledged(), h.Doubtful())
			}
			if err := h.Check(); (err == nil) != c.ok {
				t.Errorf("want explained %t, got %v", c.ok, err)
			}
		})
	}
}
