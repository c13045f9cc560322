package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pleiad-etcd/pleiad/bench/sample"
)

const (
	// every is the time between two writes.
	every = time.Second / 200
	// second is the number of writes in a second.
	second = int(time.Second / every)
	// patience bounds one write. A member itself gives up after 7 s
	// (server/config/config.go, ReqTimeout).
	patience = 10 * time.Second
)

// write is one write: when it was sent and when it ended.
type write struct {
	sent, ended time.Time
	err         error
}

// pulse writes at a steady rate, however long each write takes.
type pulse struct {
	put  func(context.Context) error
	stop context.CancelFunc
	all  sync.WaitGroup

	mu     sync.Mutex
	acked  int
	writes []write
}

func startPulse(ctx context.Context, client *clientv3.Client) *pulse {
	ticking, stop := context.WithCancel(ctx)
	p := &pulse{stop: stop, put: func(ctx context.Context) error {
		_, err := client.Put(ctx, "pulse", "1")
		return err
	}}
	p.all.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ticking.Done():
				return
			case <-tick.C:
				p.all.Go(func() { p.write(ctx) })
			}
		}
	})
	return p
}

func (p *pulse) write(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	w := write{sent: time.Now()}
	w.err = p.put(ctx)
	w.ended = time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writes = append(p.writes, w)
	if w.err == nil {
		p.acked++
	}
}

// await waits until n more writes are acknowledged.
func (p *pulse) await(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for want := p.acknowledged() + n; p.acknowledged() < want; {
		select {
		case <-ctx.Done():
			return fmt.Errorf("await %d writes: %w", n, ctx.Err())
		case <-time.After(every):
		}
	}
	return nil
}

func (p *pulse) acknowledged() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.acked
}

// end stops the pulse and returns all writes, once those under way have ended.
func (p *pulse) end() []write {
	p.stop()
	p.all.Wait()
	return p.writes
}

// notice is what writers noticed of something.
type notice struct {
	gap, slowest time.Duration
	writes       int
	failed       map[string]int // how many, by their error
}

// String prints how many writes failed, and why.
func (n notice) String() string {
	total, out := 0, ""
	for _, why := range slices.Sorted(maps.Keys(n.failed)) {
		total += n.failed[why]
		out += fmt.Sprintf("\n    %d: %s", n.failed[why], why)
	}
	return fmt.Sprintf("gap %s, slowest write %s, %d of %d writes failed%s", sample.Ms(n.gap), sample.Ms(n.slowest), total, n.writes, out)
}

// during does something to a cluster that is written to, and returns what the
// writers noticed of it, until a second's worth of writes after it.
func during(ctx context.Context, client *clientv3.Client, do func() error) (notice, error) {
	p := startPulse(ctx, client)
	err := p.await(ctx, second/2) // connected with all members
	begun := time.Now()
	if err == nil {
		err = do()
	}
	if err == nil {
		err = p.await(ctx, second)
	}
	ended := time.Now()
	writes := p.end()
	if err != nil {
		return notice{}, err
	}
	return noticed(writes, begun, ended), nil
}

// noticed looks at the writes of some time: those that were under way in it. The gap
// is that between two acknowledgements, of which the second, the first or both are in
// that time.
func noticed(writes []write, begun, ended time.Time) notice {
	n := notice{failed: map[string]int{}}
	var acks []time.Time
	for _, w := range writes {
		if w.err == nil {
			acks = append(acks, w.ended)
		}
		if w.ended.Before(begun) || w.sent.After(ended) {
			continue
		}
		n.writes++
		n.slowest = max(n.slowest, w.ended.Sub(w.sent))
		if w.err != nil {
			n.failed[w.err.Error()]++
		}
	}
	slices.SortFunc(acks, time.Time.Compare)
	for i := 1; i < len(acks); i++ {
		if acks[i].After(begun) && acks[i-1].Before(ended) {
			n.gap = max(n.gap, acks[i].Sub(acks[i-1]))
		}
	}
	return n
}
