package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/system/resolvconf"
)

// lookup asks the machine's name servers about a zone over one transport, all at once:
// what a resolver finds is the answer of the first in their order that answers. Each has
// the time that resolv.conf gives it; once another has answered, that of one attempt.
// mute are those that were silent for as long.
func (h *Host) lookup(ctx context.Context, conf resolvconf.Conf, transport, zone string) (found cluster.Seen[string], mute []string) {
	limit := conf.Patience()
	asking, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	servers := conf.Servers
	if len(servers) == 0 {
		servers = []string{""} // Go has one of its own
	}
	said, silent := make([]cluster.Seen[string], len(servers)), make([]bool, len(servers))
	var all sync.WaitGroup
	answered, first := make(chan struct{}), new(sync.Once)
	for i, server := range servers {
		all.Go(func() {
			said[i], silent[i] = h.askOne(asking, transport, server, zone, limit)
			if said[i].Known() {
				first.Do(func() { close(answered) })
			}
		})
	}
	enough := time.AfterFunc(conf.Timeout, func() {
		select {
		case <-answered:
			cancel()
		case <-asking.Done():
		}
	})
	all.Wait()
	enough.Stop()
	found = said[0]
	for i, server := range servers {
		if !found.Known() && said[i].Known() {
			found = said[i]
		}
		if silent[i] && ctx.Err() == nil {
			mute = append(mute, server)
		}
	}
	return found, mute
}

// askOne asks one name server; the empty one is that of the system. silent says that
// nothing came.
func (h *Host) askOne(ctx context.Context, transport, server, zone string, limit time.Duration) (found cluster.Seen[string], silent bool) {
	// The net package heeds the end of ctx between two questions alone.
	stops := []func() bool{}
	defer func() {
		for _, stop := range stops {
			stop()
		}
	}()
	r := &net.Resolver{PreferGo: true, Dial: func(_ context.Context, _, address string) (net.Conn, error) {
		if server != "" {
			address = net.JoinHostPort(server, "53")
		}
		c, err := h.Dial(ctx, transport, address)
		if err == nil {
			stops = append(stops, context.AfterFunc(ctx, func() { _ = c.Close() })) // net sets deadlines of its own
		}
		return c, err
	}}
	_, err := r.LookupNS(ctx, zone)
	var dns *net.DNSError
	asDNS := errors.As(err, &dns)
	switch {
	case err == nil:
		return cluster.Known("found"), false
	case asDNS && dns.IsNotFound:
		return cluster.Known("absent"), false
	case ctx.Err() != nil, asDNS && dns.IsTimeout:
		return cluster.Unknown[string](fmt.Sprintf("%s gave no answer within %s", cmp.Or(server, "it"), limit)), true
	}
	return cluster.Unknown[string](err.Error()), false
}
