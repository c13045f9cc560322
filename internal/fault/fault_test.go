package fault_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/fault"
)

// Kind, remedy and pause are found behind any wrapping and joining.
func TestKinds(t *testing.T) {
	kinds := map[fault.Kind]bool{fault.Conflict: false, fault.Unreachable: false, fault.UnknownOutcome: false,
		fault.Denied: true, fault.Damaged: true, fault.Occupied: true, fault.Unsupported: true}
	for kind, lasting := range kinds {
		sentinel := fault.New(kind, "a text of its own")
		if sentinel.Error() != "a text of its own" {
			t.Errorf("it says %q", sentinel)
		}
		err := fmt.Errorf("outer: %w", errors.Join(errors.New("another"), fault.WithRemedy(fmt.Errorf("inner: %w", sentinel), "do this", "then that")))
		if !errors.Is(err, sentinel) || fault.Lasting(err) != lasting || len(fault.Remedy(err)) != 2 {
			t.Errorf("%v: lasting %t, remedy %q", kind, fault.Lasting(err), fault.Remedy(err))
		}
		for other := range kinds {
			if errors.Is(err, other) != (other == kind) {
				t.Errorf("an error that is %v is %v: %t", kind, other, other != kind)
			}
		}
		if fault.RetryAfter(err) != 0 {
			t.Errorf("%v: a pause that nobody asked for", kind)
		}
	}
	plain := errors.New("something")
	if fault.Lasting(plain) || fault.Lasting(nil) || fault.Remedy(plain) != nil || fault.Remedy(nil) != nil {
		t.Error("an error without a kind has one")
	}
	if same := fault.New(fault.Denied, "a"); errors.Is(fault.New(fault.Denied, "a"), same) {
		t.Error("two errors of one text are the same")
	}
}

func TestLimited(t *testing.T) {
	err := fmt.Errorf("change records: %w", &fault.Limited{After: 3 * time.Second, Err: fault.New(fault.Unreachable, "too many requests")})
	if got := fault.RetryAfter(err); got != 3*time.Second || !errors.Is(err, fault.Unreachable) || fault.Lasting(err) {
		t.Errorf("%v: again in %s", err, got)
	}
}
