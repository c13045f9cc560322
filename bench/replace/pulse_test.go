package main

import (
	"errors"
	"maps"
	"testing"
	"time"
)

// at is a moment so many milliseconds after some other one.
func at(ms int) time.Time { return time.UnixMilli(int64(1_000_000 + ms)) }

func TestNoticed(t *testing.T) {
	ok := func(sent, ended int) write { return write{sent: at(sent), ended: at(ended)} }
	failed := func(sent, ended int, why string) write {
		return write{sent: at(sent), ended: at(ended), err: errors.New(why)}
	}
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		writes        []write
		gap, slowest  time.Duration
		count         int
		errors        map[string]int
		begun, ending int
	}{
		"steady": {
			writes: []write{ok(0, 1), ok(5, 6), ok(10, 11), ok(15, 16)},
			begun:  5, ending: 12, gap: 5 * ms, slowest: ms, count: 2,
		},
		"acknowledged in another order than sent": {
			writes: []write{ok(0, 1), ok(5, 90), ok(10, 11), ok(15, 21)},
			begun:  5, ending: 95, gap: 69 * ms, slowest: 85 * ms, count: 3,
		},
		"a gap from before until after": {
			writes: []write{ok(0, 1), failed(5, 70, "no leader"), ok(10, 100), ok(95, 101)},
			begun:  20, ending: 90, gap: 99 * ms, slowest: 90 * ms, count: 2, errors: map[string]int{"no leader": 1},
		},
		"what failed is no acknowledgement": {
			writes: []write{ok(0, 1), failed(5, 6, "no"), failed(10, 11, "no"), ok(15, 16)},
			begun:  1, ending: 20, gap: 15 * ms, slowest: ms, count: 4, errors: map[string]int{"no": 2},
		},
		"what was before and after is nobody's matter": {
			writes: []write{failed(0, 1, "before"), ok(2, 3), ok(400, 401), ok(405, 406), ok(410, 411), ok(900, 999), failed(950, 960, "after")},
			begun:  402, ending: 410, gap: 5 * ms, slowest: ms, count: 2,
		},
	} {
		n := noticed(c.writes, at(c.begun), at(c.ending))
		if n.gap != c.gap || n.slowest != c.slowest || n.writes != c.count || !maps.Equal(n.failed, c.errors) {
			t.Errorf("%s: %+v, want gap %s, slowest %s, %d writes, failed %v", name, n, c.gap, c.slowest, c.count, c.errors)
		}
	}
}

func TestNoticeSays(t *testing.T) {
	n := notice{gap: 12 * time.Millisecond, slowest: 7 * time.Second, writes: 900, failed: map[string]int{"timed out": 2, "no leader": 40}}
	want := "gap   12.0 ms, slowest write 7000.0 ms, 42 of 900 writes failed\n    40: no leader\n    2: timed out"
	if n.String() != want {
		t.Errorf("notice:\n%s\nwant\n%s", n, want)
	}
}
