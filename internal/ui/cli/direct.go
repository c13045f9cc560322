package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/pleiad-etcd/pleiad/discovery"
	"github.com/pleiad-etcd/pleiad/internal/operate"
	"github.com/pleiad-etcd/pleiad/internal/world/real"
)

// directly adds the flag of commands that reach members without their names.
func directly(cmd *cobra.Command, to *bool) {
	cmd.Flags().BoolVar(to, "direct", false, "reach the members at the addresses of their hosts, without looking up names")
}

// reach finds where the members are: as clients find them, or directly.
func reach(ctx context.Context, t operate.Target, w real.World, direct bool) (discovery.Cluster, error) {
	if !direct {
		return operate.Discover(ctx, t.Spec, w)
	}
	found, err := operate.Locate(ctx, t.Spec, w)
	if err == nil && len(byAddress(found)) == 0 {
		err = errors.New("no address of a member is known")
	}
	return found, err
}

// unfound is the error of members that were not found. directly is the same command
// without names, for when it is those that fail.
func (g *globals) unfound(act string, err error, direct bool, directly string) error {
	hints := []string{g.again("status"), g.again("up")}
	if !direct {
		hints = append(hints, "reach the members without their names: "+g.again(directly))
	}
	return cannot(act, err, hints...)
}
