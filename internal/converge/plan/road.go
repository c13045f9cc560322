package plan

import "github.com/pleiad-etcd/pleiad/internal/cluster"

// limit is far beyond the longest road; reaching it is a defect of a planner.
const limit = 200

// Road is the whole way to the goal as far as it can be predicted: the batches
// in order, and what is refused at its end. Addresses of hosts that do not
// exist yet are made up.
func Road(next Planner, spec cluster.Spec, state cluster.State) []Plan {
	var road []Plan
	for range limit {
		p := next(spec, state)
		if len(p.Steps) == 0 {
			if len(p.Refusals) > 0 {
				road = append(road, p)
			}
			return road
		}
		road = append(road, p)
		for _, s := range p.Steps {
			state = s.Effect(spec, state)
		}
	}
	return road
}
