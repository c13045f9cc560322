package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// kind says what a call does to the world.
type kind int

const (
	read kind = iota
	write
)

// errParked is what an effect returns whose answer comes later, by
// [World.answer].
var errParked = errors.New("the answer comes later")

// errCrashed ends the context of a controller that crashed.
var errCrashed = errors.New("the controller has crashed")

// state of a call.
type state int

const (
	waiting state = iota // in the scheduler
	sent                 // on its way to its effect
	acted                // on its way back
	done
)

// op is one call of a controller.
type op struct {
	by           *Controller
	kind         kind
	verb, object string
	records      []string // what it writes, where that is more than the object
	errs         errs
	ctx          context.Context
	effect       func(*op) error
	state        state
	never        bool   // it will not take effect
	lost         bool   // its answer will be lost
	fault        string // what was injected, for the trace
	err          error
	twins        []*op // equal calls of the same moment; they share its fate
	done         chan struct{}
}

// errs are the errors of a call that the world makes fail: when nothing was
// done, and when nobody can tell.
type errs struct{ failed, lost error }

// scheduler brings everything that happens into one order.
type scheduler struct {
	events
	chance *rand.Rand
	idle   func()
	begun  time.Time
	trace  trace
	// Before is called before each call is sent, with the number of calls so
	// far: it is where tests let things happen.
	Before func(calls int)

	// forced is the fate of the next write, if a conformance suite says so.
	forced fate

	calls   int
	pending []*op // sorted by key
	flying  []*op // sent or acted, in that order

	signal chan struct{}
	mu     sync.Mutex // guards what follows, which controllers write
	inbox  []*op
	ended  []*op // contexts of these ended
	exits  []*Controller
	told   []told
}

func newScheduler(chance *rand.Rand, idle func()) scheduler {
	return scheduler{chance: chance, idle: idle, begun: time.Now(), signal: make(chan struct{}, 1), Before: func(int) {}}
}

// leave puts something into the scheduler's boxes and wakes it.
func (s *scheduler) leave(put func()) {
	s.mu.Lock()
	put()
	s.mu.Unlock()
	select {
	case s.signal <- struct{}{}:
	default:
	}
}

// call asks the world for an effect and returns when it is answered or ctx
// ends. The effect runs at most once, before call returns.
func (c *Controller) call(ctx context.Context, o *op, effect func(*op) error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if end, ok := ctx.Deadline(); ok && !time.Now().Before(end) {
		return context.DeadlineExceeded // however far its timer has come
	}
	o.by, o.ctx, o.effect, o.done = c, ctx, effect, make(chan struct{})
	c.w.leave(func() { c.w.inbox = append(c.w.inbox, o) })
	stop := context.AfterFunc(ctx, func() { c.w.leave(func() { c.w.ended = append(c.w.ended, o) }) })
	<-o.done
	stop()
	return o.err
}

// limits on one Run, far beyond what any honest scenario needs.
const (
	longest = 400 * 24 * time.Hour
	most    = 100_000
)

// Run drives the world until a condition holds, for at most d of its time.
func (w *World) Run(d time.Duration, until func() bool) error {
	end, calls := time.Now().Add(min(d, longest)), w.calls
	for !until() {
		w.idle()
		w.gather()
		if w.turn() {
			if w.calls-calls > most {
				return fmt.Errorf("no end after %d calls", most)
			}
			continue
		}
		rest := time.Until(end)
		if rest <= 0 {
			return fmt.Errorf("no end after %s", d)
		}
		select {
		case <-w.signal:
		case <-time.After(w.next(rest)):
		}
	}
	w.gather()
	return nil
}

// Serve drives the world until ctx ends, for callers that are no loops.
func (w *World) Serve(ctx context.Context) {
	defer context.AfterFunc(ctx, func() { w.leave(func() {}) })()
	for ctx.Err() == nil {
		_ = w.Run(longest, func() bool { return ctx.Err() != nil }) // begins anew after very many calls
	}
}

