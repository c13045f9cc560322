// Package register decides whether a store kept its word. Clients read, write
// and compare-and-swap registers, all at once and throughout whatever happens
// to the store ([Start]); the [History] of what they asked and were told is then
// searched for an order in which a store without faults could have said the same
// ([History.Check]). If there is none, an acknowledged write was lost, or
// somebody was told an old value.
//
// What fails or gets no answer may have taken effect, may do so at any later
// time, and is never tried again. Each such operation doubles the work of the
// search, so that a register is used for a while only, then the next one; at the
// end each is read once more.
package register

import (
	"time"
)

// Kind of an operation.
type Kind int

// The kinds of operations.
const (
	// Read returns the value.
	Read Kind = iota
	// Write sets the value.
	Write
	// Swap sets the value if it is Old, or else returns it.
	Swap
)

// Call is what a client asked for. All values that are written are different,
// and none is empty, which a register is at first.
type Call struct {
	Kind     Kind
	Register string
	Old, New string
}

// Answer is what a client was told.
type Answer struct {
	Value   string // by a Read, or a Swap that did not swap
	Swapped bool
	Unknown bool // nothing was told, or an error
}

// Operation is a call with its answer.
type Operation struct {
	Client int
	Call
	Answer
	// Begun and Ended are on one clock, whose zero is any.
	Begun, Ended time.Duration
}

// History is what several clients did, in any order.
type History []Operation

// Acknowledged counts the operations that were answered, Doubtful those that
// were not.
func (h History) Acknowledged() int { return len(h) - h.Doubtful() }

// Doubtful is described with Acknowledged.
func (h History) Doubtful() (n int) {
	for _, o := range h {
		if o.Unknown {
			n++
		}
	}
	return n
}
