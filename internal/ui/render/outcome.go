package render

import (
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/converge/verify"
	"github.com/pleiad-etcd/pleiad/internal/operate"
)

// Outcome is how up or destroy ended.
type Outcome struct {
	// Command is "up" or "destroy".
	Command string       `json:"command"`
	Cluster cluster.Name `json:"cluster"`
	Domain  string       `json:"domain"`
	Members int          `json:"members"`
	// Reached says that spec and state agree.
	Reached bool `json:"reached"`
	// Steps counts the steps that succeeded and did more than wait.
	Steps int `json:"steps"`
	// Took is how long it took, in nanoseconds.
	Took        time.Duration       `json:"took"`
	Refusals    []plan.Refusal      `json:"refusals"`
	Differences []verify.Difference `json:"differences"`
	// Left is what destroy could not remove: paths and names.
	Left []string `json:"left,omitempty"`
	// Health is the cluster as a client sees it; absent if that was not asked.
	Health *Health `json:"health,omitempty"`
	// Note is what a person must know beside all that; empty for nothing. The caller
	// tells people.
	Note string `json:"note,omitempty"`
	// Next are commands that a person may want to type now.
	Next []string `json:"next,omitempty"`
}

// Kind implements Value.
func (Outcome) Kind() string { return "outcome" }

func (o Outcome) text(p *paper) {
	Refused(o.Refusals).text(p)
	for _, d := range o.Differences {
		if len(o.Refusals) == 0 { // else they only show what was refused
			p.tinted(yellow, "not as it should be: %s", d)
		}
	}
	for _, l := range o.Left {
		p.tinted(yellow, "left: %s", l)
	}
	if o.Health != nil {
		o.Health.text(p)
	}
	switch {
	case !o.Reached:
		return // the error says it
	case o.Command == "destroy" && len(o.Left) > 0:
		p.tinted(bold, "cluster %s is destroyed, except for what is left (%s, %s)", o.Cluster, count(o.Steps, "step"), span(o.Took))
	case o.Command == "destroy":
		p.tinted(bold, "cluster %s is destroyed: nothing of it is left (%s, %s)", o.Cluster, count(o.Steps, "step"), span(o.Took))
	case o.Steps == 0:
		p.tinted(bold, "cluster %s is as it should be: %s on %s, nothing to do (%s)", o.Cluster, count(o.Members, "member"), o.Domain, span(o.Took))
	default:
		p.tinted(bold, "cluster %s is up: %s on %s (%s, %s)", o.Cluster, count(o.Members, "member"), o.Domain, count(o.Steps, "step"), span(o.Took))
	}
	if len(o.Next) > 0 {
		p.line("next:")
	}
	for _, n := range o.Next {
		p.line("  %s", n)
	}
}

// NewOutcome is the outcome of a command before anything has come of it.
func NewOutcome(command string, spec cluster.Spec) Outcome {
	return Outcome{Command: command, Cluster: spec.Cluster, Domain: spec.Domain, Members: spec.Members,
		Refusals: []plan.Refusal{}, Differences: []verify.Difference{}}
}

// Take adds how the operation ended. command is that of [NewRoad].
func (o *Outcome) Take(r operate.Result, command func(string) string) {
	o.Steps, o.Reached = r.Changes, r.Reached()
	o.Refusals = append(o.Refusals, spelled(r.Refusals, command)...)
	o.Differences = append(o.Differences, r.Differences...)
	o.Health = (*Health)(r.Health)
}
