// Package hosts is the contract of host providers: which machines belong to a
// cluster, one more, one less. The providers stand in folders of their own;
// package hoststest holds the suite that each of them and the simulator pass.
package hosts

import (
	"context"
	"errors"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// Provider gives hosts to one cluster. Methods are safe for concurrent use
// and return as soon as ctx ends.
type Provider interface {
	// List returns all hosts that carry this cluster's claim, sorted by name,
	// with Name, Address, Ports, Token and Paths set, whether or not they can
	// be reached. A host that may exist but cannot be listed makes List fail:
	// a list is whole or unknown.
	List(ctx context.Context) ([]cluster.Host, error)

	// Launch makes a host of this name exist for this incarnation. It is
	// idempotent by name: after an error of any kind, calling it again never
	// makes a second host. It returns when the host is in List.
	Launch(ctx context.Context, name cluster.MemberName, token cluster.Token) error

	// Terminate removes a host and all that is on it, data included. A host
	// that does not exist is no error. It refuses (ErrBusy) while a member
	// runs on it: stopping is a step of its own.
	Terminate(ctx context.Context, name cluster.MemberName) error
}

// The kinds of error a caller acts on.
var (
	// ErrForeign: the place is taken by something that is not ours (rule R10).
	ErrForeign = errors.New("belongs to somebody else")
	// ErrBusy: a member runs on the host.
	ErrBusy = errors.New("a member is running on it")
)
