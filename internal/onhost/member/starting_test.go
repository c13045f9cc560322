package member_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/onhost/member"
	"github.com/pleiad-etcd/pleiad/internal/system/durable"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
)

// rising is a member whose status and ports change with time. Its process is
// this test's own.
type rising struct {
	*testing.T
	member.Starting
	config string
	began  time.Time
}

func newRising(t *testing.T) *rising {
	r := &rising{T: t, config: t.TempDir(), began: time.Now()}
	r.Starting = member.Starting{
		Status: func() (member.Status, error) { return member.ReadStatus(r.config) }, Poll: 5 * time.Millisecond,
		Occupied: func(context.Context) error { return nil },
		Serves:   func(context.Context) bool { return false },
		Ended:    func(context.Context, member.Status) error { return nil },
	}
	return r
}

// after says whether so much time has passed.
func (r *rising) after(d time.Duration) bool { return time.Since(r.began) >= d }

// says writes what the member's process says of itself.
func (r *rising) says(gate, exit string) {
	self, err := process.Self()
	if err != nil {
		r.Error(err)
	}
	b, err := json.Marshal(member.Status{Version: member.StatusVersion, Process: self, Gate: gate, Exit: exit})
	if err == nil {
		_, err = durable.Replace(durable.Private(filepath.Join(r.config, member.StatusFile), b))
	}
	if err != nil {
		r.Error(err)
	}
}

// Who listens for a moment is no occupant, who stays is one, and the member
// itself is neither.
func TestVacant(t *testing.T) {
	inTheWay := errors.New("in the way")
	for name, c := range map[string]struct {
		until  time.Duration // how long somebody listens
		itself time.Duration // when it turns out to be the member; 0 for never
		free   bool
		err    error
		took   time.Duration
	}{
		"nobody":     {free: true},
		"for long":   {until: time.Hour, err: inTheWay, took: 300 * time.Millisecond},
		"moment":     {until: 200 * time.Millisecond, free: true, took: 200 * time.Millisecond},
		"the member": {until: time.Hour, itself: 100 * time.Millisecond, took: 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRising(t)
				r.Occupied = func(context.Context) error {
					if c.itself > 0 && r.after(c.itself) {
						r.says("", "")
					}
					if !r.after(c.until) {
						return inTheWay
					}
					return nil
				}
				if free, err := r.Vacant(t.Context()); free != c.free || !errors.Is(err, c.err) {
					t.Errorf("free %t, %v, want %t, %v", free, err, c.free, c.err)
				}
				if took := time.Since(r.began); took != c.took {
					t.Errorf("it took %s, want %s", took, c.took)
				}
			})
		})
	}
}

// What changes, changes between two looks.
func TestAwait(t *testing.T) {
	died := errors.New("died")
	for name, c := range map[string]struct {
		gateUntil time.Duration // how long the gate waits
		serves    time.Duration // when it serves; 0 for never
		appears   time.Duration // when it first says who it is
		ends      time.Duration // when it ends; 0 for never
		gate      string        // what it waits for at the end
		err       error
		took      time.Duration
	}{
		"serves":              {serves: 100 * time.Millisecond, took: 100 * time.Millisecond},
		"its gate waits":      {gateUntil: time.Hour, gate: "DNS", took: 300 * time.Millisecond},
		"waits for a moment":  {gateUntil: 198 * time.Millisecond, serves: 250 * time.Millisecond, took: 250 * time.Millisecond},
		"appears":             {appears: 98 * time.Millisecond, serves: 150 * time.Millisecond, took: 150 * time.Millisecond},
		"ends":                {ends: 48 * time.Millisecond, err: died, took: 50 * time.Millisecond},
		"ends after the gate": {gateUntil: 198 * time.Millisecond, ends: 248 * time.Millisecond, err: died, took: 250 * time.Millisecond},
		"neither":             {err: context.DeadlineExceeded, took: 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRising(t)
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				if c.appears > 0 {
					defer time.AfterFunc(c.appears, func() { r.says("", "") }).Stop()
				} else {
					r.says("", "")
				}
				if c.gateUntil > 0 {
					r.says("DNS", "")
					defer time.AfterFunc(c.gateUntil, func() { r.says("", "") }).Stop()
				}
				if c.ends > 0 {
					defer time.AfterFunc(c.ends, func() { r.says("", "no space left") }).Stop()
				}
				r.Serves = func(context.Context) bool { return c.serves > 0 && r.after(c.serves) }
				r.Ended = func(_ context.Context, s member.Status) error {
					if !r.after(c.appears) {
						return nil
					}
					if s.Exit == "" {
						t.Errorf("asked why it ended while it runs: %+v", s)
					}
					return died
				}
				if s, err := r.Await(ctx); !errors.Is(err, c.err) || s.Gate != c.gate {
					t.Errorf("gate %q, %v, want %q, %v", s.Gate, err, c.gate, c.err)
				}
				if took := time.Since(r.began); took != c.took {
					t.Errorf("it took %s, want %s", took, c.took)
				}
			})
		})
	}
}
