package discovery

import (
	"errors"
	"net"
	"strings"
)

// The kinds of error. Test for them with errors.Is; every error of this
// package is an *[Error] of one of these kinds.
var (
	// ErrNotFound: a name server said that there are no such records.
	ErrNotFound = errors.New("no such records")
	// ErrUnavailable: DNS gave no usable answer (timeout, SERVFAIL, REFUSED,
	// unreachable), so nothing is known. Trying again later may help.
	ErrUnavailable = errors.New("no usable answer")
	// ErrMixed: records with and without TLS exist side by side. Publish one
	// kind only, or choose with [TLSOnly] or [PlainOnly].
	ErrMixed = errors.New("both TLS and plain records exist")
	// ErrInvalidRecord: a record cannot be the address of a member.
	ErrInvalidRecord = errors.New("invalid record")
	// ErrInvalidArgument: the domain or service name cannot be asked for.
	// Nothing was asked.
	ErrInvalidArgument = errors.New("invalid argument")
)

// Error says what was asked and why there is no answer to use. It unwraps to
// its Kind and to its Err.
type Error struct {
	// Kind is one of the Err variables of this package.
	Kind error
	// Names are the DNS names that were asked and that the error is about,
	// with trailing dot; none for ErrInvalidArgument.
	Names []string
	// Err tells more: what is wrong with a record or argument, or what the
	// resolver said, which may be a *net.DNSError or the context's error. It
	// may be nil.
	Err error
}

// Error implements error.
func (e *Error) Error() string {
	s := e.Kind.Error()
	if len(e.Names) > 0 {
		s = "look up " + strings.Join(e.Names, " and ") + ": " + s
	}
	if detail := e.detail(); detail != "" {
		s += ": " + detail
	}
	return s
}

// detail is the text of Err without what would mislead or repeat: a
// *net.DNSError tells the name once more, and as server it names one of
// resolv.conf even where another was asked.
func (e *Error) detail() string {
	var dns *net.DNSError
	switch {
	case e.Err == nil:
		return ""
	case !errors.As(e.Err, &dns):
		return e.Err.Error()
	case e.Kind == ErrNotFound:
		return ""
	}
	return dns.Err
}

// Unwrap makes errors.Is and errors.As see the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}
