// Package doctor looks at the machine before a cluster is made on it, or when
// one does not thrive: may state be kept here, is the disk fast enough for
// etcd, are addresses free, is the clock right, does the name server take our
// key. It is behind `pleiad doctor` and stands beside the loop, which it does
// not need.
//
// [Examine] is all there is. It changes nothing that lasts: it writes one file
// beside the state, which it removes, and asks the name server for a change
// that changes nothing. Every finding that is not fine comes with a remedy.
package doctor

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
	"github.com/pleiad-etcd/pleiad/internal/world"
	"github.com/pleiad-etcd/pleiad/internal/world/home"
)

// Subject is what is looked at.
type Subject struct {
	// Root is the folder that holds, or would hold, the state of clusters.
	Root string
	// Unusable is why the state of this cluster cannot be used; nil if it can,
	// or if there is none.
	Unusable *home.Error
	Spec     cluster.Spec
	World    world.World
	// Block is where local hosts get their addresses, Server where the
	// embedded name server listens or would; zero where there is none.
	Block  netip.Prefix
	Server netip.AddrPort
	// Resolver is host:port of the name server that members will ask; empty
	// for the system's.
	Resolver string
}

// limit bounds all checks together.
const limit = 20 * time.Second

// Examine makes all checks that concern the subject, in a fixed order.
func Examine(ctx context.Context, s Subject) render.Findings {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	// The disk is measured first and alone: nothing else of ours disturbs it.
	found := []render.Finding{stateDirectory(ctx, s), diskSpace(ctx, s), diskLatency(ctx, s)}
	checks := []func(context.Context, Subject) render.Finding{clock, openFiles}
	if s.Spec.Hosts.Local != nil {
		checks = append(checks, addresses)
	}
	if s.Spec.DNS.Embedded != nil {
		checks = append(checks, embeddedAddress)
	}
	if s.Spec.DNS.RFC2136 != nil {
		checks = append(checks, nameServerAnswers, keyAccepted, resolverAnswers)
	}
	more := make([]render.Finding, len(checks))
	var all sync.WaitGroup
	for i, check := range checks {
		all.Go(func() { more[i] = check(ctx, s) })
	}
	all.Wait()
	found = append(found, more...)
	return render.Findings{Worst: worst(found), Findings: found}
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
