package sim

import (
	"time"
)

// Rates are how often single calls go wrong, in thousandths.
type Rates struct {
	Fail        int // an error, and nothing was done
	Lose        int // done, but the answer is lost (writes)
	Swallow     int // not done, and no answer either (writes)
	Slow        int // arrives late
	Late        int // is answered late
	Half        int // an install or a create stops halfway
	DieStarting int // a host dies soon after its launch
}

// SetRates changes how often calls go wrong from now on.
func (w *World) SetRates(r Rates) { w.rates = r }

// befalls says whether something that happens so many times in a thousand
// happens now.
func (w *World) befalls(rate int) bool { return rate > 0 && w.chance.IntN(1000) < rate }

// fate is what becomes of one call.
type fate string

// The fates. The first is no fault.
const (
	passes    fate = ""
	fails     fate = "failed"
	swallowed fate = "swallowed"
	loses     fate = "answer lost"
	slow      fate = "slow"
	late      fate = "answered late"
)

// draw draws a call's fate.
func (w *World) draw(k kind) fate {
	if k == write && w.forced != passes {
		f := w.forced
		w.forced = passes
		return f
	}
	switch {
	case w.befalls(w.rates.Fail):
		return fails
	case k == write && w.befalls(w.rates.Swallow):
		return swallowed
	case k == write && w.befalls(w.rates.Lose):
		return loses
	case w.befalls(w.rates.Slow):
		return slow
	case w.befalls(w.rates.Late):
		return late
	}
	return passes
}

// send decides a call's fate and lets it take its way.
func (w *World) send(o *op) {
	o.state = sent
	d := w.between(100*time.Microsecond, 2*time.Millisecond)
	if o.kind == write {
		d = w.between(500*time.Microsecond, 8*time.Millisecond)
	}
	f := w.draw(o.kind)
	if f != passes {
		w.strike(o, string(f))
	}
	switch f {
	case fails:
		o.never = true
		w.answer(o, o.errs.failed, w.delay(d))
	case swallowed:
		o.never, o.lost = true, true
		w.answer(o, nil, w.delay(d))
	case slow:
		w.after(w.delay(d), func() { w.arrive(o, d) })
	case loses:
		o.lost = true
		w.arrive(o, d)
	case late:
		w.arrive(o, w.delay(d))
	default:
		w.arrive(o, d)
	}
}

// arrive lets a call take effect and be answered after d.
func (w *World) arrive(o *op, d time.Duration) {
	if o.state != sent {
		return
	}
	w.act(o)
	if o.err != errParked {
		w.answer(o, o.err, d)
	}
}

func (w *World) strike(o *op, fault string) {
	o.fault = fault
	if o.kind == read {
		fault = "read " + fault
	}
	w.count("fault: " + fault)
}

// delay is a delay that something went wrong with: sometimes noticeable,
// sometimes beyond the patience of whoever waits.
func (w *World) delay(d time.Duration) time.Duration {
	if w.chance.IntN(2) == 0 {
		return d + w.between(0, 300*time.Millisecond)
	}
	return d + w.between(time.Second, 9*time.Second)
}
