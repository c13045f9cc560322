package converge

import (
	"fmt"
	"slices"
	"strings"
)

// failures are the errors of several steps of one batch. Each was reported when
// it happened; together they are one line.
type failures []error

// mostTold is how many of them a line names.
const mostTold = 3

// Error implements error.
func (f failures) Error() string {
	var told []string
	for _, err := range f[:min(len(f), mostTold)] {
		told = append(told, err.Error())
	}
	if more := len(f) - mostTold; more > 0 {
		told = append(told, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(told, "; ")
}

// Unwrap gives them all.
func (f failures) Unwrap() []error { return f }

// join is how many steps of a batch failed, and its error: nil if none did.
func join(errs []error) (int, error) {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	switch len(errs) {
	case 0:
		return 0, nil
	case 1:
		return 1, errs[0]
	}
	return len(errs), failures(errs)
}
