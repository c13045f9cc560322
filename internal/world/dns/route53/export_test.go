package route53

import (
	"context"
	"time"
)

// Begin says when so many calls begin that are made one after the other.
func Begin(ctx context.Context, calls int) (out []time.Time) {
	p := newPace(perSecond)
	for range calls {
		if rest(ctx, p.turn(time.Now())) == nil {
			out = append(out, time.Now())
		}
	}
	return out
}
