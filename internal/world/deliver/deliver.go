// Package deliver is the contract of delivery: how a rendered node gets onto a
// host, how its member is started and stopped, and what is found there. The
// providers are in folders of their own; package delivertest holds the suite
// that each of them and the simulator pass.
package deliver

import (
	"context"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/onhost/member"
)

// Deliverer acts on hosts that a hosts.Provider listed. Methods are safe for
// concurrent use on different hosts and return as soon as ctx ends.
type Deliverer interface {
	Inspector
	Installer
	Runner
}

// Inspector says what is on a host.
type Inspector interface {
	// Inspect reads what is on a host, and which program would be delivered to it.
	// It changes nothing and never waits for the member.
	Inspect(ctx context.Context, h cluster.Host) (cluster.Node, error)
}

// Installer gets a node onto a host.
type Installer interface {
	// Install makes the host hold exactly this node: it compares before it
	// writes, replaces each file atomically, and writes member.json last, so
	// that a half-delivered node is seen as not delivered. Keys and
	// certificates are written only if creds is not nil. It neither starts nor
	// stops the member and never touches the data directory. Before it changes
	// anything it checks that what is on the host does not contradict the node,
	// and otherwise returns ErrContradicted.
	//
	// With renew, the member is started by this very pleiad from its next start on;
	// without, by the one that its host has, if that works.
	Install(ctx context.Context, h cluster.Host, n node.Node, creds *node.Credentials, renew bool) error

	// Revert lets a member that does not run start with the flags and the program that
	// it had before Install last changed one of them: those of Node.Former. It is an
	// error if there are none, or if it runs; a process that has not come as far as to
	// say who it is, is ended. All else stays.
	Revert(ctx context.Context, h cluster.Host) error
}

// Runner starts and stops the member of a host.
type Runner interface {
	// Start starts the member's process unless it runs. It returns nil as soon
	// as the member serves its peers, or once the start gate waits for
	// something (Inspect then says for what); it returns an error that says
	// why if the process ended or could not be started. It never waits for
	// quorum: the next member must be started first. Inspect shows a start that came
	// to nothing as Node.Failed, until one with the same program and flags does not.
	Start(ctx context.Context, h cluster.Host) error

	// Stop ends the member's process and returns when it is gone: first
	// politely, then, after grace, by force. It is not an error if the member
	// does not run. Where h.Node says which process was seen, only that one is
	// ended: a request that was delayed must not hit what was started since. The
	// data stays.
	Stop(ctx context.Context, h cluster.Host, grace time.Duration) error
}

// The kinds of error a caller acts on.
var (
	// ErrOccupied: something else listens on the member's address.
	ErrOccupied = fault.WithRemedy(fault.New(fault.Occupied, "address already in use"), "see who listens there, with: ss -lntup")
	// ErrContradicted: the host knows better than whoever made the node. It
	// holds the data of another member, or a node of another incarnation, of
	// a sealed cluster, or of a newer marker.
	ErrContradicted = member.ErrContradicted
	// ErrUnsupported: the host cannot run what would be delivered. A person
	// must act.
	ErrUnsupported = fault.New(fault.Unsupported, "not supported")
)
