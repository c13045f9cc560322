// Package dns is the contract of DNS providers: read the record sets on our
// names, and change several of them under a guard. Observe reads through it,
// apply writes through it, and [Authoritatives] tells how far a change has
// spread. The providers are in folders of their own (embedded, rfc2136,
// cloudflare, route53); package dnstest holds the suite that each of them and the
// simulator pass.
//
// Words. A *zone* is what a provider serves and may be larger than our
// *domain*. *Our names* are those that [Owns] accepts; nothing else is ever
// read for deletion or written. A *record set* is all records of one name and
// type, in canonical form (cluster.RecordSet; [Check] tells). TTLs are in
// seconds.
//
// Use [Guard] round every provider: it makes touching foreign names
// impossible, whatever the planner says (rule R10).
package dns

import (
	"context"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
)

// Zone is a DNS provider as seen from one cluster. Methods are safe for
// concurrent use and return as soon as ctx ends.
type Zone interface {
	// Read returns those of the named record sets that exist, from where they
	// are written (the primary), never from a cache, all as of one
	// moment. A name that does not exist is not an
	// error; a key that is not canonical ([CheckKeys]) is. If any one key
	// cannot be read, Read returns an error and no records: a snapshot is
	// whole or unknown.
	Read(ctx context.Context, keys []cluster.Key) (cluster.Records, error)

	// Apply makes all changes or none, and only if every record set that a
	// change names is exactly its Old (absent where Old is nil), TTLs aside. A
	// change whose Old equals its New only guards. A set that [Check] faults
	// is refused before anything is sent. After nil all later reads see the
	// changes. After an error of type [ErrUnknownOutcome] the changes may have
	// been made or not; after any other error none was. That the check and the
	// changes are one act is what rule R11 stands on: who cannot do that for the
	// marker, which every change moves, is no provider. One that compares some
	// other sets a moment before says so.
	Apply(ctx context.Context, changes []cluster.Change) (Receipt, error)

	// Settled waits until the provider says that every authoritative server
	// has the change of a receipt, where it can tell; else it returns at once.
	Settled(ctx context.Context, r Receipt) error
}

// Authoritatives are all the servers that answer for a zone, the primary's
// secondaries above all. Methods are safe for concurrent use and return as
// soon as ctx ends.
type Authoritatives interface {
	// Compare asks each of them for the record sets of keys, and says where an
	// answer is not exactly what want, the primary's own snapshot, holds under
	// the key: another set, a set that is missing, or one that want does not
	// have. TTLs do not count. A server that cannot be asked is part of the
	// answer, not an error; an error means that the servers themselves could
	// not be learned, or that ctx has ended, and comes with nothing.
	//
	// It never asks a recursive resolver for a name of ours: an answer "does
	// not exist" would be remembered there for as long as the zone says (RFC
	// 2308), and every member behind that resolver would wait for it to pass.
	Compare(ctx context.Context, keys []cluster.Key, want cluster.Records) (cluster.Visibility, error)
}

// Receipt names an applied change set to its provider: an SOA serial, a change
// ID, or nothing.
type Receipt string

// The kinds of error a caller acts on. Test with errors.Is. A provider that is
// asked for a pause says so with [fault.Limited].
var (
	// ErrConflict: a guard failed, somebody else wrote. Observe again.
	ErrConflict = fault.New(fault.Conflict, "the records are not what was observed")
	// ErrDenied: the credentials do not allow this. A person must act.
	ErrDenied = fault.New(fault.Denied, "the name server refused")
	// ErrUnknownOutcome: sent, but no answer. Observe before anything else
	// (rule R12).
	ErrUnknownOutcome = fault.New(fault.UnknownOutcome, "no answer to a sent change")
	// ErrUnreachable: the name server cannot be asked; no change was sent.
	ErrUnreachable = fault.New(fault.Unreachable, "name server unreachable")
	// ErrDamaged: what is stored of the zone cannot be read. A person must act.
	ErrDamaged = fault.New(fault.Damaged, "the zone is damaged")
	// ErrOccupied: something else listens on the name server's address.
	ErrOccupied = fault.WithRemedy(fault.New(fault.Occupied, "address already in use"), "see who listens there, with: ss -lntup")
)

// Server is the name server's process, where pleiad runs one itself. Methods
// are safe for concurrent use and return as soon as ctx ends; that several
// commands do not start and stop one server at once is the caller's care.
type Server interface {
	// Status says whether the server runs and where. It changes nothing.
	Status(ctx context.Context) (cluster.NameServer, error)

	// Start starts the server unless it runs, and returns when it answers.
	// [ErrOccupied] if something else has its address.
	Start(ctx context.Context) error

	// Stop ends the server and returns when it is gone; the records stay. A
	// server that does not run is no error.
	Stop(ctx context.Context) error

	// Remove deletes all that the server keeps, records included. It refuses
	// while the server runs. What does not exist is no error.
	Remove(ctx context.Context) error
}
