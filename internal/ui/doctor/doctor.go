// Package doctor checks what a cluster needs, before it exists or when it is not
// healthy: this machine, the machines of the spec, the zone's name
// servers. May state be kept here, is each disk fast enough for etcd, are ports
// free, are clocks right, does every machine's resolver know the zone, may the
// key change our names and no others. It is behind `pleiad doctor` and
// does not use the loop.
//
// [Examine] is all there is. It changes nothing that lasts: it writes one file
// beside the state and on each machine, which it removes, and asks the name
// server for changes on conditions that never hold. No resolver is asked for a
// name of ours before it exists: it would remember that it does not. Every finding that
// is not fine comes with a remedy.
package doctor

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/onhost/agent"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
	"github.com/pleiad-etcd/pleiad/internal/world"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/statedir"
)

// Subject is what is looked at.
type Subject struct {
	// Root is the folder that holds, or would hold, the state of clusters.
	Root string
	// Unusable is why the state of this cluster cannot be used; nil if it can,
	// or if there is none.
	Unusable *statedir.Error
	// Command writes a command line of pleiad about this cluster.
	Command func(arguments string) string
	Spec    cluster.Spec
	World   world.World
	// Block is where local hosts get their addresses, Server where the
	// embedded name server listens or would; zero where there is none.
	Block  netip.Prefix
	Server netip.AddrPort
	// Resolver is host:port of the name server that members will ask; empty
	// for the system's.
	Resolver string
	// Patience is how long a machine may take until it is known what it is, if that is
	// more than usual.
	Patience time.Duration
	// Here is the resolver of this machine; nil for the system's.
	Here *net.Resolver
	// Probe measures a machine; nil for hosts on this one.
	Probe func(ctx context.Context, addr netip.Addr, q agent.Question) (agent.Machine, error)
	// Grants says what the token for the zone allows; nil where there is a key
	// instead, about which Try asks. FindZone names the zone; nil where the spec does.
	Grants   func(ctx context.Context) (dns.Grants, error)
	FindZone func(ctx context.Context) (string, error)
	// Authoritatives are the zone's name servers, and Try is [dns.Try] with the
	// one that takes updates; nil where pleiad runs the name server itself.
	Authoritatives dns.Authoritatives
	Try            func(ctx context.Context, k cluster.Key) error
}

// Times for all checks together. A machine that is dead is noticed much
// earlier; one that lives may have a slow line, and pleiad is sent to it.
const (
	limitHere      = 20 * time.Second
	limitElsewhere = time.Minute
	// limitFind is how much of that one machine may take until it is known what it
	// is, unless there is more patience. The others wait for that.
	limitFind = 25 * time.Second
)

// patience is how long a machine may take until it is known what it is.
func (s Subject) patience() time.Duration { return max(s.Patience, limitFind) }

// check looks at one thing.
type check func(context.Context, Subject) []render.Finding

// one is a check that finds one thing.
func one(look func(context.Context, Subject) render.Finding) check {
	return func(ctx context.Context, s Subject) []render.Finding { return []render.Finding{look(ctx, s)} }
}

// Examine makes all checks that concern the subject, in a fixed order.
func Examine(ctx context.Context, s Subject) render.Findings {
	limit := limitHere
	if s.Spec.OnMachines() {
		limit = limitElsewhere - limitFind + s.patience()
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	s = located(ctx, s)
	found := []render.Finding{stateDirectory(ctx, s)}
	if !s.Spec.OnMachines() {
		// The disk is measured first and alone: nothing else of ours disturbs it.
		found = append(found, diskSpace(ctx, s), diskLatency(ctx, s))
	}
	checks := concerning(s)
	more := make([][]render.Finding, len(checks))
	var all sync.WaitGroup
	for i, look := range checks {
		all.Go(func() { more[i] = look(ctx, s) })
	}
	all.Wait()
	found = append(found, slices.Concat(more...)...)
	return render.Findings{Worst: worst(found), Findings: found}
}

// concerning are the checks, beside those of the disk, that can be made at once.
func concerning(s Subject) []check {
	checks := []check{one(clock)}
	if !s.Spec.OnMachines() {
		checks = append(checks, one(openFiles), one(addresses))
	}
	switch {
	case s.Spec.ServesZone():
		checks = append(checks, one(embeddedAddress))
	case s.Grants != nil:
		checks = append(checks, one(nameServerAnswers), one(tokenFile), tokenRights, nameServers)
	case s.Spec.ByIAM():
		checks = append(checks, one(nameServerAnswers), iamRights, nameServers)
	default:
		checks = append(checks, one(nameServerAnswers), one(keyFile), rights, nameServers)
	}
	checks = append(checks, ownership)
	if !s.Spec.ServesZone() && s.Spec.OnMachines() {
		checks = append(checks, one(resolverHere))
	}
	// Where members ask the system's resolver, that must not be asked too early.
	if !s.Spec.ServesZone() && !s.Spec.OnMachines() && s.Resolver != "" {
		checks = append(checks, one(resolverAnswers))
	}
	switch {
	case s.Spec.MakesMachines():
		checks = append(checks, instances)
	case s.Spec.OnMachines():
		checks = append(checks, machines) // the last: their findings stand by themselves
	}
	return checks
}

func worst(found []render.Finding) render.Grade {
	out := render.Fine
	for _, f := range found {
		switch {
		case f.Grade == render.Broken:
			return render.Broken
		case f.Grade == render.Warning:
			out = render.Warning
		}
	}
	return out
}
