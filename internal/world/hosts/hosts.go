// Package hosts is the contract of host providers: which machines belong to a
// cluster, and how to add or remove one. The providers are in folders of their own;
// package hoststest holds the suite that each of them and the simulator pass.
package hosts

import (
	"context"
	"net/netip"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
)

// MaxClaim bounds what is read of a claim, in bytes; a whole one has some 300.
const MaxClaim = 4 << 10

// Provider gives hosts to one cluster. Methods are safe for concurrent use
// and return as soon as ctx ends.
type Provider interface {
	// List returns all hosts that carry this cluster's claim. A list is complete
	// or unknown: if a host may exist but cannot be seen, List fails, or the one
	// place where it could be is unknown. A place that has not answered by ctx's
	// deadline is unknown too.
	List(ctx context.Context) (Listing, error)

	// At returns what is at addresses where hosts of this cluster are said to be
	// and at which List does not look: a machine that left the spec is the cluster's
	// for as long as it carries the claim. What has not answered is an unknown
	// place, as for List. A provider that finds all its hosts by itself returns
	// nothing.
	At(ctx context.Context, addresses []netip.Addr) (Listing, error)

	// Launch makes a host of this name exist for this incarnation. It is
	// idempotent by name: after an error of any kind, calling it again never
	// makes a second host. It returns when the host is in List. Others are the
	// addresses of other members of the cluster: a place there that cannot be
	// inspected does not hold this host.
	Launch(ctx context.Context, name cluster.MemberName, token cluster.Token, others ...netip.Addr) error

	// Await makes a pending host ready, and returns when something can be done on it:
	// it starts a machine that was stopped, waits until it is up, and makes sure that
	// it is the one that was made. It is idempotent; a host that is not pending is no
	// error. Tell is called with what it waits for, when that changes.
	Await(ctx context.Context, h cluster.Host, tell func(string)) error

	// Terminate removes a host, by its name and its address, and all that is on
	// it; its data is deleted or moved aside, as fate says. It is not an error if
	// the host does not exist. If the provider can see that a member runs on it,
	// it refuses (ErrBusy): stopping is a step of its own. A cloud cannot see
	// that, so the caller checks first; it refuses a host as blank that is not
	// blank any more.
	Terminate(ctx context.Context, h cluster.Host, fate DataFate) error

	// Trace returns what still runs of hosts that were removed by other means
	// than Terminate: Name and Paths as they were, and in Node the process. Each
	// is proven to belong to a host of this provider; what is not proven is left
	// out, so an empty result proves nothing. deliver.Deliverer.Stop ends one.
	Trace(ctx context.Context) ([]cluster.Host, error)
}

// Listing is what a provider sees of the hosts of one cluster.
type Listing struct {
	// Hosts carry the cluster's claim, sorted by name, with Name, Address,
	// Ports, Token and Paths set, and Way, Pending and Blank where they apply.
	Hosts []cluster.Host
	// Places are the machines given to the cluster on which no host of it was
	// seen, sorted by address; and hosts that are there but cannot be read, by
	// the name of their member. Providers that create hosts have only the latter.
	Places []cluster.Place
}

// DataFate is what becomes of the data of a host that is removed.
type DataFate bool

// Data is deleted with its host, or moved to where no cluster looks for it.
const (
	DeleteData DataFate = false
	KeepData   DataFate = true
)

// The kinds of error a caller acts on.
var (
	// ErrForeign: something that is not ours is in the way (rule R10).
	ErrForeign = fault.New(fault.Occupied, "belongs to somebody else")
	// ErrNoPlace: no place that was given to the cluster is free.
	ErrNoPlace = fault.WithRemedy(fault.New(fault.Occupied, "no machine is free"), "give the cluster more machines")
	// ErrBusy: a member runs on the host.
	ErrBusy = fault.New(fault.Conflict, "a member is running on it")
)
