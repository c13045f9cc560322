package cli

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/observe"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/operate"
)

// elsewhere completes the error of a cluster whose state directory is not here: DNS
// says whether it exists all the same, and whose it is. While that is unknown, nobody is
// told to make one.
func (g *globals) elsewhere(ctx context.Context, s *System, t operate.Target, f *failure) {
	sur, err := g.surroundings(ctx, s, t)
	if err != nil {
		g.unclear(t, f, err.Error())
		return
	}
	state := observe.Observe(ctx, t.Spec, sur.World, observe.Glance)
	records, known := state.Records.Get()
	if !known {
		g.unclear(t, f, state.Records.Why().Text)
		return
	}
	set, marked := records.Get(t.Spec.MarkerKey())
	here := "its state directory is not in " + t.Root
	if hosts := state.Hosts.Or(nil); !marked && len(hosts) > 0 {
		f.err = fmt.Errorf("%s, nor is there a marker on %s; but hosts of it exist", here, t.Spec.MarkerName())
		for _, h := range hosts {
			f.detail = append(f.detail, fmt.Sprintf("host %s at %s", h.Name, h.Address))
		}
		f.hints = []string{"see what can be done: " + g.again("plan")}
	}
	if !marked {
		return
	}
	m, err := cluster.ReadMarker(set)
	switch {
	case err != nil:
		f.err = fmt.Errorf("%s, and what is on %s is not its marker: %w", here, t.Spec.MarkerName(), err)
		f.hints = []string{"see what can be done: " + g.again("plan")}
	case m.Cluster != t.Spec.Cluster:
		f.err = fmt.Errorf("%s, and on %s is cluster %s of owner %s", here, t.Spec.Domain, m.Cluster, m.Owner)
		f.detail = plan.Standing(m, nil)
		f.hints = []string{"see what can be done: " + g.again("plan")}
	default:
		f.err = fmt.Errorf("%s, but the cluster exists: the marker on %s says that it belongs to owner %s", here, t.Spec.Domain, m.Owner)
		f.detail = plan.Standing(m, state.Hosts.Or(nil))
		move := fmt.Sprintf("work where that directory is; to move it here, copy the whole directory to %s, then: %s", filepath.Join(t.Root, string(t.Spec.Cluster)), g.again("take-over"))
		if !t.Spec.OnMachines() {
			move = "name the folder that holds it, from which its members run: --state-dir DIR"
		}
		f.hints = []string{
			move,
			"if it is lost for good, see how the cluster is removed without it: " + g.again("plan --destroy"),
		}
	}
}

// unclear is said where DNS does not tell whether there is a cluster.
func (g *globals) unclear(t operate.Target, f *failure, why string) {
	f.err = fmt.Errorf("its state directory is not in %s, and whether it exists on %s is unknown: %s", t.Root, t.Spec.Domain, why)
	f.hints = []string{"see what does not answer, with: " + g.again("doctor")}
}
