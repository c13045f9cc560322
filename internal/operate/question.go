package operate

import (
	"context"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
)

// Question is what somebody must agree to before it is done, as data: it can be
// shown, or kept until there is an answer.
type Question struct {
	Target Target
	// State is what was seen: the hosts that there are, and the members that are
	// missing.
	State cluster.State
	// Replaced is the member that somebody wants to be replaced; empty for none.
	Replaced cluster.MemberName
	// Road is what would be done from there.
	Road []plan.Plan
}

// Destroys are the steps that remove what cannot be had back.
func (q Question) Destroys() []plan.Step {
	var out []plan.Step
	for _, p := range q.Road {
		for _, s := range p.Steps {
			if s.Destroys() {
				out = append(out, s)
			}
		}
	}
	return out
}

// Back are the members that would come to run an older program than they do.
func (q Question) Back() []plan.StopMember {
	var out []plan.StopMember
	for _, p := range q.Road {
		for _, s := range p.Steps {
			if stop, ok := s.(plan.StopMember); ok && stop.Back {
				out = append(out, stop)
			}
		}
	}
	return out
}

// Refused is what is needed for the goal and not done, at the end of the road.
func (q Question) Refused() []plan.Refusal { return refused(q.Road) }

func refused(road []plan.Plan) []plan.Refusal {
	var out []plan.Refusal
	for _, p := range road {
		if len(p.Steps) == 0 {
			out = append(out, p.Refusals...)
		}
	}
	return out
}

// consent asks, unless somebody has agreed already.
func (o Operator) consent(ctx context.Context, q Question) error {
	if o.Agreed {
		return nil
	}
	return o.Ask(ctx, q)
}
