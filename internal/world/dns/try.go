package dns

import (
	"context"
	"errors"
	"fmt"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// ErrUnconditional says that a server takes changes whose conditions do not
// hold.
var ErrUnconditional = errors.New("the name server does not look at the conditions of a change")

// Try asks a zone whether it lets us change a record set, ours or not, and
// changes nothing: it asks to delete a value that nobody has, on the condition
// that it is the only one there. It is nil if the zone looked at the condition,
// so far as it looks at rights first, as BIND and Knot do; [ErrUnconditional]
// if it did not look; else what [Zone.Apply] says, [ErrDenied] above all.
func Try(ctx context.Context, z Zone, k cluster.Key) error {
	value := map[cluster.RecordType]string{
		cluster.TXT: "pleiad asks whether it may change this", cluster.SRV: "0 0 1 pleiad-asks.invalid.",
		cluster.A: "192.0.2.1", cluster.AAAA: "2001:db8::1", // of no host (RFC 5737, RFC 3849)
	}[k.Type]
	never := cluster.NewRecordSet(k.Name, k.Type, value)
	switch _, err := z.Apply(ctx, []cluster.Change{{Key: k, Old: &never}}); {
	case errors.Is(err, ErrConflict):
		return nil
	case err == nil:
		return fmt.Errorf("try to change %s %s: %w", k.Name, k.Type, ErrUnconditional)
	default:
		return fmt.Errorf("try to change %s %s: %w", k.Name, k.Type, err)
	}
}
