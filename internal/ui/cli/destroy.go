package cli

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/operate"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
)

type destroyOptions struct {
	*globals
	system   *System
	yes      bool
	keepData bool
}

func newDestroy(s *System, g *globals, run func(context.Context, *destroyOptions) error) *cobra.Command {
	o := &destroyOptions{globals: g, system: s}
	if run == nil {
		run = func(ctx context.Context, o *destroyOptions) error { return o.run(ctx) }
	}
	cmd := &cobra.Command{
		Use:   "destroy",
		Short: "Take down the cluster with all its data, records and keys",
		Long: `destroy removes everything that pleiad made for a cluster: members, hosts with
their data, records, the name server, keys. It lists what it removes and asks
first. Everything else stays and is listed. To finish an interrupted destroy, run
it again. With --keep-data each member's data stays on its host, in
a folder that no cluster uses.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	cmd.Flags().BoolVar(&o.yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&o.keepData, "keep-data", false, "move the members' data aside on their hosts instead of deleting it")
	return cmd
}

func (o *destroyOptions) run(ctx context.Context) error {
	begun := time.Now()
	op := o.operator(o.system, o.known)
	op.Agreed, op.Ask = o.yes, o.ask
	result, err := op.Destroy(ctx, o.keepData)
	t := result.Target
	if t.Home == nil {
		return cannot("destroy the cluster", err)
	}
	act := fmt.Sprintf("destroy cluster %s", t.Spec.Cluster)
	if err != nil {
		return cannot(act, astray(err))
	}
	outcome := render.NewOutcome("destroy", t.Spec)
	outcome.Take(result, o.spelled(t))
	outcome.Took, outcome.Left = time.Since(begun), left(result)
	if err := o.printer(o.system).Show(outcome); err != nil {
		return cannot(act, err)
	}
	if len(outcome.Refusals) > 0 {
		return refusedError(act, outcome.Refusals)
	}
	return nil
}

// left is what is still there after all that is ours is gone.
func left(r operate.Result) []string {
	if !r.Reached() {
		return nil
	}
	var out []string
	for _, h := range r.Missing {
		out = append(out, plan.NotFound(r.Target.Spec, h))
	}
	for _, set := range r.State.Records.Or(cluster.Records{}).Sets {
		out = append(out, "record "+set.String()+", which is not ours")
	}
	for _, name := range r.Files {
		out = append(out, filepath.Join(r.Target.Home.Dir(), name))
	}
	return out
}

// ask says what goes and asks.
func (o *destroyOptions) ask(ctx context.Context, q operate.Question) error {
	spec, state := q.Target.Spec, q.State
	goes := []string{fmt.Sprintf("this destroys cluster %s on %s:", spec.Cluster, spec.Domain)}
	for _, h := range state.Hosts.Or(nil) {
		data := dataOf(spec, h)
		if o.keepData {
			data += ", which is moved aside and kept"
		}
		goes = append(goes, fmt.Sprintf("  host %s at %s with %s", h.Name, h.Address, data))
	}
	for _, h := range state.Missing {
		if p := h.Node.Or(cluster.Node{}).Process; h.Node.Known() && p.Running {
			goes = append(goes, fmt.Sprintf("  member %s, process %d, whose host was removed while it ran", h.Name, p.PID))
			continue
		}
		goes = append(goes, "  left: "+plan.NotFound(spec, h))
	}
	for _, s := range state.Records.Or(cluster.Records{}).Sets {
		goes = append(goes, "  record "+s.String())
	}
	if len(state.Hosts.Or(nil)) == 0 {
		goes = append(goes, "  no hosts")
	}
	for _, refusal := range q.Refused() {
		goes = append(goes, "  but: "+refusal.Spelled(o.spelled(q.Target)).String())
	}
	return consent(ctx, o.system, o.globals, "destroy", destroys, goes)
}

// dataOf says how much data goes with a host: what is on the disk where that
// can be seen, else the size of the database.
func dataOf(spec cluster.Spec, h cluster.Host) string {
	if !spec.OnMachines() {
		if n, err := diskUse(h.Paths.Data); err == nil {
			return render.Size(n) + " of data"
		}
	}
	if v, known := h.View.Get(); known {
		return "a database of " + render.Size(v.DBSize)
	}
	if n, known := h.Node.Get(); known && !n.Data.Present {
		return "no data"
	}
	return "data of unknown size"
}

// diskUse adds up the sizes of all files below a folder.
func diskUse(dir string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().IsRegular() {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}
