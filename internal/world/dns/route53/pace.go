package route53

import (
	"context"
	"sync"
	"time"
)

// perSecond is how many calls Route 53 takes from an account in a second, from all its
// users together. More are refused for all.
const perSecond = 5

// pace lets so many calls begin in any second; the others wait for their turn.
type pace struct {
	mu    sync.Mutex
	begun []time.Time // of the last calls, the oldest at next
	next  int
}

func newPace(calls int) *pace { return &pace{begun: make([]time.Time, calls)} }

// turn is how long the next call must wait; it has its place from then on.
func (p *pace) turn(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := now
	if earliest := p.begun[p.next].Add(time.Second); earliest.After(now) {
		at = earliest
	}
	p.begun[p.next] = at
	p.next = (p.next + 1) % len(p.begun)
	return at.Sub(now)
}

// rest waits. Its error is why the context ended.
func rest(ctx context.Context, pause time.Duration) error {
	if pause <= 0 || ctx.Err() != nil {
		return context.Cause(ctx)
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
