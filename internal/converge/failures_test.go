package converge

import (
	"errors"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
)

// Several steps that fail are told in one line, and what kinds of error they
// are is not lost, whether it is told or not.
func TestJoin(t *testing.T) {
	if err := join([]error{nil, nil}); err != nil {
		t.Errorf("no failure is %v", err)
	}
	one := errors.New("install a: no space")
	if err := join([]error{nil, one}); err != one {
		t.Errorf("one failure is %v", err)
	}
	many := []error{errors.New("a"), nil, errors.New("b"), errors.New("c"), errors.New("d"), hosts.ErrForeign}
	err := join(many)
	if got := err.Error(); got != "a; b; c; and 2 more" || strings.Contains(got, "\n") {
		t.Errorf("five failures are %q", got)
	}
	if !errors.Is(err, hosts.ErrForeign) {
		t.Error("the kind of the last failure is lost")
	}
}
