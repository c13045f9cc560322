// Package fault says what kind of failure an error is: whether another try may
// succeed, when, and what a person can do. It is below the contracts of the
// world, whose errors have a kind, and is read by whatever continues after one: the
// loop, which gives up if only a person can help, and the command line, which
// knows the exit code of each kind.
//
// Kind and remedy survive any wrapping and joining. An error without a kind may
// be temporary: nothing is known about it.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind is a kind of failure. It is an error, so that errors.Is finds it.
type Kind int

// The kinds. From Denied on they last: another try ends the same until a person
// has changed something.
const (
	// Conflict: the world is not as it was observed. Observe again.
	Conflict Kind = iota + 1
	// Unreachable: nobody answers. Nothing was done.
	Unreachable
	// UnknownOutcome: it was sent and its end is not known. Observe before
	// anything else (rule R12).
	UnknownOutcome
	// Denied: credentials or rights are not enough.
	Denied
	// Damaged: what is stored cannot be read.
	Damaged
	// Occupied: an address, a name or a machine belongs to something else.
	Occupied
	// Unsupported: the other side cannot do what is needed.
	Unsupported
	lastKind = Unsupported
)

// Error implements error.
func (k Kind) Error() string {
	switch k {
	case Conflict:
		return "not as it was observed"
	case Unreachable:
		return "unreachable"
	case UnknownOutcome:
		return "unknown outcome"
	case Denied:
		return "denied"
	case Damaged:
		return "damaged"
	case Occupied:
		return "occupied"
	case Unsupported:
		return "not supported"
	}
	return fmt.Sprintf("fault %d", int(k))
}

// New makes an error of a kind. Contracts name theirs with it, as with
// errors.New.
func New(k Kind, text string) error { return &named{text, k} }

type named struct {
	text string
	kind Kind
}

func (n *named) Error() string        { return n.text }
func (n *named) Is(target error) bool { return target == n.kind }

// Lasting says that only a person can mend what failed.
func Lasting(err error) bool {
	for k := Denied; k <= lastKind; k++ {
		if errors.Is(err, k) {
			return true
		}
	}
	return false
}

// WithRemedy adds what a person can do about an error, a line each; commands
// stand alone.
func WithRemedy(err error, remedy ...string) error { return &remedied{err, remedy} }

type remedied struct {
	error
	remedy []string
}

func (r *remedied) Unwrap() error    { return r.error }
func (r *remedied) Remedy() []string { return r.remedy }

// Remedy is what a person can do about an error, nil if it does not say. Types
// of errors that know their own have a method of this name.
func Remedy(err error) []string {
	var r interface{ Remedy() []string }
	if errors.As(err, &r) {
		return r.Remedy()
	}
	return nil
}

// Limited says that whoever was asked wants a pause.
type Limited struct {
	After time.Duration
	Err   error
}

// Error implements error.
func (l *Limited) Error() string { return fmt.Sprintf("%v; again in %s", l.Err, l.After) }

// Unwrap gives the cause.
func (l *Limited) Unwrap() error { return l.Err }

// RetryAfter is how long whoever was asked wants us to pause; 0 if nobody does.
func RetryAfter(err error) time.Duration {
	var l *Limited
	if errors.As(err, &l) {
		return l.After
	}
	return 0
}
