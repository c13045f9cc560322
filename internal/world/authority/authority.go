// Package authority is the contract of the control side's own store: who this
// control side is to a cluster, and the cluster's CAs, one for peers and one for
// clients, with what they issue. It is a
// contract like hosts, dns, deliver and etcd: observe reads from it, apply acts on
// it. Package statedir keeps it in the state directory; package
// authoritytest holds the suite that it and the simulator pass.
//
// It is the one thing pleiad stores, and it says nothing about the state of a
// cluster: whoever loses it loses the right to change the cluster, not the
// cluster.
package authority

import (
	"context"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// Authority stands for one cluster. Inspect and Issue are safe for concurrent
// use; the others are called by the one command that holds the cluster's lock.
// All return soon after ctx ends.
type Authority interface {
	// Inspect says what is stored. It changes nothing. A cluster of which
	// nothing is stored gives the zero Control and no error; an error means
	// unknown: not even whose it is can be told. Keys that are there and cannot be
	// used are said to be Unusable, beside the owner: a cluster can be destroyed
	// without them, and they are never replaced. Operator is nil if there
	// is no certificate that fits its key and the CA.
	Inspect(ctx context.Context) (cluster.Control, error)

	// Create makes what is missing of the owner and, with tls, of the CAs and
	// the operator's certificate. What is there stays: a CA is never replaced.
	// An owner other than the stored one is an error. If Create ends halfway,
	// however it does, there are either no CAs or both, and calling it again
	// completes it. The owner is stored last, so that a known owner
	// means that all of Create has been done.
	Create(ctx context.Context, owner cluster.Owner, tls bool) error

	// RenewOperator issues the operator's certificate anew. The former one
	// stays valid, and stays in place if there is an error. There must be CAs.
	RenewOperator(ctx context.Context) error

	// Issue makes the keys and certificates of a member afresh, those with its
	// name valid for these host names and IP addresses, and stores none of them.
	// They hold no key of a CA (rule R15). There must be CAs.
	Issue(ctx context.Context, name cluster.MemberName, names []string) (node.Credentials, error)

	// Forget removes the CAs, the operator's certificate and, last, the owner:
	// Inspect then gives the zero Control. Nothing stored is no error. It is
	// the end of a cluster; no member can be given a certificate after it.
	Forget(ctx context.Context) error
}
