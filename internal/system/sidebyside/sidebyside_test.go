package sidebyside

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// answers of a name server: with a record, without one, that there is no such name, and
// that it cannot say.
var (
	record   = message(0, 1)
	nothing  = message(0, 0)
	noName   = message(3, 0)
	servfail = message(2, 0)
)

func message(code, answers byte) []byte {
	return []byte{0, 0, 0x80, code, 0, 1, 0, answers, 0, 0, 0, 0}
}

// server is a name server that answers after a while, or never.
type server struct {
	after  time.Duration
	answer []byte
}

const never = time.Hour

// these are servers, in this order, named by their places.
func these(servers ...server) *Servers {
	names := make([]string, len(servers))
	for i := range servers {
		names[i] = fmt.Sprint(i)
	}
	s := These(names...)
	s.exchange = func(ctx context.Context, _, name string, _ []byte) ([]byte, error) {
		of := servers[slices.Index(names, name)]
		select {
		case <-time.After(of.after):
			if of.answer == nil {
				return nil, errors.New("connection refused")
			}
			return of.answer, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return s
}

// The first answer with records counts, from wherever it comes. That there are none is
// believed of the first server in the order that answers within its time: a slow one may
// be the only one that knows a private zone.
func TestAsk(t *testing.T) {
	t.Parallel()
	mute := server{after: never}
	slow := func(answer []byte) server { return server{600 * time.Millisecond, answer} }
	at := func(answer []byte) server { return server{0, answer} }
	for name, c := range map[string]struct {
		servers []server
		want    []byte
		took    time.Duration
		silent  []string
	}{
		"one":                               {[]server{at(record)}, record, 0, nil},
		"the first denies":                  {[]server{at(noName), at(record)}, noName, 0, nil},
		"the first has nothing":             {[]server{at(nothing), at(record)}, nothing, 0, nil},
		"the first is mute":                 {[]server{mute, at(record)}, record, hedge, []string{"0"}},
		"two are mute":                      {[]server{mute, mute, at(record)}, record, 2 * hedge, []string{"0", "1"}},
		"the first fails":                   {[]server{at(servfail), at(record)}, record, 0, nil},
		"nobody listens":                    {[]server{at(nil), at(noName), at(record)}, noName, 0, nil},
		"a slow one knows better":           {[]server{slow(record), at(noName)}, record, 600 * time.Millisecond, nil},
		"a slow one knows better than two":  {[]server{slow(record), at(noName), at(nothing)}, record, 600 * time.Millisecond, nil},
		"a slow one knows no better":        {[]server{slow(noName), at(noName)}, noName, 600 * time.Millisecond, nil},
		"a slow one fails":                  {[]server{slow(servfail), at(noName)}, noName, 600 * time.Millisecond, nil},
		"a mute one has had its time":       {[]server{mute, at(noName)}, noName, grace, []string{"0"}},
		"nobody waits for one that is last": {[]server{at(servfail), slow(noName), mute}, noName, 600 * time.Millisecond, []string{"2"}},
		"all fail":                          {[]server{at(servfail), at(servfail)}, servfail, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, began := these(c.servers...), time.Now()
				got, err := s.Ask(t.Context(), "udp", "0", nil)
				if took := time.Since(began); err != nil || !slices.Equal(got, c.want) || took != c.took {
					t.Errorf("%x, %v after %s; want %x after %s", got, err, took, c.want, c.took)
				}
				if silent := s.Silent(); !slices.Equal(silent, c.silent) {
					t.Errorf("silent are %q, want %q", silent, c.silent)
				}
			})
		})
	}
}

// A mute server is waited for once, and again when it has answered meanwhile.
func TestNobodyWaitsTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first := server{never, record}
		servers := []server{first, {0, noName}}
		s := these(servers...)
		look := func(want []byte, within time.Duration) {
			t.Helper()
			began := time.Now()
			if got, err := s.Ask(t.Context(), "udp", "0", nil); err != nil || !slices.Equal(got, want) || time.Since(began) != within {
				t.Errorf("%x, %v after %s; want %x after %s", got, err, time.Since(began), want, within)
			}
		}
		look(noName, grace)
		look(noName, hedge)
		look(noName, hedge)
		servers[0].after = 0
		look(record, 0)
		servers[0].after = 600 * time.Millisecond
		look(record, 600*time.Millisecond)
	})
}

// What nobody answers is an error, and a lookup ends with its context.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		s := these(server{after: never}, server{after: never})
		if got, err := s.Ask(ctx, "udp", "0", nil); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 5*time.Second {
			t.Errorf("%x, %v after %s", got, err, time.Since(began))
		}
		if silent := s.Silent(); !slices.Equal(silent, []string{"0", "1"}) {
			t.Errorf("silent are %q", silent)
		}
	})
}
