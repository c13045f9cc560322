package plan

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// Step is one safe, idempotent change. It is data: it can be printed, compared,
// predicted, and carried out by package apply.
type Step interface {
	// Verb names the kind of change: "launch host". It is part of the JSON
	// output and never changes.
	Verb() string
	// Object is what is changed: a member, or "of twindb.com".
	Object() string
	// Members are those whose hosts are changed or waited for; none where it is
	// the cluster as a whole.
	Members() []cluster.MemberName
	// Destroys says that it removes what cannot be had back.
	Destroys() bool
	// Because is why, by which rules, with the quorum arithmetic if any.
	Because() Reason
	// Effect is the state after the step, as far as it can be predicted.
	Effect(cluster.Spec, cluster.State) cluster.State
}

// Reason is why a step is taken.
type Reason struct {
	Why    string `json:"why"`
	Rules  []Rule `json:"rules,omitempty"`
	Quorum string `json:"quorum,omitempty"`
}

// Because makes Reason a Step's method by embedding.
func (r Reason) Because() Reason { return r }

// String prints a step without its reason.
func String(s Step) string { return s.Verb() + " " + s.Object() }

// StartNameServer starts pleiad's own name server.
type StartNameServer struct{ Reason }

// CreateAuthority makes this control side: owner, CA, operator certificate.
type CreateAuthority struct {
	Reason
	Owner cluster.Owner
}

// RenewOperator issues a new certificate to pleiad itself.
type RenewOperator struct{ Reason }

// ChangeRecords changes record sets, the marker among them, as one guarded
// change set.
type ChangeRecords struct {
	Reason
	Purpose Purpose
	// Of is the member of a Reserve or Release, otherwise empty.
	Of      cluster.MemberName
	Changes []cluster.Change
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
	// Withdraw takes all but the marker off our names, DeleteMarker the rest.
	Withdraw
	DeleteMarker
)

// verb is the verb of the step.
func (p Purpose) verb() string {
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
		return "reserve restart"
	case Release:
		return "release restart"
	case MarkDestroying:
		return "mark destroying"
	case Withdraw:
		return "withdraw records"
	case DeleteMarker:
		return "delete marker"
	}
	return "change records"
}

// LaunchHost makes a host exist, if the marker is still the one planned with.
type LaunchHost struct {
	Reason
	Member cluster.MemberName
	Token  cluster.Token
	Marker cluster.RecordSet
}

// InstallNode makes a host hold a node, with a new certificate if Issue.
type InstallNode struct {
	Reason
	Host  cluster.Host
	Node  node.Node
	Issue bool
}

// StartMember starts the member of a host. A first start happens only if the
// marker is still the one planned with; Marker nil means a restart, which must
// not depend on DNS (rule R9).
type StartMember struct {
	Reason
	Host   cluster.Host
	Node   node.Node
	Marker *cluster.RecordSet
}

// AwaitMembers waits, for a limited time, until the members serve.
type AwaitMembers struct {
	Reason
	Hosts []cluster.Host
}

// AwaitRecords waits, for a limited time, until every authoritative server
// shows these record sets. Servers that cannot be asked are not waited for.
type AwaitRecords struct {
	Reason
	Domain  string
	Records cluster.Records
}

// StopMember stops the member of a host, if the process is still the one that
// was seen and the marker is still the one planned with; nil means that it does
// not matter.
type StopMember struct {
	Reason
	Host   cluster.Host
	Marker *cluster.RecordSet
	// Grace is how long it may take before it is forced.
	Grace time.Duration
}

// TerminateHost removes a host, if the marker still says so.
type TerminateHost struct {
	Reason
	Host   cluster.Host
	Marker cluster.RecordSet
	// KeepData moves the data aside instead of deleting it.
	KeepData bool
}

// RemoveNameServer stops pleiad's own name server and deletes its zone, if
// there is no marker in it once it has stopped.
type RemoveNameServer struct {
	Reason
	Marker cluster.Key
}

// Forget deletes the CA and all else this control side stores of the cluster,
// if there still is no marker.
type Forget struct {
	Reason
	Marker cluster.Key
}

// The verbs.
func (StartNameServer) Verb() string  { return "start name server" }
func (CreateAuthority) Verb() string  { return "create authority" }
func (RenewOperator) Verb() string    { return "renew certificate" }
func (s ChangeRecords) Verb() string  { return s.Purpose.verb() }
func (LaunchHost) Verb() string       { return "launch host" }
func (InstallNode) Verb() string      { return "install node" }
func (StartMember) Verb() string      { return "start member" }
func (AwaitMembers) Verb() string     { return "await members" }
func (AwaitRecords) Verb() string     { return "await records" }
func (StopMember) Verb() string       { return "stop member" }
func (TerminateHost) Verb() string    { return "terminate host" }
func (RemoveNameServer) Verb() string { return "remove name server" }
func (Forget) Verb() string           { return "forget cluster" }

