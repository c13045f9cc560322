package sim

import (
	"slices"
	"time"
)

// event is something that the world does by itself at its time.
type event struct {
	at time.Time
	do func()
}

// events are sorted by time; events of one moment keep the order in which they
// were added.
type events struct{ queue []event }

// after adds an event.
func (e *events) after(d time.Duration, do func()) {
	at := time.Now().Add(d)
	i, _ := slices.BinarySearchFunc(e.queue, at, func(x event, t time.Time) int {
		if x.at.After(t) {
			return 1
		}
		return -1
	})
	e.queue = slices.Insert(e.queue, i, event{at: at, do: do})
}

// due takes the next event if its time has come.
func (e *events) due() (func(), bool) {
	if len(e.queue) == 0 || e.queue[0].at.After(time.Now()) {
		return nil, false
	}
	next := e.queue[0].do
	e.queue = slices.Delete(e.queue, 0, 1)
	return next, true
}

// next is how long it is until the next event, or d if that is sooner.
func (e *events) next(d time.Duration) time.Duration {
	if len(e.queue) == 0 {
		return d
	}
	return min(d, time.Until(e.queue[0].at))
}
