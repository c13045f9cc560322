package plan

import (
	"cmp"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// ChangeRecords changes record sets, the marker among them, as one guarded
// change set.
type ChangeRecords struct {
	Reason
	Purpose Purpose
	// Of is the member of a Reserve or Release, and Op what is done to it; otherwise
	// empty.
	Of      cluster.MemberName
	Op      cluster.OperationKind
	Changes []cluster.Change
	// Rests is how long nothing is changed at first, so that caches forget, or what
	// another controller may just have sent arrives. While is a member that must serve
	// after that; nil for none.
	Rests time.Duration
	While *cluster.Host
}

func (s ChangeRecords) Verb() string   { return s.Purpose.verb(s.Op) }
func (s ChangeRecords) Object() string { return cmp.Or(string(s.Of), "of "+s.subject()) }

// Members implements Step.
func (s ChangeRecords) Members() []cluster.MemberName {
	if s.Of == "" {
		return nil
	}
	return []cluster.MemberName{s.Of}
}

// subject is what a change of records is about: the marker's own name less its
// label, for that is what people call the cluster's domain.
func (s ChangeRecords) subject() string {
	for _, c := range s.Changes {
		if c.Type == cluster.TXT {
			_, domain, _ := strings.Cut(strings.TrimSuffix(c.Name, "."), ".")
			return domain
		}
	}
	return "nothing"
}

// Effect implements Step.
func (c ChangeRecords) Effect(_ cluster.Spec, s cluster.State) cluster.State {
	s.Records = cluster.Known(s.Records.Or(cluster.Records{}).With(c.Changes))
	return s
}

// Purpose is what a change of records is for.
type Purpose int

// The purposes.
const (
	// Claim puts the marker where none was, with the names of new members.
	Claim Purpose = iota + 1
	// Publish adds what peers need to find each other.
	Publish
	// Seal ends bootstrapping: clients find the cluster from here on.
	Seal
	// Repair puts records right.
	Repair
	// Reserve puts an operation on the marker, Release takes it off.
	Reserve
	Release
	// MarkDestroying says on the marker that the cluster is being destroyed.
	MarkDestroying
	// Expire takes the addresses of members that left out of DNS.
	Expire
	// Withdraw takes all but the marker off our names, DeleteMarker the rest.
	Withdraw
	DeleteMarker
)

// verb is the verb of the step.
func (p Purpose) verb(op cluster.OperationKind) string {
	switch p {
	case Claim:
		return "claim records"
	case Publish:
		return "publish records"
	case Seal:
		return "seal records"
	case Repair:
		return "repair records"
	case Reserve:
		return "reserve " + string(op)
	case Release:
		return "release " + string(op)
	case Expire:
		return "expire addresses"
	case MarkDestroying:
		return "mark destroying"
	case Withdraw:
		return "withdraw records"
	case DeleteMarker:
		return "delete marker"
	}
	return "change records"
}

// AwaitRecords waits, for a limited time, until every authoritative server
// shows these record sets. Servers that cannot be asked are not waited for.
type AwaitRecords struct {
	Reason
	Domain  string
	Records cluster.Records
}

func (AwaitRecords) Verb() string     { return "await records" }
func (s AwaitRecords) Object() string { return "of " + s.Domain }

// Effect implements Step.
func (AwaitRecords) Effect(_ cluster.Spec, s cluster.State) cluster.State {
	s.Visibility = cluster.Seen[cluster.Visibility]{}
	return s
}
