package discovery

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// script is a list of outcomes of lookups, the last of which stays. An outcome
// is the hosts found ("m1 m2"), or "!" and the kind of error.
type script struct {
	outcomes []string
	at       []time.Time // when each lookup was made
	pinned   []bool
}

func (s *script) lookup(context.Context) (found, error) {
	outcome := s.outcomes[min(len(s.at), len(s.outcomes)-1)]
	s.at = append(s.at, time.Now())
	switch outcome {
	case "!notfound":
		return found{}, &Error{Kind: ErrNotFound, Names: []string{"x."}}
	case "!unavailable":
		return found{}, &Error{Kind: ErrUnavailable, Names: []string{"x."}}
	}
	var c found
	for _, h := range strings.Fields(outcome) {
		host, addr, _ := strings.Cut(h, "=")
		e := Endpoint{Host: host, Port: 2379, TLS: true}
		var unknown families
		switch addr {
		case "":
		case "!notfound":
			e.AddrErr = &Error{Kind: ErrNotFound, Names: []string{host}}
		case "!unavailable":
			e.AddrErr = &Error{Kind: ErrUnavailable, Names: []string{host}}
			unknown = families{four: true, six: true}
		default:
			e.Addrs = []netip.Addr{netip.MustParseAddr(addr)}
		}
		c.Endpoints, c.unknown = append(c.Endpoints, e), append(c.unknown, unknown)
	}
	return c, nil
}

// story runs a watcher over a script for a time and returns what it yielded:
// hosts, with their addresses if there are any, and "!" after an error.
func story(t *testing.T, interval, length time.Duration, s *script) []string {
	t.Helper()
	var yielded []string
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), length)
		defer cancel()
		w := watcher{interval: interval, lookup: s.lookup, pin: func(tls bool) { s.pinned = append(s.pinned, tls) }}
		w.run(ctx, func(c Cluster, err error) bool {
			var parts []string
			for _, e := range c.Endpoints {
				part := e.Host
				if len(e.Addrs) > 0 {
					part += "=" + e.Addrs[0].String()
				}
				parts = append(parts, part)
			}
			if err != nil {
				parts = append(parts, "!")
			}
			yielded = append(yielded, strings.Join(parts, " "))
			clear(c.Endpoints) // ours to change
			return true
		})
	})
	return yielded
}

func TestWatchYieldsChanges(t *testing.T) {
	tests := []struct {
		name     string
		outcomes []string
		want     []string
	}{
		{"steady", []string{"m1 m2"}, []string{"m1 m2"}},
		{"member added, member removed", []string{"m1 m2", "m1 m2", "m1 m2 m3", "m2 m3"}, []string{"m1 m2", "m1 m2 m3", "m2 m3"}},
		{"error keeps the last, recovery is told", []string{"m1", "!unavailable", "m1"}, []string{"m1", "m1 !", "m1"}},
		{"empty answer keeps the last", []string{"m1 m2", "!notfound", "!notfound", "m1 m2 m3"}, []string{"m1 m2", "m1 m2 !", "m1 m2 !", "m1 m2 m3"}},
		{"nothing at first", []string{"!notfound", "m1"}, []string{"!", "m1"}},
		{"host moves", []string{"m1=127.0.0.1", "m1=127.0.0.2"}, []string{"m1=127.0.0.1", "m1=127.0.0.2"}},
		{"address unknown for a while", []string{"m1=127.0.0.1", "m1=!unavailable", "m1=!unavailable", "m1=127.0.0.1"}, []string{"m1=127.0.0.1"}},
		{"address unknown, then another", []string{"m1=127.0.0.1", "m1=!unavailable", "m1=127.0.0.2"}, []string{"m1=127.0.0.1", "m1=127.0.0.2"}},
		{"address gone", []string{"m1=127.0.0.1", "m1=!notfound"}, []string{"m1=127.0.0.1", "m1"}},
		{"address unknown of a new host", []string{"m1=127.0.0.1", "m1=127.0.0.1 m2=!unavailable"}, []string{"m1=127.0.0.1", "m1=127.0.0.1 m2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := story(t, 30*time.Second, 10*time.Minute, &script{outcomes: tt.outcomes})
			if strings.Join(got, "; ") != strings.Join(tt.want, "; ") {
				t.Errorf("yielded %q, want %q", got, tt.want)
			}
		})
	}
}

