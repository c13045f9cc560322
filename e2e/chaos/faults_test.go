package chaos

import (
	"context"
	"errors"
	"fmt"

	wire "github.com/miekg/dns"

	"github.com/pleiad-etcd/pleiad/e2e/chaos/schedule"
	"github.com/pleiad-etcd/pleiad/e2e/liar"
	"github.com/pleiad-etcd/pleiad/e2e/site"
	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// act is something that is done, to the world or to a host.
type act = func(context.Context) error

// begin brings a fault about and returns how it ends.
func (w *world) begin(ctx context.Context, f schedule.Fault, who standing) (end act, err error) {
	h, other := who.machines[f.Who], who.machines[f.Other]
	switch f.Kind {
	case schedule.Kill:
		return none, enter(ctx, h, "systemctl kill -s KILL "+node.UnitName)
	case schedule.Wipe:
		// The folder goes before the process: no start may come between.
		data := node.MachinePaths().Data
		return none, enter(ctx, h, "mv "+data+" /var/lib/wiped && systemctl kill -s KILL "+node.UnitName+"; rm -rf /var/lib/wiped")
	case schedule.Pause:
		return h.Resume, h.Pause(ctx)
	case schedule.PowerCut:
		return h.Start, h.Kill(ctx)
	case schedule.Blackout:
		return w.each((*bed.Host).Start), w.each((*bed.Host).Kill)(ctx)
	case schedule.FullDisk:
		return h.Free, h.Fill(ctx)
	case schedule.CutOne:
		return w.Heal, h.Partition(ctx)
	case schedule.Unplug:
		return w.Heal, h.PullCable(ctx)
	case schedule.CutPair:
		return w.Heal, h.Partition(ctx, other)
	case schedule.NoDNS:
		w.Server.Kill()
		return w.restoreDNS, w.Silence(ctx)
	}
	return w.repent, w.lie(ctx, f, who)
}

func none(context.Context) error { return nil }

// enter runs a command for its effect on what is there: if the member has just
// left the machine, there is none.
func enter(ctx context.Context, h *bed.Host, command string) error {
	_, err := h.Enter(ctx, command+" || true")
	return err
}

// each does the same to all hosts at once.
func (w *world) each(do func(*bed.Host, context.Context) error) act {
	return func(ctx context.Context) error {
		errs := make(chan error, len(w.Hosts))
		for _, h := range w.Hosts {
			go func() { errs <- do(h, ctx) }()
		}
		var all error
		for range w.Hosts {
			all = errors.Join(all, <-errs)
		}
		return all
	}
}

func (w *world) restoreDNS(ctx context.Context) error {
	return errors.Join(w.Server.Start(ctx), w.forget(ctx))
}

// forget empties the caches between the hosts and the liar.
func (w *world) forget(ctx context.Context) error { return w.Forward(ctx, site.Zone+".", w.liarAt) }

func (w *world) repent(ctx context.Context) error {
	w.liar.Repent()
	return w.forget(ctx)
}

// lie has the hosts and clients see something else than the name server has.
func (w *world) lie(ctx context.Context, f schedule.Fault, who standing) error {
	lists := []string{"_etcd-server-ssl._tcp." + domain, "_etcd-client-ssl._tcp." + domain}
	var told error
	for _, name := range lists {
		switch f.Kind {
		case schedule.PartialDNS:
			w.liar.Tell(name, wire.TypeSRV, liar.Partial(1))
		case schedule.DeniedDNS:
			w.liar.Tell(name, wire.TypeSRV, liar.NoSuchName)
		case schedule.StaleDNS:
			told = errors.Join(told, w.liar.Freeze(ctx, name, wire.TypeSRV))
		}
	}
	if f.Kind == schedule.FalseDNS {
		name := fmt.Sprintf("%s.%s", who.names[f.Who], domain)
		w.liar.Tell(name, wire.TypeA, liar.Elsewhere(name, who.machines[f.Other].Addr))
	}
	return errors.Join(told, w.forget(ctx))
}
