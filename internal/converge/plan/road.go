package plan

import (
	"fmt"
	"slices"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// limit is far beyond the longest road; reaching it is a defect of a planner.
const limit = 200

// Road is the whole way to the goal as far as it can be predicted: the batches
// in order, and what is refused at its end. Addresses of hosts that do not
// exist yet are made up. An error says where the prediction goes in a circle, which is
// a defect: the effect of a step is not what the step is for. What is returned with it
// ends before that.
func Road(next Planner, spec cluster.Spec, state cluster.State) ([]Plan, error) {
	var road []Plan
	var before []string
	for range limit {
		p := next(spec, state)
		if len(p.Steps) == 0 {
			if len(p.Refusals) > 0 {
				road = append(road, p)
			}
			return road, nil
		}
		now := causes(p)
		if i := slices.IndexFunc(now, func(s string) bool { return slices.Contains(before, s) }); i >= 0 {
			return road, fmt.Errorf("predict what follows: %s again and again; this is a fault of pleiad, which does no harm: up looks again before each step", now[i])
		}
		before, road = now, append(road, p)
		for _, s := range p.Steps {
			state = s.Effect(spec, state)
		}
	}
	return road, fmt.Errorf("predict what follows: more than %d batches of steps; this is a fault of pleiad, which does no harm: up looks again before each step", limit)
}

// causes are the steps of a batch with their reasons. The same one twice in a row
// changed nothing. Different records may be changed for the same reason.
func causes(p Plan) []string {
	var out []string
	for _, s := range p.Steps {
		text := String(s) + ", because " + s.Because().Why
		if c, changes := s.(ChangeRecords); changes {
			text += fmt.Sprintf(": %v", c.Changes)
		}
		out = append(out, text)
	}
	return out
}
