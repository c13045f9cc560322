package observe

import (
	"context"
	"fmt"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world"
)

// visibility compares what every authoritative server of the zone shows with
// what the primary has just shown, once the list is published.
func visibility(ctx context.Context, spec cluster.Spec, w world.World, r cluster.Seen[cluster.Records]) cluster.Seen[cluster.Visibility] {
	none := cluster.Known(cluster.Visibility{})
	records, known := r.Get()
	if w.Authoritatives == nil || !known {
		return none
	}
	if _, published := records.Get(cluster.Key{Name: spec.ServerService(), Type: cluster.SRV}); !published {
		return none
	}
	ctx, cancel := context.WithTimeoutCause(ctx, askZone, fmt.Errorf("no answer within %s", askZone))
	defer cancel()
	v, err := w.Authoritatives.Compare(ctx, keysOf(records), records)
	if err != nil {
		return cluster.Unknown[cluster.Visibility](reason(ctx, err))
	}
	return cluster.Known(v)
}

// keysOf are the keys of the sets that exist.
func keysOf(r cluster.Records) []cluster.Key {
	out := make([]cluster.Key, len(r.Sets))
	for i, s := range r.Sets {
		out[i] = s.Key
	}
	return out
}
