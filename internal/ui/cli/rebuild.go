package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/observe"
	"github.com/pleiad-etcd/pleiad/internal/converge/spec"
	"github.com/pleiad-etcd/pleiad/internal/operate"
	"github.com/pleiad-etcd/pleiad/internal/world/statedir"
)

// rebuild makes home.json again where it is lost, and says whether it did. Whose
// the cluster is stands on its marker; that it is this directory's has to be
// proven, for anybody can read a marker.
func (o *takeOverOptions) rebuild(ctx context.Context) (bool, error) {
	t, err := o.remains(ctx)
	if err != nil || t.Home == nil {
		return false, err
	}
	sur, err := o.surroundings(ctx, o.system, t)
	if err != nil {
		return false, err
	}
	owner, err := o.owner(t, observe.Observe(ctx, t.Spec, sur.World, observe.Steady))
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	if err == nil && !o.yes {
		err = consent(ctx, o.system, o.globals, o.command, "it is safe only if no other copy of this state directory is used",
			[]string{"home.json is recreated in " + t.Home.Dir(), "this is safe only if no other copy of this state directory is used"})
	}
	if err == nil {
		err = t.Home.Rebuild(owner, statedir.SeatOf(t.Spec))
	}
	if err != nil {
		return false, err
	}
	_, err = fmt.Fprintf(o.system.Out, "%s acts for cluster %s again; see what to do next: %s\n", t.Home.Dir(), t.Spec.Cluster, o.again("plan"))
	return true, err
}

// remains is what is left of a home, with the spec that is stored or given; its
// home is nil if there is nothing to make again.
func (o *takeOverOptions) remains(ctx context.Context) (t operate.Target, err error) {
	if t.Root, err = statedir.Root(o.stateDir, o.system.Env); err != nil {
		return t, err
	}
	if t.Spec, err = spec.FromFlags(o.flags, o.readOnce(ctx)); err != nil {
		return t, badSpec(o.flags.File, err)
	}
	if err := spec.Resolve(&t.Spec, filepath.Abs); err != nil {
		return t, err
	}
	left, err := statedir.Remains(t.Root, t.Spec.Cluster)
	if err != nil || left == nil {
		return t, err
	}
	if o.flags.File == "" {
		was, err := operate.Stored(left)
		if err != nil || was == nil {
			return t, &failure{act: "recreate home.json of cluster " + string(t.Spec.Cluster) + " again", exit: BadState,
				err:   errors.New("its spec is lost too"),
				hints: []string{"give it again, with the values the cluster had: " + o.again("take-over") + " -f pleiad.yaml", "a file to start from: pleiad init -f pleiad.yaml"}}
		}
		t.Spec = *was
	}
	t.Home = left
	return t, nil
}

// owner is whose the cluster is whose home.json is lost, if it is this state
// directory's: its CAs are those on the marker, or members on this machine lie in
// it. Where nothing is left of a cluster there is nobody to be mistaken for.
func (o *takeOverOptions) owner(t operate.Target, s cluster.State) (cluster.Owner, error) {
	refuse := func(format string, args ...any) error {
		return &failure{act: "recreate home.json of cluster " + string(t.Spec.Cluster) + " again", err: fmt.Errorf(format, args...), exit: Refused,
			hints: []string{"work from the state directory that made the cluster, or restore home.json from a backup"}}
	}
	if !s.Records.Known() {
		return "", refuse("the records of %s could not be read: %s", t.Spec.Domain, s.Records.Why().Text)
	}
	if !s.Hosts.Known() {
		return "", refuse("the list of hosts could not be read: %s", s.Hosts.Why().Text)
	}
	set, marked := s.Records.Or(cluster.Records{}).Get(cluster.Key{Name: t.Spec.MarkerName(), Type: cluster.TXT})
	if !marked {
		return s.Fresh.Owner, nil
	}
	m, err := cluster.ParseMarker(set.Values[0])
	if err != nil || len(set.Values) != 1 || m.Cluster != t.Spec.Cluster {
		return "", refuse("the marker on %s is not one of this cluster", t.Spec.MarkerName())
	}
	ours := func(h cluster.Host) bool { return h.Token == m.Token }
	if !t.Spec.OnMachines() && slices.ContainsFunc(s.Hosts.Or(nil), ours) {
		return m.Owner, nil
	}
	ca, err := t.Home.Fingerprint()
	if err != nil {
		return "", err
	}
	if m.CA == "" || ca != m.CA {
		return "", refuse("nothing here proves that the cluster of owner %s is this directory's: the CA is %q, and its marker names %q", m.Owner, ca, m.CA)
	}
	return m.Owner, nil
}