// The objects.
func (StartNameServer) Object() string  { return "of this cluster" }
func (CreateAuthority) Object() string  { return "of this cluster" }
func (RenewOperator) Object() string    { return "of the operator" }
func (s ChangeRecords) Object() string  { return cmp.Or(string(s.Of), "of "+s.subject()) }
func (s LaunchHost) Object() string     { return string(s.Member) }
func (s InstallNode) Object() string    { return string(s.Host.Name) }
func (s StartMember) Object() string    { return string(s.Host.Name) }
func (s AwaitMembers) Object() string   { return cluster.JoinMembers(names(s.Hosts)) }
func (s AwaitRecords) Object() string   { return "of " + s.Domain }
func (s StopMember) Object() string     { return string(s.Host.Name) }
func (s TerminateHost) Object() string  { return string(s.Host.Name) }
func (RemoveNameServer) Object() string { return "of this cluster" }
func (Forget) Object() string           { return "on this machine" }

// Members and Destroys make a Reason what most steps are: about the cluster as
// a whole, and able to be undone.
func (Reason) Members() []cluster.MemberName { return nil }

// Destroys implements Step.
func (Reason) Destroys() bool { return false }

// Members implements Step.
func (s ChangeRecords) Members() []cluster.MemberName {
	if s.Of == "" {
		return nil
	}
	return []cluster.MemberName{s.Of}
}

// Members implements Step.
func (s LaunchHost) Members() []cluster.MemberName { return []cluster.MemberName{s.Member} }

// Members implements Step.
func (s InstallNode) Members() []cluster.MemberName { return []cluster.MemberName{s.Host.Name} }

// Members implements Step.
func (s StartMember) Members() []cluster.MemberName { return []cluster.MemberName{s.Host.Name} }

// Members implements Step.
func (s AwaitMembers) Members() []cluster.MemberName { return names(s.Hosts) }

// Members implements Step.
func (s StopMember) Members() []cluster.MemberName { return []cluster.MemberName{s.Host.Name} }

// Members implements Step.
func (s TerminateHost) Members() []cluster.MemberName { return []cluster.MemberName{s.Host.Name} }

// Destroys implements Step.
func (s TerminateHost) Destroys() bool { return !s.KeepData }

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

func names(hosts []cluster.Host) []cluster.MemberName {
	out := make([]cluster.MemberName, len(hosts))
	for i, h := range hosts {
		out[i] = h.Name
	}
	return out
}

// Effect implements Step.
func (StartNameServer) Effect(_ cluster.Spec, s cluster.State) cluster.State {
	s.Server.Edit(func(n *cluster.NameServer) { n.Running = true })
	return s
}

// Effect implements Step.
func (c CreateAuthority) Effect(spec cluster.Spec, s cluster.State) cluster.State {
	s.Control.Edit(func(made *cluster.Control) {
		made.Owner = c.Owner
		if spec.TLS {
			made.CA, made.Operator = "new", issued(s.At)
		}
	})
	return s
}

// Effect implements Step.
func (RenewOperator) Effect(_ cluster.Spec, s cluster.State) cluster.State {
	s.Control.Edit(func(c *cluster.Control) { c.Operator = issued(s.At) })
	return s
}

// issued is a certificate as it is issued at a time; see package pki.
func issued(at time.Time) *cluster.Certificate {
	return &cluster.Certificate{NotBefore: at, NotAfter: at.AddDate(1, 0, 0), RenewAt: at.AddDate(0, 8, 0)}
}

// Effect implements Step.
func (c ChangeRecords) Effect(_ cluster.Spec, s cluster.State) cluster.State {
	s.Records = cluster.Known(s.Records.Or(cluster.Records{}).With(c.Changes))
	return s
}

// Effect implements Step. It takes the first free place, as a provider does.
// Where there are none the address is made up, from those for documentation
// (RFC 5737), and so are paths: the real ones are known when the host is.
func (l LaunchHost) Effect(_ cluster.Spec, s cluster.State) cluster.State {
	hosts := slices.Clone(s.Hosts.Or(nil))
	address := netip.AddrFrom4([4]byte{192, 0, 2, byte(len(hosts) + 1)})
	if i := slices.IndexFunc(s.Places, cluster.Place.Free); i >= 0 {
		address = s.Places[i].Address
		s.Places = slices.Delete(slices.Clone(s.Places), i, i+1)
	}
	hosts = append(hosts, cluster.Host{Name: l.Member, Token: l.Token, Ports: cluster.StandardPorts(), Address: address,
		Paths: cluster.Paths{Config: "/" + string(l.Member) + "/config", Data: "/" + string(l.Member) + "/data"},
		Node:  cluster.Known(cluster.Node{}), View: cluster.Unknown[cluster.View]("not running")})
	slices.SortFunc(hosts, func(a, b cluster.Host) int { return strings.Compare(string(a.Name), string(b.Name)) })
	s.Hosts = cluster.Known(hosts)
	return s
}

