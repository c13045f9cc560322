// Package cluster holds the nouns of pleiad and their arithmetic: what is
// wanted ([Spec]), what exists ([State]), and what can be computed from them
// without any I/O: names in DNS, member and cluster IDs, quorum.
//
// Every stage of the loop imports it and it imports nothing of ours. It is
// pure: same input, same output, no I/O, no clock, no randomness.
//
// One distinction runs through all of it: a thing that was looked for and is
// not there is *absent*; a thing that could not be looked for is *unknown*
// ([Seen]). Unknown is never treated as absent.
package cluster

import (
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Name is the name of a cluster, unique within one control side: a DNS label.
type Name string

// MemberName names a host and the one member that ever runs on it. It is a
// host label such as "etcd-k3v9qd2m" and is never reused (rule R6).
type MemberName string

// Owner says which control side a cluster belongs to: random, made once, kept
// in the state directory and repeated on the marker. It is no secret.
type Owner string

// Token is the cluster token of one incarnation: random, unique, part of every
// member ID (etcd's --initial-cluster-token). A restore gets a new one.
type Token string

// MemberID is etcd's 64-bit member ID; ID 0 means none.
type MemberID uint64

// ID is etcd's 64-bit cluster ID; ID 0 means none.
type ID uint64

// String is the form etcd prints: hexadecimal without leading zeros.
func (id MemberID) String() string { return fmt.Sprintf("%x", uint64(id)) }

// String is the form etcd prints: hexadecimal without leading zeros.
func (id ID) String() string { return fmt.Sprintf("%x", uint64(id)) }

// MarshalText writes an ID as etcd prints it, so that JSON keeps every digit.
func (id MemberID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *MemberID) UnmarshalText(b []byte) error {
	n, err := strconv.ParseUint(string(b), 16, 64)
	*id = MemberID(n)
	return err
}

// MarshalText writes an ID as etcd prints it, so that JSON keeps every digit.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *ID) UnmarshalText(b []byte) error {
	n, err := strconv.ParseUint(string(b), 16, 64)
	*id = ID(n)
	return err
}

// BootstrapMemberID is the ID that etcd gives a member of a new cluster:
// SHA-1 over its peer URLs and the cluster token
// (etcd server/etcdserver/api/membership/member.go, computeMemberID).
func BootstrapMemberID(peerURL string, token Token) MemberID {
	sum := sha1.Sum([]byte(peerURL + string(token)))
	return MemberID(binary.BigEndian.Uint64(sum[:8]))
}

// BootstrapID is the cluster ID that etcd computes when it bootstraps with
// exactly these members: SHA-1 over their sorted IDs
// (etcd server/etcdserver/api/membership/cluster.go, genID). It is known
// before any member starts, so that a cluster formed from wrong DNS answers is
// recognized by its ID.
func BootstrapID(members []MemberID) ID {
	sorted := slices.Sorted(slices.Values(members))
	b := make([]byte, 8*len(sorted))
	for i, id := range sorted {
		binary.BigEndian.PutUint64(b[8*i:], uint64(id))
	}
	sum := sha1.Sum(b)
	return ID(binary.BigEndian.Uint64(sum[:8]))
}

// Quorum is how many of n voters must agree: a majority.
func Quorum(n int) int { return n/2 + 1 }

// Tolerance is how many of n voters may fail while a majority remains.
func Tolerance(n int) int {
	if n == 0 {
		return 0
	}
	return n - Quorum(n)
}

// Arithmetic prints the quorum proof that stands beside a step (rule R5):
// what is alive of how many voters, and how many are needed.
func Arithmetic(alive, voters int) string {
	relation := "≥"
	if alive < Quorum(voters) {
		relation = "<"
	}
	return fmt.Sprintf("%d of %d voters alive %s quorum %d", alive, voters, relation, Quorum(voters))
}

// JoinMembers prints member names for people: "a, b and c".
func JoinMembers(names []MemberName) string {
	parts := make([]string, len(names))
	for i, n := range names {
		parts[i] = string(n)
	}
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	return strings.Join(parts[:len(parts)-1], ", ") + " and " + parts[len(parts)-1]
}