// gather empties the boxes. Nothing else runs now, so all that belongs to this
// moment is there, in an order that means nothing; sorting gives it one.
func (w *World) gather() {
	w.mu.Lock()
	inbox, ended, exits, told := w.inbox, w.ended, w.exits, w.told
	w.inbox, w.ended, w.exits, w.told = nil, nil, nil, nil
	w.mu.Unlock()

	w.hear(told)
	slices.SortStableFunc(inbox, compare)
	for i, o := range inbox {
		if i > 0 && o.kind == read && compare(inbox[i-1], o) == 0 {
			first := slices.IndexFunc(inbox, func(x *op) bool { return compare(x, o) == 0 })
			inbox[first].twins = append(inbox[first].twins, o)
			continue
		}
		w.pending = append(w.pending, o)
	}
	if len(inbox) > 0 {
		slices.SortStableFunc(w.pending, compare)
	}
	slices.SortStableFunc(ended, compare)
	for _, o := range ended {
		w.cut(o)
	}
	slices.SortFunc(exits, func(a, b *Controller) int { return cmp.Compare(a.Name, b.Name) })
	for _, c := range exits {
		c.ended = true
		w.log(c.Name, "ends", "", "")
	}
}

func compare(a, b *op) int {
	return cmp.Or(cmp.Compare(a.by.Name, b.by.Name), cmp.Compare(a.verb, b.verb), cmp.Compare(a.object, b.object))
}

// turn does the next thing of this moment, if there is one: what the world
// does by itself goes first, then a waiting call that the seed picks.
func (w *World) turn() bool {
	if do, ok := w.due(); ok {
		do()
		return true
	}
	if len(w.pending) == 0 {
		return false
	}
	w.calls++
	w.Before(w.calls)
	if len(w.pending) == 0 {
		return true // their controllers crashed
	}
	i := w.chance.IntN(len(w.pending))
	o := w.pending[i]
	w.pending = slices.Delete(w.pending, i, i+1)
	w.flying = append(w.flying, o)
	w.send(o)
	return true
}

// act lets a call take effect.
func (w *World) act(o *op) {
	if o.state != sent || o.never {
		return
	}
	o.state = acted
	if o.kind == write {
		w.rules.writes(o)
	}
	o.err = o.effect(o)
	for _, t := range o.twins {
		_ = t.effect(t) // the same read of the same moment: the same answer
	}
}

// answer ends a call after d, if nothing ends it before.
func (w *World) answer(o *op, err error, d time.Duration) {
	w.after(d, func() { w.finish(o, err) })
}

// finish gives a call its answer.
func (w *World) finish(o *op, err error) {
	if o.state == done {
		return
	}
	if o.lost {
		err = o.errs.lost
	}
	o.state, o.err = done, err
	w.flying = slices.DeleteFunc(w.flying, func(x *op) bool { return x == o })
	w.log(o.by.Name, o.verb, o.object, outcome(o))
	w.rules.answered(o)
	close(o.done)
	for _, t := range o.twins {
		t.state, t.err = done, err
		close(t.done)
	}
}

func outcome(o *op) string {
	text := "ok"
	if o.err != nil {
		text = o.err.Error()
	}
	if o.fault != "" {
		text += "  (" + o.fault + ")"
	}
	return text
}

// cut ends a call whose context has ended: if it was on its way, it arrives
// now or never.
func (w *World) cut(o *op) {
	for _, first := range slices.Concat(w.pending, w.flying) {
		if slices.Contains(first.twins, o) {
			o = first
		}
	}
	switch o.state {
	case done:
		return
	case waiting:
		w.pending = slices.DeleteFunc(w.pending, func(x *op) bool { return x == o })
	case sent:
		if w.chance.IntN(2) == 0 {
			w.act(o)
		}
		fallthrough
	case acted:
		if o.kind == write {
			w.finish(o, fmt.Errorf("%w: %w", o.errs.lost, o.ctx.Err()))
			return
		}
	}
	w.finish(o, o.ctx.Err())
}
