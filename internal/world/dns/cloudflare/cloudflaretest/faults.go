package cloudflaretest

import (
	"slices"
	"time"
)

// faults are what goes wrong next.
type faults struct {
	operation   int             // number of the operation of the next batch that fails, from 1
	loseRequest bool            // of the next batch
	loseAnswer  bool            // of the next batch
	stall       bool            // from the next batch on
	stalled     bool            // from now on
	limited     []time.Duration // pauses asked for by the next calls, of any kind
	status      int             // HTTP status of the next batch, after it was carried out
	stale       int             // so many next lists are from before the last batch
	meanwhile   func()          // before the next batch is carried out
	afterwards  func()          // after the next batch was carried out
	list        hook            // before a list to come
	limitedList []time.Duration // pauses asked for by the next lists
	answer      []byte          // of the next call, whatever it asks
}

func (f *Fake) arm(change func(*faults)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.faults)
}

// FailOperation makes the nth operation of the next batch fail, and with it the
// batch. Deletes come first, then puts, then posts.
func (f *Fake) FailOperation(n int) { f.arm(func(x *faults) { x.operation = n }) }

// LoseRequest hangs up on the next batch before it is carried out.
func (f *Fake) LoseRequest() { f.arm(func(x *faults) { x.loseRequest = true }) }

// LoseAnswer carries out the next batch and hangs up.
func (f *Fake) LoseAnswer() { f.arm(func(x *faults) { x.loseAnswer = true }) }

// Stall takes the next batch, and all calls after it, and says nothing.
func (f *Fake) Stall() { f.arm(func(x *faults) { x.stall = true }) }

// Limit refuses the next call and asks for a pause; 0 for one that it does not
// tell.
func (f *Fake) Limit(pause time.Duration) {
	f.arm(func(x *faults) { x.limited = append(x.limited, pause) })
}

// LimitNextList is [Fake.Limit] for the next list.
func (f *Fake) LimitNextList(pause time.Duration) {
	f.arm(func(x *faults) { x.limitedList = append(x.limitedList, pause) })
}

// FailAfter carries out the next batch and answers with an HTTP status.
func (f *Fake) FailAfter(status int) { f.arm(func(x *faults) { x.status = status }) }

// Stale lets the next lists show what was there before the last batch.
func (f *Fake) Stale(lists int) { f.arm(func(x *faults) { x.stale = lists }) }

// Meanwhile calls what somebody else does between the list and the next batch.
func (f *Fake) Meanwhile(act func()) { f.arm(func(x *faults) { x.meanwhile = act }) }

// AfterBatch calls what happens as soon as the next batch was carried out.
func (f *Fake) AfterBatch(act func()) { f.arm(func(x *faults) { x.afterwards = act }) }

// BeforeList calls what happens just before the nth of the lists to come.
func (f *Fake) BeforeList(n int, act func()) { f.arm(func(x *faults) { x.list = hook{n, act} }) }

// hook is an act and how many calls are left until it is due.
type hook struct {
	left int
	act  func()
}

// due is the act of the hook, once.
func (h *hook) due() func() {
	if h.left--; h.left != 0 {
		return nil
	}
	return h.act
}

// Answer gives the next call this answer.
func (f *Fake) Answer(body []byte) { f.arm(func(x *faults) { x.answer = slices.Clone(body) }) }

// Down refuses connections from now on.
func (f *Fake) Down() { f.server.Close() }

// take gives a fault of a kind and disarms it.
func take[T any](f *Fake, which func(*faults) *T) T {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := which(&f.faults)
	var none T
	out := *at
	*at = none
	return out
}

// next takes the first of several.
func next[T any](f *Fake, which func(*faults) *[]T) (T, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := which(&f.faults)
	if len(*all) == 0 {
		var none T
		return none, false
	}
	out := (*all)[0]
	*all = (*all)[1:]
	return out, true
}

// ofLists are the pauses that lists ask for, if the call is one.
func (x *faults) ofLists(list bool) *[]time.Duration {
	if list {
		return &x.limitedList
	}
	return new([]time.Duration)
}
