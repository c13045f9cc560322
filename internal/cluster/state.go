package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// State is what is, as last observed. Times and random names are part of it,
// so that planning needs neither a clock nor chance.
type State struct {
	// At is when the state was observed.
	At time.Time
	// Fresh holds random names that nobody has used yet.
	Fresh Fresh
	// Control is what the control side stores. While it is unknown nothing is ours.
	Control Seen[Control]
	// Server is pleiad's own name server, where that is the DNS provider.
	Server Seen[NameServer]
	// Records are the record sets on our names.
	Records Seen[Records]
	// Visibility is how far the records have come; without servers where the
	// primary is the only one, or nothing was published yet.
	Visibility Seen[Visibility]
	// Hosts are the hosts of this cluster, sorted by name.
	Hosts Seen[[]Host]
	// Places are the machines given to the cluster that are no hosts of it, as
	// far as can be seen, sorted by address; none where hosts are made at will.
	Places []Place
	// Missing are the members on the marker that were given a host and of which
	// no host was found, each where the records say it was. View is what answers
	// there. That a host was not found does not say that its member ended: Node is
	// known where a process was found that is proven to be that member's. Members
	// of which only that is left are here too.
	Missing []Host
	// Untraced is why it could not be found out what runs of hosts that were
	// removed, where that was asked: that none is in Missing says nothing then.
	Untraced string
	// GivenUp are the members that were to join, one after the other, and left
	// again instead, since somebody began to observe; empty once another has joined.
	GivenUp []GivenUp
}

// GivenUp is a member that was to join a cluster and left again, and why.
type GivenUp struct {
	Member MemberName
	Why    string
}

// Place is a machine that was given to a cluster, such as an address in the
// spec, and is no host of it as far as can be seen. With Taken and Unknown
// empty it is free.
type Place struct {
	// Address is where it is; the zero value where only its name is known.
	Address netip.Addr `json:"address"`
	// Member is whose host it is by its name, where it has one of its own.
	Member MemberName `json:"member,omitempty"`
	// Taken is what somebody else has on it, which is never touched (rule R10).
	Taken string `json:"taken,omitempty"`
	// Unknown is why it could not be inspected. There may be a host of ours
	// on it: unknown is not absent.
	Unknown string `json:"unknown,omitempty"`
	// Remedy is what a person can do, a line each.
	Remedy []string `json:"remedy,omitempty"`
	// Lasting says that looking again will not do.
	Lasting bool `json:"lasting,omitempty"`
}

// Why is the reason that it could not be inspected.
func (p Place) Why() Why { return Why{Text: p.Unknown, Lasting: p.Lasting, Remedy: p.Remedy} }

// Free says that a host can be made on it.
func (p Place) Free() bool { return p.Taken == "" && p.Unknown == "" }

// String is the place as people are told of it.
func (p Place) String() string {
	if p.Address.IsValid() {
		return p.Address.String()
	}
	return "the host of " + string(p.Member)
}

// Unseen are the places that could not be inspected.
func (s State) Unseen() []Place {
	var out []Place
	for _, p := range s.Places {
		if p.Unknown != "" {
			out = append(out, p)
		}
	}
	return out
}

// Fresh is a supply of unused random names; see [State].
type Fresh struct {
	Members []MemberName
	Owner   Owner
	Token   Token
}

// NameLetters are the letters of member names: without vowels, so that no word comes
// out, and without 0, 1 and l, which people misread. 28^7 names make a reuse unheard of.
const NameLetters = "23456789bcdfghjkmnpqrstvwxyz"

// NewMemberName is the member name that seven numbers below the number of NameLetters
// make.
func NewMemberName(random [7]byte) MemberName {
	name := []byte("etcd-")
	for _, b := range random {
		name = append(name, NameLetters[int(b)%len(NameLetters)])
	}
	return MemberName(name)
}

// Made says whether a name is of the form that NewMemberName gives.
func (n MemberName) Made() bool {
	letters, ok := strings.CutPrefix(string(n), "etcd-")
	return ok && len(letters) == len([7]byte{}) && strings.Trim(letters, NameLetters) == ""
}

