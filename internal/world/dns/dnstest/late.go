package dnstest

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
)

// Late is a client of a zone whose clock is slow, for [Harness.Denied]. Each
// of its calls runs in a bubble that has its own time; the network outside
// keeps the true one.
func Late(t *testing.T, z dns.Zone, by time.Duration) dns.Zone { return late{z, t, by} }

type late struct {
	dns.Zone
	t  *testing.T
	by time.Duration
}

func (l late) Read(ctx context.Context, keys []cluster.Key) (records cluster.Records, err error) {
	l.bubble(func() { records, err = l.Zone.Read(ctx, keys) })
	return records, err
}

func (l late) Apply(ctx context.Context, changes []cluster.Change) (receipt dns.Receipt, err error) {
	l.bubble(func() { receipt, err = l.Zone.Apply(ctx, changes) })
	return receipt, err
}

// bubble calls f when the bubble's clock, which starts in the year 2000 and
// sleeps through any time at once, has come as far as it should.
func (l late) bubble(f func()) {
	then := time.Now().Add(-l.by)
	synctest.Test(l.t, func(*testing.T) {
		time.Sleep(time.Until(then))
		f()
	})
}
