package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/e2e/chaos/schedule"
	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

const (
	// slice is when the last round begins, if not by number of faults.
	slice = 3 * time.Minute
	// roundLimit bounds a round, from its first fault until the cluster is
	// whole.
	roundLimit = 10 * time.Minute
)

// Whatever strikes, pleiad up makes the cluster whole again once it is over;
// clients never see a value that they could not have seen without; and at the
// end no machine, record or process is left.
func TestChaos(t *testing.T) {
	w := open(t)
	t.Logf("seed %d", *seed)
	before := w.snapshots()
	w.ok(w.want(schedule.Least))
	w.ok(w.converge(t.Context()))
	clients := w.startClients()
	w.play(clients)
	clients.check()
	w.wantConverged()
	w.wantNothingLeft(before)
}

// play plays the rounds of the schedule.
func (w *world) play(c *clients) {
	w.Helper()
	begun, struck := time.Now(), map[schedule.Kind]int{}
	for i, r := range schedule.Draw(*seed, cmp.Or(*faults, 500)) {
		if *faults == 0 && time.Since(begun) > slice {
			break
		}
		w.Logf("%6.1fs  round %d: %s", time.Since(begun).Seconds(), i+1, r)
		w.round(r)
		c.await()
		for _, f := range r.Faults {
			struck[f.Kind]++
		}
	}
	w.Logf("faults in %s: %s", time.Since(begun).Round(time.Second), counts(struck))
}

// round plays one round and returns when the cluster is whole.
func (w *world) round(r schedule.Round) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), roundLimit)
	defer cancel()
	w.ok(w.tidy(ctx))
	who, err := w.standing(ctx)
	w.ok(err)
	w.ok(w.wantRound(r))
	errs := make(chan error, 1+len(r.Faults))
	go func() { errs <- w.operate(ctx, r, who) }()
	for _, f := range r.Faults {
		go func() { errs <- w.strike(ctx, f, who) }()
	}
	var all error
	for range cap(errs) {
		all = errors.Join(all, <-errs)
	}
	w.ok(all)
	w.ok(w.converge(ctx))
}

// tidy throws away the data that pleiad has kept of members that left, as a
// person does sooner or later: that of hundreds of rounds fills a disk.
func (w *world) tidy(ctx context.Context) error {
	return w.each(func(h *bed.Host, ctx context.Context) error {
		_, err := h.Enter(ctx, "rm -rf "+node.KeptFolder+"/*")
		return err
	})(ctx)
}

// strike waits until a fault is due, brings it about, and ends it when its time
// is over.
func (w *world) strike(ctx context.Context, f schedule.Fault, who standing) error {
	if f.Kind == schedule.KillPleiad {
		return nil // operate does it
	}
	if err := wait(ctx, f.After); err != nil {
		return err
	}
	end, err := w.begin(ctx, f, who)
	if err != nil {
		return fmt.Errorf("%s: %w", f, err)
	}
	// What was begun is ended even if nobody waits any more.
	err = wait(ctx, f.Lasts)
	if undone := end(context.WithoutCancel(ctx)); undone != nil {
		err = errors.Join(err, fmt.Errorf("end of %s: %w", f, undone))
	}
	return err
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func counts(struck map[schedule.Kind]int) string {
	var out []string
	for _, k := range schedule.Kinds() {
		if n := struck[k]; n > 0 {
			out = append(out, fmt.Sprintf("%d %s", n, k))
		}
	}
	return strings.Join(out, ", ")
}
