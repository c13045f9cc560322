package converge

import (
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/progress"
)

// tellGates reports what start gates wait for, each once.
func (l *Loop) tellGates(s cluster.State) {
	told := l.memory.told
	for _, h := range s.Hosts.Or(nil) {
		if gate := h.Node.Or(cluster.Node{}).Process.Gate; gate != "" && !told[string(h.Name)+gate] {
			told[string(h.Name)+gate] = true
			l.tell(progress.Event{Kind: progress.Waiting, Detail: "waits at its gate: " + gate,
				Step: &progress.Step{Verb: plan.StartMember{}.Verb(), Object: string(h.Name), Members: []string{string(h.Name)}}})
		}
	}
}

// gates are what members wait for at their gates. It is often the same for all.
func gates(s cluster.State) []string {
	var reasons, out []string
	waiting := map[string][]cluster.MemberName{}
	for _, h := range s.Hosts.Or(nil) {
		if gate := h.Node.Or(cluster.Node{}).Process.Gate; gate != "" {
			if waiting[gate] == nil {
				reasons = append(reasons, gate)
			}
			waiting[gate] = append(waiting[gate], h.Name)
		}
	}
	for _, gate := range reasons {
		wait := " waits at its gate: "
		if len(waiting[gate]) > 1 {
			wait = " wait at their gates: "
		}
		out = append(out, cluster.JoinMembers(waiting[gate])+wait+gate)
	}
	return out
}
