package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/operate"
	"github.com/pleiad-etcd/pleiad/internal/system/shell"
	"github.com/pleiad-etcd/pleiad/internal/world/real"
	"github.com/pleiad-etcd/pleiad/internal/world/statedir"
)

type takeOverOptions struct {
	*globals
	system *System
	yes    bool
}

func newTakeOver(s *System, g *globals, run func(context.Context, *takeOverOptions) error) *cobra.Command {
	o := &takeOverOptions{globals: g, system: s}
	if run == nil {
		run = func(ctx context.Context, o *takeOverOptions) error { return o.run(ctx) }
	}
	cmd := &cobra.Command{
		Use:   "take-over",
		Short: "Make a copied or restored state directory the one that acts for the cluster",
		Long: `take-over makes a state directory that was copied to this place, or restored from
a backup, the one that acts for the cluster. Until then pleiad only reads it.

It refuses while the original is in use, and while members run from it. An
original on this machine becomes the copy. One elsewhere cannot be checked from
here, so take-over asks first.

If home.json is lost or damaged, take-over recreates it. The marker names the
owner of the cluster; the CAs or the members in this directory prove that the
cluster belongs to it.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	cmd.Flags().BoolVar(&o.yes, "yes", false, "do not ask")
	return cmd
}

func (o *takeOverOptions) run(ctx context.Context) error {
	if rebuilt, err := o.rebuild(ctx); rebuilt || err != nil {
		return cannot("take over the cluster", err)
	}
	t, err := o.known(ctx, o.system)
	if err != nil {
		return cannot("take over the cluster", err)
	}
	act := fmt.Sprintf("take over cluster %s", t.Spec.Cluster)
	lock, err := o.operator(o.system, o.known).Lock(ctx, t, t.Home)
	if err != nil {
		return cannot(act, err)
	}
	// While another take-over held the lock, this home may have become the one that
	// acts, or a copy of another.
	if t, err = o.known(ctx, o.system); err == nil {
		err = o.takeOver(ctx, t)
	}
	return cannot(act, errors.Join(err, lock.Release()))
}

func (o *takeOverOptions) takeOver(ctx context.Context, t operate.Target) error {
	sur, err := o.surroundings(ctx, o.system, t)
	if err != nil {
		return err
	}
	if !copies(ctx, t, sur) {
		_, err := fmt.Fprintf(o.system.Out, "%s is not a copy: it acts for cluster %s already\n", t.Home.Dir(), t.Spec.Cluster)
		return err
	}
	original, release, err := o.original(ctx, t)
	if err != nil {
		return err
	}
	defer release()
	if err := living(ctx, sur); err != nil {
		return err
	}
	if !o.yes {
		if err := consent(ctx, o.system, o.globals, o.command, "it is safe only if the original is no longer used", risks(t, original)); err != nil {
			return err
		}
	}
	if sur.TakeOver != nil {
		if err := sur.TakeOver(ctx); err != nil {
			return err
		}
	}
	if t.Home.Copied() != "" { // last: until then it is a copy, and this can be done again
		if err := t.Home.TakeOver(original); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(o.system.Out, "%s acts for cluster %s; see what to do next: %s\n", t.Home.Dir(), t.Spec.Cluster, o.again("plan"))
	return err
}

// copies says whether there is anything to take over: the state directory, or a
// folder in it that was put there by itself.
func copies(ctx context.Context, t operate.Target, sur real.World) bool {
	if t.Home.Copied() != "" || sur.TakeOver == nil {
		return t.Home.Copied() != ""
	}
	list, err := sur.World.Hosts.List(ctx)
	if err != nil || slices.ContainsFunc(list.Hosts, func(h cluster.Host) bool { return h.Copy != "" }) {
		return true
	}
	if sur.World.Server == nil {
		return false
	}
	server, err := sur.World.Server.Status(ctx)
	return err != nil || server.Copy != ""
}

// original is the home that becomes the copy, locked, if there is one; nil
// otherwise.
func (o *takeOverOptions) original(ctx context.Context, t operate.Target) (*statedir.Home, func(), error) {
	there, err := t.Home.Original()
	if err != nil || there == nil {
		return nil, func() {}, err
	}
	if err := withoutMembers(t, there); err != nil {
		return nil, nil, err
	}
	lock, err := o.operator(o.system, o.known).Lock(ctx, t, there)
	if err != nil {
		return nil, nil, err
	}
	// It was opened before the lock was held: another copy may have taken over
	// meanwhile, and then both would act.
	now, err := t.Home.Original()
	if err == nil && (now == nil || now.Dir() != there.Dir() || now.Copied() != there.Copied()) {
		err = &failure{act: fmt.Sprintf("take over cluster %s", t.Spec.Cluster), exit: Refused,
			err:   fmt.Errorf("%s was changed by another take-over in the meantime", there.Dir()),
			hints: []string{"if this state directory is still the one to use: " + o.again("take-over")}}
	}
	if err != nil {
		return nil, nil, errors.Join(err, lock.Release())
	}
	return now, func() { _ = lock.Release() }, nil
}

// withoutMembers refuses to make a copy of the home that acts while it has
// members on this machine: their data is in it, and nowhere else.
func withoutMembers(t operate.Target, there *statedir.Home) error {
	if there.Copied() != "" {
		return nil
	}
	if entries, err := os.ReadDir(filepath.Join(there.Dir(), "hosts")); err == nil && len(entries) > 0 {
		return &failure{act: fmt.Sprintf("take over cluster %s", t.Spec.Cluster), exit: Refused,
			err: fmt.Errorf("its members are in %s, with what they have written since the copy was made", there.Dir()),
			hints: []string{
				"work from there",
				fmt.Sprintf("to move it within a file system, remove the copy, then: mv %s %s", shell.Quote(there.Dir()), shell.Quote(filepath.Dir(t.Home.Dir())+"/")),
			}}
	}
	return nil
}

// living refuses to take over from processes that run.
func living(ctx context.Context, sur real.World) error {
	if sur.Living == nil {
		return nil
	}
	alive, err := sur.Living(ctx)
	if err != nil || len(alive) == 0 {
		return err
	}
	f := &failure{act: "take over the cluster", exit: Refused}
	for _, pid := range slices.Sorted(maps.Keys(alive)) {
		f.err = cmp.Or(f.err, fmt.Errorf("%s still runs from the original folder (process %d), and what it writes is not in the copy", alive[pid], pid))
		f.hints = append(f.hints, fmt.Sprintf("if that folder is gone, stop %s: kill %d", alive[pid], pid))
	}
	return f
}

// risks is what a person must know before a copy takes over.
func risks(t operate.Target, original *statedir.Home) []string {
	var out []string
	if t.Home.Copied() != "" {
		out = append(out, t.Home.Copy())
	}
	switch {
	case !t.Spec.OnMachines():
		out = append(out, "its members' data is that of the copy: what they wrote after it was made is lost, and if they",
			"were running then, they may disagree about what was written")
	case original != nil && original.Copied() == "":
		out = append(out, original.Dir()+" becomes the copy")
	case t.Home.Copied() != "":
		out = append(out, "go on only if the original is never used again: two of them could undo each other's work")
	}
	return out
}