// Control is what the control side stores about a cluster: who it is and the
// cluster's CA. Nothing of it describes the state of the cluster.
type Control struct {
	// Owner is this control side, empty before the first claim.
	Owner Owner `json:"owner,omitempty"`
	// Copy says that the store is a copy, and of what. Whatever it says was said
	// of another: it is only looked at.
	Copy string `json:"copy,omitempty"`
	// Unusable says why the keys cannot be used, while the owner is known: what
	// needs no key can be done. Remedy is what mends that, if it is known.
	Unusable string `json:"unusable,omitempty"`
	Remedy   string `json:"remedy,omitempty"`
	// CA is the fingerprint of the CA whose key is stored here; empty if none.
	CA string `json:"ca,omitempty"`
	// Operator is the certificate that pleiad itself presents to members.
	Operator *Certificate `json:"operator,omitempty"`
}

// Certificate is what must be known of one: how long it is valid and when it
// is due for renewal.
type Certificate struct {
	NotBefore time.Time `json:"notBefore,omitzero"`
	NotAfter  time.Time `json:"notAfter"`
	RenewAt   time.Time `json:"renewAt"`
}

// And is how long both certificates are valid.
func (c Certificate) And(d Certificate) Certificate {
	if d.NotBefore.After(c.NotBefore) {
		c.NotBefore = d.NotBefore
	}
	if d.NotAfter.Before(c.NotAfter) {
		c.NotAfter = d.NotAfter
	}
	if d.RenewAt.Before(c.RenewAt) {
		c.RenewAt = d.RenewAt
	}
	return c
}

// Due says whether the certificate should be renewed by now. One that is not
// valid yet was issued by a clock that was wrong.
func (c *Certificate) Due(now time.Time) bool {
	return c != nil && (now.Before(c.NotBefore) || !now.Before(c.RenewAt))
}

// Valid says whether the certificate is valid for as long as from now.
func (c *Certificate) Valid(now time.Time, long time.Duration) bool {
	return c != nil && !now.Before(c.NotBefore) && now.Add(long).Before(c.NotAfter)
}

// NameServer is pleiad's own name server as a process.
type NameServer struct {
	// Managed is false where DNS belongs to somebody else.
	Managed bool `json:"managed"`
	Running bool `json:"running"`
	// Copy is why its folder is a copy: what it holds may be of the past, and it
	// is not started.
	Copy string `json:"copy,omitempty"`
	// Address is where it answers, host:port; empty before its first start.
	Address string `json:"address,omitempty"`
	// KeyFile holds the key for updates of its zone; empty before its first start.
	KeyFile string `json:"keyFile,omitempty"`
}

// Host is a machine that can run one member.
type Host struct {
	Name    MemberName `json:"name"`
	Address netip.Addr `json:"address"`
	Ports   Ports      `json:"ports"`
	// Way is how it is reached, where that is not simply its address; see [Host.Reach].
	Way Way `json:"way,omitzero"`
	// Pending is why nothing can be done on the host yet, such as that its machine is
	// being made or was stopped; empty for one that is up. Blank says that nothing
	// has ever been put on it.
	Pending string `json:"pending,omitempty"`
	Blank   bool   `json:"-"`
	// Outdated is what the spec wants of new hosts and this one is not, such as made
	// from another image; empty if there is nothing, or the provider cannot tell.
	// Nothing is done about it unless a person has the member moved to a new host.
	Outdated string `json:"outdated,omitempty"`
	// Token is the incarnation that the host was made for.
	Token Token `json:"token"`
	// Paths are where things lie on the host.
	Paths Paths `json:"paths"`
	// Copy says that the host is a copy of the one that was made; its data may
	// be older than what its member acknowledged (rule R6).
	Copy string `json:"copy,omitempty"`
	// Node is what is on the host.
	Node Seen[Node] `json:"node"`
	// View is what the member on the host says; asked only while it runs.
	View Seen[View] `json:"view"`
	// Skew is how far the host's clock is ahead of this machine's, as far as it
	// can be told; negative if it is behind.
	Skew time.Duration `json:"skew,omitempty"`
	// Heard are the members from which the member gets anything as their peer, asked
	// only before one that does not answer is given up.
	Heard Seen[[]MemberID] `json:"heard,omitzero"`
	// Shown is how long the certificates are valid that the member presents on
	// its ports now. It is looked at only where it matters: while it runs, and a
	// certificate of some member is due for renewal.
	Shown Seen[Certificate] `json:"shown"`
}

