package register

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Store is what a client uses. An error means that nothing is known.
type Store interface {
	Read(ctx context.Context, register string) (value string, err error)
	Write(ctx context.Context, register, value string) error
	// Swap returns the value that it found where that is not old.
	Swap(ctx context.Context, register, old, value string) (found string, swapped bool, err error)
}

// Config says how to use the stores.
type Config struct {
	// Seed of what the clients choose.
	Seed uint64
	// Prefix of the names of registers.
	Prefix string
	// Every is the time between two operations of a client.
	Every time.Duration
	// Timeout bounds one operation, after which it is doubtful.
	Timeout time.Duration
	// Uses is after how many operations the next register is used.
	Uses uint64
}

// Load is a client a store, at work.
type Load struct {
	config Config
	stop   context.CancelFunc
	done   sync.WaitGroup
	begun  time.Time
	used   atomic.Uint64 // operations, by all

	mu      sync.Mutex
	history History
	written int   // acknowledged
	last    error // of the latest doubtful operation
}

// Start begins to use the stores, with a client for each.
func Start(c Config, stores ...Store) *Load {
	ctx, stop := context.WithCancel(context.Background())
	l := &Load{config: c, stop: stop, begun: time.Now()}
	for i, s := range stores {
		l.done.Go(func() { l.use(ctx, i, s) })
	}
	return l
}

// Await waits until n more writes are acknowledged.
func (l *Load) Await(ctx context.Context, n int) error {
	written := func() (int, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.written, l.last
	}
	begun, _ := written()
	for {
		now, last := written()
		if now >= begun+n {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("await %d writes: %d are missing; last error: %w", n, begun+n-now, errors.Join(ctx.Err(), last))
		case <-time.After(l.config.Every):
		}
	}
}

// Stop ends the clients, reads each register a last time from a store, which
// must answer, and returns the whole history.
func (l *Load) Stop(ctx context.Context, last Store) (History, error) {
	l.stop()
	l.done.Wait()
	var names []string
	for _, o := range l.history {
		names = append(names, o.Register)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if o := l.carryOut(ctx, -1, last, Call{Kind: Read, Register: name}); o.Unknown {
			return nil, fmt.Errorf("read register %s a last time: %w", name, l.last)
		}
	}
	return l.history, nil
}

func (l *Load) use(ctx context.Context, client int, s Store) {
	chance := rand.New(rand.NewPCG(l.config.Seed, uint64(client)))
	tick := time.NewTicker(l.config.Every)
	defer tick.Stop()
	known := map[string]string{} // what the client last knew of the register
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		name := fmt.Sprintf("%s%06d", l.config.Prefix, l.used.Add(1)/l.config.Uses)
		c := Call{Kind: Kind(chance.IntN(3)), Register: name}
		if c.Kind != Read {
			c.New = fmt.Sprintf("%d.%d", client, n)
		}
		if c.Kind == Swap {
			c.Old = known[name]
		}
		o := l.carryOut(ctx, client, s, c)
		switch {
		case o.Unknown:
		case c.Kind == Write || o.Swapped:
			known = map[string]string{name: c.New}
		default:
			known = map[string]string{name: o.Value}
		}
	}
}

// carryOut calls the store once and notes what it said.
func (l *Load) carryOut(ctx context.Context, client int, s Store, c Call) Operation {
	ctx, cancel := context.WithTimeout(ctx, l.config.Timeout)
	defer cancel()
	o := Operation{Client: client, Call: c, Begun: time.Since(l.begun)}
	var err error
	switch c.Kind {
	case Read:
		o.Value, err = s.Read(ctx, c.Register)
	case Write:
		err = s.Write(ctx, c.Register, c.New)
	case Swap:
		o.Value, o.Swapped, err = s.Swap(ctx, c.Register, c.Old, c.New)
	}
	o.Ended = time.Since(l.begun)
	if err != nil {
		o.Answer = Answer{Unknown: true}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.history = append(l.history, o)
	switch {
	case err != nil:
		l.last = err
	case c.Kind == Write || o.Swapped:
		l.written++
	}
	return o
}
