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
// changes nothing. It asks on the condition that a value which nobody has is the
// only one there: first to delete that value, which is no harm if the zone does
// not look at the condition ([ErrUnconditional]), then to put another in its
// place, since BIND looks at the right to add alone for SRV. It is nil if the
// zone looked at the condition, so far as it looks at rights first, as BIND and
// Knot do; else what [Zone.Apply] says, [ErrDenied] above all.
func Try(ctx context.Context, z Zone, k cluster.Key) error {
	values := map[cluster.RecordType][2]string{
		cluster.TXT:  {"pleiad asks whether it may change this", "pleiad asks for nothing more"},
		cluster.SRV:  {"0 0 1 pleiad-asks.invalid.", "0 0 2 pleiad-asks.invalid."},
		cluster.A:    {"192.0.2.1", "192.0.2.2"}, // of no host (RFC 5737, RFC 3849)
		cluster.AAAA: {"2001:db8::1", "2001:db8::2"},
	}[k.Type]
	never, other := cluster.NewRecordSet(k.Name, k.Type, values[0]), cluster.NewRecordSet(k.Name, k.Type, values[1])
	for _, change := range []cluster.Change{{Key: k, Old: &never}, {Key: k, Old: &never, New: &other}} {
		_, err := z.Apply(ctx, []cluster.Change{change})
		if err == nil {
			err = ErrUnconditional
		}
		if !errors.Is(err, ErrConflict) {
			return fmt.Errorf("try to change %s %s: %w", k.Name, k.Type, err)
		}
	}
	return nil
}