// Way is how a controller reaches one host over SSH, which may be another way than
// that of its member's peers and clients. What all hosts of a cluster have in
// common, such as the user who logs in, is in the spec. Equal ways lead to one
// machine.
type Way struct {
	// Address is that of its SSH server.
	Address netip.Addr `json:"address"`
	// Vouched is the name under which this controller itself vouches for the host's
	// SSH key; empty where known_hosts does.
	Vouched string `json:"vouched,omitempty"`
}

// Reach is how the host is reached: at its member's address, unless it says
// otherwise.
func (h Host) Reach() Way {
	if !h.Way.Address.IsValid() {
		return Way{Address: h.Address, Vouched: h.Way.Vouched}
	}
	return h.Way
}

// Runs says whether the host's member was seen to run.
func (h Host) Runs() bool { return h.Node.Or(Node{}).Process.Running }

// Paths are the absolute paths that a node uses on its host.
type Paths struct {
	Config string `json:"config"` // folder of member.json and pki/
	Data   string `json:"data"`   // etcd's --data-dir
	Log    string `json:"log"`    // log file; empty where something else keeps the logs
}

// MarkFile lies beside the data directory, not in it, and says how far the
// member's write-ahead log is known to have gone.
const MarkFile = "mark.json"

// Mark is the path of the mark file.
func (p Paths) Mark() string { return p.besideData(MarkFile) }

// BornFile lies beside a member's data directory, not in it, and says that the
// member has, or may have, data.
const BornFile = "born.json"

// Born is the path of the born file.
func (p Paths) Born() string { return p.besideData(BornFile) }

// FailedFile lies in a member's configuration folder, and says which start came to
// nothing.
const FailedFile = "failed.json"

// Failed is the path of that file.
func (p Paths) Failed() string { return filepath.Join(p.Config, FailedFile) }

func (p Paths) besideData(name string) string { return filepath.Join(filepath.Dir(p.Data), name) }

// Node is what is found on a host: what was installed, what the member left,
// and the process that runs.
type Node struct {
	// Installed is the digest of the node as it was last delivered; empty if
	// nothing was, or only half. It covers all but keys and certificates.
	Installed string `json:"installed,omitempty"`
	// Sealed says that the installed node is of a sealed cluster.
	Sealed bool `json:"sealed,omitempty"`
	// Made is what the installed node was made from; zero if nothing is
	// installed.
	Made Made `json:"made,omitzero"`
	// Drift is what else on the host is no longer as it was delivered: its
	// unit, its pinned peers, its binary.
	Drift []string `json:"drift,omitempty"`
	// Next is what the member starts with, the next time; Former what it started
	// with before that was delivered, nil if nothing is kept to go back to.
	Next   Startup  `json:"next,omitzero"`
	Former *Startup `json:"former,omitempty"`
	// Failed is the last start that came to nothing, nil if there is none.
	Failed *FailedStart `json:"failed,omitempty"`
	// Offered is the program that this pleiad would deliver to the host; zero where
	// that is not known.
	Offered Program `json:"offered,omitzero"`
	// Certificate is how long all of the member's own are valid; nil without TLS
	// or before delivery.
	Certificate *Certificate `json:"certificate,omitempty"`
	// Data is what the data directory holds.
	Data Data `json:"data"`
	// Process is the member's process.
	Process Process `json:"process"`
	// Free is how many bytes are left to the member where its data is; nil where that
	// is not known.
	Free *int64 `json:"free,omitempty"`
	// Clock is the host's clock when it was asked; zero where it is this
	// machine's own.
	Clock time.Time `json:"clock,omitzero"`
}

// TightDisk is how many bytes etcd needs to go on for a while: it writes its log in files
// of 64 MB, each made before the one before is full (server/storage/wal, SegmentSizeBytes).
const TightDisk = 3 * 64_000_000

// Tight says that the disk is known to be almost full.
func (n Node) Tight() bool { return n.Free != nil && *n.Free < TightDisk }