// Effect implements Step.
func (i InstallNode) Effect(_ cluster.Spec, s cluster.State) cluster.State {
	return edit(s, i.Host.Name, func(h *cluster.Host) {
		h.Node.Edit(func(n *cluster.Node) {
			n.Installed, n.Sealed, n.Made, n.Drift = i.Node.Digest(), i.Node.Sealed, i.Node.Made(), nil
			if i.Issue {
				c := issued(s.At)
				n.Certificate, h.Shown = c, cluster.Known(*c)
			}
		})
	})
}

// Effect implements Step.
func (m StartMember) Effect(_ cluster.Spec, s cluster.State) cluster.State {
	return edit(s, m.Host.Name, func(h *cluster.Host) {
		h.Node.Edit(func(n *cluster.Node) {
			n.Process = cluster.Process{Running: true, Since: s.At, Flags: m.Node.Flags()}
			n.Data = cluster.Data{Present: true, Born: true, Member: m.Node.Member, Cluster: m.Node.ID}
		})
		h.View = cluster.Unknown[cluster.View]("starting")
	})
}

// Effect implements Step.
func (AwaitRecords) Effect(_ cluster.Spec, s cluster.State) cluster.State {
	s.Visibility = cluster.Seen[cluster.Visibility]{}
	return s
}

// Effect implements Step. Members know who they are from their nodes, even where
// the data of one that runs is gone.
func (a AwaitMembers) Effect(spec cluster.Spec, s cluster.State) cluster.State {
	id := func(h cluster.Host) cluster.MemberID {
		return cluster.BootstrapMemberID(spec.PeerURL(h.Name, h.Ports.Peer), h.Token)
	}
	var list []cluster.Member
	for _, h := range s.Hosts.Or(nil) {
		list = append(list, cluster.Member{ID: id(h), Name: h.Name,
			PeerURLs: []string{spec.PeerURL(h.Name, h.Ports.Peer)}, ClientURLs: []string{spec.ClientURL(h.Name, h.Ports.Client)}})
	}
	for _, target := range a.Hosts {
		s = edit(s, target.Name, func(h *cluster.Host) {
			n := h.Node.Or(cluster.Node{})
			of := cmp.Or(n.Data.Cluster, n.Made.ID)
			h.View = cluster.Known(cluster.View{ID: id(*h), Cluster: of, Leader: list[0].ID, Members: list})
		})
	}
	return s
}

// Effect implements Step.
func (m StopMember) Effect(_ cluster.Spec, s cluster.State) cluster.State {
	s.Missing = slices.Clone(s.Missing)
	for i, h := range s.Missing {
		if h.Name == m.Host.Name {
			s.Missing[i].Node = cluster.Unknown[cluster.Node]("its host was not found")
			s.Missing[i].View = cluster.Unknown[cluster.View]("not running")
		}
	}
	return edit(s, m.Host.Name, func(h *cluster.Host) {
		h.Node.Edit(func(n *cluster.Node) { n.Process = cluster.Process{} })
		h.View = cluster.Unknown[cluster.View]("not running")
	})
}

// Effect implements Step.
func (t TerminateHost) Effect(_ cluster.Spec, s cluster.State) cluster.State {
	s.Hosts = cluster.Known(slices.DeleteFunc(slices.Clone(s.Hosts.Or(nil)), func(h cluster.Host) bool { return h.Name == t.Host.Name }))
	return s
}

// Effect implements Step.
func (RemoveNameServer) Effect(_ cluster.Spec, s cluster.State) cluster.State {
	s.Server = cluster.Known(cluster.NameServer{Managed: true})
	return s
}

// Effect implements Step.
func (Forget) Effect(_ cluster.Spec, s cluster.State) cluster.State {
	s.Control = cluster.Known(cluster.Control{})
	return s
}

// edit changes one host in a copy of the state.
func edit(s cluster.State, name cluster.MemberName, change func(*cluster.Host)) cluster.State {
	hosts := slices.Clone(s.Hosts.Or(nil))
	for i := range hosts {
		if hosts[i].Name == name {
			change(&hosts[i])
		}
	}
	s.Hosts = cluster.Known(hosts)
	return s
}