func TestWatchPinsTheKindOnce(t *testing.T) {
	s := &script{outcomes: []string{"!unavailable", "m1", "m2", "!notfound", "m1"}}
	story(t, time.Minute, time.Hour, s)
	if len(s.pinned) != 1 || !s.pinned[0] {
		t.Errorf("pinned %v, want [true]", s.pinned)
	}
}

func TestWatchWaits(t *testing.T) {
	fail := "!unavailable"
	tests := []struct {
		name     string
		interval time.Duration
		outcomes []string
		want     []time.Duration // between lookups, before jitter
	}{
		{"the interval", 30 * time.Second, []string{"m1"}, []time.Duration{30 * time.Second, 30 * time.Second, 30 * time.Second}},
		{"longer after each failure", 10 * time.Second, []string{"m1", fail, fail, fail, fail, fail, fail, "m1"}, []time.Duration{10 * time.Second,
			time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 10 * time.Second, 10 * time.Second, 10 * time.Second}},
		{"never longer than the interval", time.Second, []string{fail}, []time.Duration{time.Second, time.Second, time.Second}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &script{outcomes: tt.outcomes}
			story(t, tt.interval, 5*time.Minute, s)
			for i, want := range tt.want {
				got := s.at[i+1].Sub(s.at[i])
				if got < want*9/10 || got > want*11/10 {
					t.Errorf("pause %d was %s, want %s ± 10 %%", i, got, want)
				}
			}
		})
	}
}

func TestWatchNeverWaitsForAgesAfterManyFailures(t *testing.T) {
	for _, failures := range []int{1, 30, 40, 64, 1 << 40} {
		w := watcher{interval: time.Hour, failures: failures}
		if d := w.pause(); d <= 0 || d > time.Hour*11/10 {
			t.Errorf("after %d failures the pause is %s", failures, d)
		}
	}
}

func TestWatchersDoNotAskInStep(t *testing.T) {
	w := watcher{interval: time.Hour}
	first := w.pause()
	for range 100 {
		if w.pause() != first {
			return
		}
	}
	t.Errorf("100 pauses of exactly %s", first)
}

func TestWatchEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := watcher{
			interval: time.Hour,
			pin:      func(bool) {},
			lookup: func(ctx context.Context) (found, error) {
				<-ctx.Done() // a name server that never answers
				return found{}, &Error{Kind: ErrUnavailable, Err: ctx.Err()}
			},
		}
		time.AfterFunc(time.Second, cancel)
		began := time.Now()
		w.run(ctx, func(_ Cluster, err error) bool {
			t.Errorf("yielded %v: the end of the context is not news about the cluster", err)
			return true
		})
		if d := time.Since(began); d != time.Second {
			t.Errorf("ended after %s, want 1s", d)
		}
	})
}

func TestWatchEndsWithItsContextBetweenLookups(t *testing.T) {
	s := &script{outcomes: []string{"m1"}}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		began := time.Now()
		w := watcher{interval: time.Hour, lookup: s.lookup, pin: func(bool) {}}
		w.run(ctx, func(Cluster, error) bool { return true })
		if d := time.Since(began); d != time.Minute {
			t.Errorf("ended after %s, want 1m0s", d)
		}
	})
}

func TestWatchEndsWithItsLoop(t *testing.T) {
	s := &script{outcomes: []string{"m1", "m2", "m3"}}
	synctest.Test(t, func(t *testing.T) {
		w := watcher{interval: time.Minute, lookup: s.lookup, pin: func(bool) {}}
		n := 0
		w.run(t.Context(), func(Cluster, error) bool { n++; return n < 2 })
		if n != 2 || len(s.at) != 2 {
			t.Errorf("%d yields, %d lookups; want 2, 2", n, len(s.at))
		}
	})
}

func TestWatchEndsOnInvalidArguments(t *testing.T) {
	n := 0
	for c, err := range Watch(t.Context(), "10.0.0.1") {
		if n++; !errors.Is(err, ErrInvalidArgument) || len(c.Endpoints) != 0 {
			t.Errorf("yielded %v, %v", c, err)
		}
	}
	if n != 1 {
		t.Errorf("%d yields, want 1", n)
	}
}

func TestIntervalHasAFloor(t *testing.T) {
	for given, want := range map[time.Duration]time.Duration{30: time.Second, -1: time.Second, time.Minute: time.Minute} {
		if got := newOptions([]Option{WithInterval(given)}).interval; got != want {
			t.Errorf("interval %d gives %s, want %s", given, got, want)
		}
	}
}
