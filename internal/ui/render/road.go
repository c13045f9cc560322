package render

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/progress"
)

// Road is the whole plan: the batches of steps in order, and what is refused.
type Road struct {
	Cluster cluster.Name `json:"cluster"`
	Domain  string       `json:"domain"`
	Batches []Batch      `json:"batches"`
	// Launches are what the road makes in a cloud; nil if that is nothing.
	Launches *Launches `json:"launches,omitempty"`
	// Refusals are steps that are needed and not taken.
	Refusals []plan.Refusal `json:"refusals"`
	// Brief leaves the reasons out of the text.
	Brief bool `json:"-"`
}

// Batch is steps that are taken one after the other, or Together.
type Batch struct {
	Together bool            `json:"together"`
	Steps    []progress.Step `json:"steps"`
}

// NewRoad makes a Road of what plan.Road returned. command spells the commands
// in remedies; see [plan.Remedy.Spelled].
func NewRoad(spec cluster.Spec, road []plan.Plan, command func(string) string) Road {
	r := Road{Cluster: spec.Cluster, Domain: spec.Domain, Batches: []Batch{}, Launches: newLaunches(spec, road), Refusals: []plan.Refusal{}}
	for _, p := range road {
		if len(p.Steps) == 0 {
			r.Refusals = append(r.Refusals, spelled(p.Refusals, command)...)
			continue
		}
		b := Batch{Together: p.Together}
		for _, s := range p.Steps {
			b.Steps = append(b.Steps, converge.Describe(s))
		}
		r.Batches = append(r.Batches, b)
	}
	return r
}

func spelled(refusals []plan.Refusal, command func(string) string) []plan.Refusal {
	out := make([]plan.Refusal, len(refusals))
	for i, r := range refusals {
		out[i] = r.Spelled(command)
	}
	return out
}

// Steps counts the steps of the road that do more than wait.
func (r Road) Steps() int {
	n := 0
	for _, b := range r.Batches {
		for _, s := range b.Steps {
			if !s.Waits {
				n++
			}
		}
	}
	return n
}

// Kind implements Value.
func (Road) Kind() string { return "plan" }

func (r Road) text(p *paper) {
	switch {
	case r.Steps() == 0 && len(r.Batches) > 0:
		p.tinted(bold, "plan for cluster %s on %s: nothing to do but wait", r.Cluster, r.Domain)
	case r.Steps() > 0:
		p.tinted(bold, "plan for cluster %s on %s: %s", r.Cluster, r.Domain, count(r.Steps(), "step"))
	case len(r.Refusals) > 0:
		p.tinted(bold, "plan for cluster %s on %s: no step can be taken", r.Cluster, r.Domain)
	default:
		p.line("plan for cluster %s on %s: nothing to do", r.Cluster, r.Domain)
	}
	number := 0
	for _, b := range r.Batches {
		for i, s := range gather(b) {
			if i == 0 || !b.Together {
				number++
			}
			p.folded("      ", " %3d. %s", number, s)
			if !r.Brief {
				reason(p, s)
			}
		}
	}
	if slices.ContainsFunc(r.Batches, func(b Batch) bool { return b.Together && len(gather(b)) > 1 }) && !r.Brief {
		p.tinted(faint, "steps with the same number are done together")
	}
	if r.Launches != nil {
		p.folded("  ", "%s", r.Launches.String())
	}
	Refused(r.Refusals).text(p)
}

func reason(p *paper, s progress.Step) {
	why := s.Why
	if len(s.Rules) > 0 {
		why += " (" + strings.Join(s.Rules, ", ") + ")"
	}
	if why != "" {
		p.tinted(faint, "      %s", why)
	}
	if s.Quorum != "" {
		p.tinted(faint, "      quorum: %s", s.Quorum)
	}
}

// gather makes one of all steps of a batch that do the same for the same reason
// to different objects.
func gather(b Batch) []progress.Step {
	var out []progress.Step
	objects := map[string][]string{}
	key := func(s progress.Step) string { return fmt.Sprint(s.Verb, s.Why, s.Rules, s.Quorum) }
	for _, s := range b.Steps {
		k := key(s)
		if objects[k] == nil {
			out = append(out, s)
		}
		objects[k] = append(objects[k], s.Object)
	}
	for i := range out {
		if all := objects[key(out[i])]; b.Together {
			out[i].Object = join(all)
		} else {
			out[i].Object = strings.Join(all, ", then ")
		}
	}
	return out
}

// Refused are refusals as text, each with its rule, the evidence and what a
// person can do.
type Refused []plan.Refusal

func (r Refused) text(p *paper) {
	for _, refusal := range r {
		p.tinted(yellow, "refused: %s", refusal.What)
		p.list("rule", []string{string(refusal.Rule)})
		p.list("evidence", refusal.Evidence)
		p.list("remedy", refusal.Advice())
	}
}