// Program is a pleiad: what it calls itself, the etcd in it, and which build it is.
// Programs are the same if their builds are; a build that could not be told is empty.
type Program struct {
	Version string `json:"version,omitempty"` // such as "v1.2.0", or "(devel)"
	Etcd    string `json:"etcd,omitempty"`    // such as "3.7.3"
	Build   string `json:"build,omitempty"`
}

// Differs says that both programs are known, and are not the same.
func (p Program) Differs(q Program) bool {
	return p.Build != "" && q.Build != "" && p.Build != q.Build
}

// String is the program as people are told of it.
func (p Program) String() string {
	if p == (Program{}) {
		return "an unknown pleiad"
	}
	text := "pleiad"
	if p.Version != "" {
		text += " " + p.Version
	}
	if p.Etcd != "" {
		text += " with etcd " + p.Etcd
	}
	return text + " (" + p.Build[:min(len(p.Build), 7)] + ")"
}

// Startup is what a member starts with: the digest of its flags, and the program.
type Startup struct {
	Flags   string  `json:"flags,omitempty"`
	Program Program `json:"program,omitzero"`
}

// Digest tells starts apart in a few letters.
func (s Startup) Digest() string {
	sum := sha256.Sum256([]byte(s.Flags + " " + s.Program.Build))
	return hex.EncodeToString(sum[:4])
}

// Same says that a start with the one is a start with the other.
func (s Startup) Same(t Startup) bool {
	return s.Flags == t.Flags && s.Program.Build == t.Program.Build
}

// FailedStart is a start after which the member did not run, and why.
type FailedStart struct {
	Startup
	Why string `json:"why"`
}

// Made is what a node was made from, and so what its host knows of the cluster
// whatever the marker says now.
type Made struct {
	Token Token `json:"token"`
	// Member and ID are the member's and the cluster's IDs, computed at
	// bootstrap: those that its data must carry.
	Member MemberID `json:"member"`
	ID     ID       `json:"id"`
	// Members are the members of the cluster, sorted, and At is where each of
	// them takes the connections of its peers.
	Members []MemberName     `json:"members"`
	At      []netip.AddrPort `json:"at,omitempty"`
	// Generation is the marker's at delivery: a marker with a lower one is
	// older than the host.
	Generation uint64 `json:"generation,omitempty"`
	// Joins says that the member was about to join the sealed cluster.
	Joins bool `json:"joins,omitempty"`
}

// Data is what a data directory holds, and what it once held (rule R6).
type Data struct {
	// Present says that there is a write-ahead log.
	Present bool `json:"present"`
	// Born says that this host's member once had data: with Present false the
	// data was lost, and the member must never start again under its ID.
	Born bool `json:"born"`
	// Member and Cluster are the IDs in the write-ahead log.
	Member  MemberID `json:"member,omitempty"`
	Cluster ID       `json:"cluster,omitempty"`
	// Older says that the write-ahead log does not hold all that the member is
	// known to have written to it: a former state was put back, such as that of
	// a snapshot or a backup. It is lost data: what the member acknowledged and
	// voted since is not in it. Reached is how far the member was, Ends where
	// this log ends; both are set only with Older.
	Older   bool  `json:"older,omitempty"`
	Reached Reach `json:"reached,omitzero"`
	Ends    Reach `json:"ends,omitzero"`
}

// Foreign says whether the data is of another member than a node was made for.
func (d Data) Foreign(m Made) bool { return d.Present && (d.Member != m.Member || d.Cluster != m.ID) }

// Reach is how far a member's raft log goes: its term, and the index of its last
// entry.
type Reach struct {
	Term  uint64 `json:"term"`
	Index uint64 `json:"index"`
}

// String is the form in which etcd's own messages speak of it.
func (r Reach) String() string { return fmt.Sprintf("term %d, index %d", r.Term, r.Index) }

