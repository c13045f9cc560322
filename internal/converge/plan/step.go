package plan

import (
	"slices"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
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

// Members and Destroys make a Reason what most steps are: about the cluster as
// a whole, and able to be undone.
func (Reason) Members() []cluster.MemberName { return nil }

// Destroys implements Step.
func (Reason) Destroys() bool { return false }

func names(hosts []cluster.Host) []cluster.MemberName {
	out := make([]cluster.MemberName, len(hosts))
	for i, h := range hosts {
		out[i] = h.Name
	}
	return out
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
