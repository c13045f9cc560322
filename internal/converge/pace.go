package converge

import (
	"context"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/fault"
)

// pace decides how a loop goes on after a round: at once while it moves, ever
// slower while it does not, and at last no more. It moves when it plans what
// it has not planned before; a member that is started, dies and is started
// again is no movement. A pause that somebody asked for is kept, and is not an
// attempt.
type pace struct {
	patience time.Duration
	since    time.Time      // when it last moved
	seen     map[string]int // how often each batch was planned
	errors   int            // rounds with an error since it last moved
}

const (
	firstPause = 10 * time.Millisecond
	longPause  = time.Second
	// attempts at the same steps, each with an error, after which waiting
	// longer will not help.
	attempts = 6
)

// keep waits as long as is right after a round, and says whether to go on.
func (p *pace) keep(ctx context.Context, planned plan.Plan, err error) bool {
	batch := strings.Join(names(planned), "\n")
	for _, s := range planned.Steps {
		if tells(s) {
			batch += "\n" + s.Because().Why
		}
	}
	p.seen[batch]++
	if p.seen[batch] == 1 {
		p.since, p.errors = time.Now(), 0
		if err == nil && len(planned.Steps) > 0 {
			return true
		}
	}
	wanted := fault.RetryAfter(err)
	if wanted == 0 && (err != nil || len(planned.Steps) == 0) { // nothing but refusals for what is unknown
		p.errors++
	}
	if p.errors >= attempts || time.Since(p.since)+wanted >= p.patience {
		return false
	}
	pause := max(wanted, min(firstPause<<min(p.seen[batch], 16), longPause))
	select {
	case <-ctx.Done():
	case <-time.After(pause):
	}
	return true
}

// tells says whether the reason of a step tells it from others of the same name: a
// member that catches up moves, and each change of the members repairs other records.
func tells(s plan.Step) bool {
	r, records := s.(plan.ChangeRecords)
	return plan.Waits(s) || records && r.Purpose == plan.Repair
}