// Process is a member's process on its host.
type Process struct {
	Running bool      `json:"running"`
	PID     int       `json:"pid,omitempty"`
	Since   time.Time `json:"since,omitzero"`
	// Flags is the digest of the flags the process was started with, and Program
	// what it runs.
	Flags   string  `json:"flags,omitempty"`
	Program Program `json:"program,omitzero"`
	// Args are those flags, as far as they are known.
	Args []string `json:"args,omitempty"`
	// Restarts is how often the host's init system has started it again since somebody
	// did.
	Restarts int `json:"restarts,omitempty"`
	// Gate is what the start gate still waits for (rule R3), empty once it has
	// passed.
	Gate string `json:"gate,omitempty"`
	// Exit is why it ended or refused to start, if it said so.
	Exit string `json:"exit,omitempty"`
}

// View is what one member says of itself and of its cluster, read without
// quorum except for Linearizable (rule R13).
type View struct {
	ID       MemberID `json:"id"`
	Cluster  ID       `json:"cluster"`
	Leader   MemberID `json:"leader"`
	Term     uint64   `json:"term"`
	Applied  uint64   `json:"applied"`
	Revision int64    `json:"revision"`
	Version  string   `json:"version"`
	DBSize   int64    `json:"dbSize"`
	Learner  bool     `json:"learner"`
	Errors   []string `json:"errors,omitempty"`
	Alarms   []Alarm  `json:"alarms,omitempty"`
	// Members is the member list as this member has applied it; nil from a learner,
	// which tells none.
	Members []Member `json:"members"`
	// Stalled says why a linearizable read through this member failed; empty
	// if it succeeded, and from a learner, which serves none.
	Stalled string `json:"stalled,omitempty"`
}

// Member is an entry of etcd's member list. A member without a name has never
// started.
type Member struct {
	ID         MemberID   `json:"id"`
	Name       MemberName `json:"name"`
	PeerURLs   []string   `json:"peerURLs"`
	ClientURLs []string   `json:"clientURLs"`
	Learner    bool       `json:"learner"`
}

// Alarm is an alarm of etcd, which lasts until somebody ends it.
type Alarm struct {
	// Kind is the name that etcd has for it, such as [NoSpace].
	Kind string `json:"kind"`
	// Member is the member that it is about, zero if etcd cannot tell, and Name what
	// the member list calls it.
	Member MemberID   `json:"member,omitempty"`
	Name   MemberName `json:"name,omitempty"`
}

// The alarms that etcd 3.7 knows (api/etcdserverpb/rpc.proto, AlarmType): a database
// has reached its quota, and the cluster takes no writes but those that make room; or
// the data of a member is not that of the others, and the cluster answers nobody.
const (
	NoSpace = "NOSPACE"
	Corrupt = "CORRUPT"
)

// String is the alarm as people are told of it.
func (a Alarm) String() string {
	switch {
	case a.Member == 0:
		return a.Kind
	case a.Name == "":
		return fmt.Sprintf("%s on member %s", a.Kind, a.Member)
	}
	return fmt.Sprintf("%s on %s", a.Kind, a.Name)
}

// Serves says whether the member does its part in the quorum: it knows a leader,
// serves linearizable reads, and reports no errors, nor that its own data may be
// corrupt. With a database that is full, members vote and can be restarted.
func (v View) Serves() bool {
	return v.Leader != 0 && v.Stalled == "" && len(v.Errors) == 0 && !v.Corrupt()
}

// Corrupt says whether an alarm other than that of a full database is about the
// member, or about nobody knows which.
func (v View) Corrupt() bool {
	return slices.ContainsFunc(v.Alarms, func(a Alarm) bool { return a.Kind != NoSpace && (a.Member == 0 || a.Member == v.ID) })
}

// Healthy says whether clients find nothing wrong with the member: it serves, and
// reports no alarm.
func (v View) Healthy() bool { return v.Serves() && len(v.Alarms) == 0 }

// Complaint says why the member is not healthy.
func (v View) Complaint() string {
	var why []string
	if v.Leader == 0 {
		why = append(why, "knows no leader")
	}
	if v.Stalled != "" {
		why = append(why, "serves no linearizable read: "+v.Stalled)
	}
	for _, e := range v.Errors {
		why = append(why, "reports "+e)
	}
	for _, a := range v.Alarms {
		why = append(why, "reports "+a.String())
	}
	return strings.Join(why, "; ")
}
