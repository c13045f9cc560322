package ec2

import (
	"testing"
	"time"
)

// An instance is waited for as long as it may be late, also where the clock was wrong
// when it was launched.
func TestListed(t *testing.T) {
	now := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct{ ago, wait time.Duration }{
		"just now":                      {0, late},
		"half a minute ago":             {late / 2, late / 2},
		"long ago":                      {time.Hour, late - time.Hour},
		"by a clock that was far ahead": {-300 * 24 * time.Hour, late},
	} {
		if got := listed(now.Add(-c.ago), now).Sub(now); got != c.wait {
			t.Errorf("%s: it is waited for %s, want %s", name, got, c.wait)
		}
	}
}
