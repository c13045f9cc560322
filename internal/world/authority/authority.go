// Package authority is the contract of the one store of pleiad: whose a
// cluster is, and the keys and certificates made for it. Package home keeps it
// in the state directory; the simulator keeps it in memory.
package authority

import (
	"context"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// Authority acts for one cluster. Methods are safe for concurrent use.
type Authority interface {
	// Inspect says what is stored; nothing stored is a zero Control, not an
	// error.
	Inspect(ctx context.Context) (cluster.Control, error)

	// Create stores the owner and, with tls, makes the CA and the operator's
	// certificate. It is idempotent, never replaces an owner or a CA key, and
	// never leaves half of one.
	Create(ctx context.Context, owner cluster.Owner, tls bool) error

	// RenewOperator issues a new certificate to pleiad itself.
	RenewOperator(ctx context.Context) error

	// Issue makes a key and a certificate for a member, valid for the given
	// DNS names and IP addresses. Nothing of it is stored here.
	Issue(ctx context.Context, name cluster.MemberName, names []string) (node.Credentials, error)

	// Forget deletes all that is stored. Nothing stored is no error.
	Forget(ctx context.Context) error
}
