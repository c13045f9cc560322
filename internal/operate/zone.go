package operate

import (
	"context"
	"fmt"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
)

// AstrayError is the error of a name server on which the cluster does not stand,
// though it was begun from this home.
type AstrayError struct {
	Spec cluster.Spec
	// Server is the name server that was asked, and Former the one before;
	// Former is empty if that is not known.
	Server, Former string
}

// Error implements error.
func (e *AstrayError) Error() string {
	return fmt.Sprintf("there is no marker on %s", e.Spec.MarkerName())
}

// SameZone refuses a name server on which the cluster does not stand, where it
// is another one than before, or where before is not known; see [plan.Astray].
func (o Operator) SameZone(ctx context.Context, t Target, s cluster.State, destroys bool) error {
	if t.Home == nil || !t.Home.Claimed() || t.Home.Copied() != "" || t.sameServer() {
		return nil
	}
	former := cluster.Unknown[cluster.Records]("not asked for")
	if plan.Astray(t.Spec, s, former, destroys) && t.Stored != nil {
		former = o.former(ctx, t)
	}
	if !plan.Astray(t.Spec, s, former, destroys) {
		return nil
	}
	err := &AstrayError{Spec: t.Spec, Server: t.Spec.Primary()}
	if t.Stored != nil {
		err.Former = t.Stored.Primary()
	}
	return err
}

// former is the marker as the name server of the stored spec shows it.
func (o Operator) former(ctx context.Context, t Target) cluster.Seen[cluster.Records] {
	t.Spec = *t.Stored
	w, err := o.Open(ctx, t)
	if err != nil {
		return cluster.Unknown[cluster.Records](err.Error())
	}
	found, err := w.World.DNS.Read(ctx, []cluster.Key{t.Spec.MarkerKey()})
	if err != nil {
		return cluster.Unknown[cluster.Records](err.Error())
	}
	return cluster.Known(found)
}

// sameServer says that the records are written where they were before.
func (t Target) sameServer() bool { return t.Stored != nil && t.Stored.Primary() == t.Spec.Primary() }
