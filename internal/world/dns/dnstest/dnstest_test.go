package dnstest_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/dnstest"
)

// memory is the contract in its shortest form: a map and a lock.
type memory struct {
	mu      sync.Mutex
	records cluster.Records
	fault   func(ctx context.Context, act func() error) error // nil for none; taken once
	lasting bool
}

func (*memory) Settled(context.Context, dns.Receipt) error { return nil }

func (m *memory) do(ctx context.Context, act func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	fault := m.fault
	if !m.lasting {
		m.fault = nil
	}
	m.mu.Unlock()
	locked := func() error {
		m.mu.Lock()
		defer m.mu.Unlock()
		return act()
	}
	if fault != nil {
		return fault(ctx, locked)
	}
	return locked()
}

func (m *memory) Read(ctx context.Context, keys []cluster.Key) (got cluster.Records, err error) {
	if err := dns.CheckKeys(keys); err != nil {
		return got, err
	}
	err = m.do(ctx, func() error {
		var changes []cluster.Change
		for _, k := range keys {
			if set, ok := m.records.Get(k); ok {
				changes = append(changes, cluster.Change{Key: k, New: &set})
			}
		}
		got = got.With(changes)
		return nil
	})
	return got, err
}

func (m *memory) Apply(ctx context.Context, changes []cluster.Change) (dns.Receipt, error) {
	if err := dns.Check(changes); err != nil {
		return "", err
	}
	return "", m.do(ctx, func() error {
		var real []cluster.Change
		for _, c := range changes {
			set, ok := m.records.Get(c.Key)
			if ok != (c.Old != nil) || ok && !set.Equal(*c.Old) {
				return dns.ErrConflict
			}
			if !dns.Same(c.Old, c.New) {
				real = append(real, c)
			}
		}
		m.records = m.records.With(real)
		return nil
	})
}

// failing is a fault of the next call, or of all calls from now on.
func (m *memory) failing(lasting bool, fault func(context.Context, func() error) error) func() {
	return func() { m.fault, m.lasting = fault, lasting }
}

// The suite runs in virtual time: here each case is in a bubble, where a
// subtest or a wait on anything from outside would not do.
func TestCasesRunInABubble(t *testing.T) {
	open := func() dnstest.Harness {
		m := &memory{}
		return dnstest.Harness{
			Zone: m, Rival: m, Domain: "dev.test",
			Foreign: func(set cluster.RecordSet) {
				set = set.Canonical()
				m.records = m.records.With([]cluster.Change{{Key: set.Key, New: &set}})
			},
			LoseAnswer: m.failing(false, func(_ context.Context, act func() error) error {
				return errors.Join(act(), dns.ErrUnknownOutcome)
			}),
			LoseRequest: m.failing(false, func(context.Context, func() error) error { return dns.ErrUnknownOutcome }),
			Stall: m.failing(true, func(ctx context.Context, _ func() error) error {
				<-ctx.Done()
				return errors.Join(dns.ErrUnknownOutcome, ctx.Err())
			}),
			Down: m.failing(true, func(context.Context, func() error) error { return dns.ErrUnreachable }),
		}
	}
	cases := dnstest.Cases(open())
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { c.Run(t, open()) })
		})
	}
	if bare := len(dnstest.Cases(dnstest.Harness{Zone: &memory{}, Domain: "dev.test"})); bare == 0 || bare >= len(cases) {
		t.Errorf("%d cases without disturbances, %d with all but one", bare, len(cases))
	}
}
