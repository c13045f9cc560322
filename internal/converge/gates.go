package converge

import (
	"fmt"
	"strings"

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

// waiting is what holds up a loop after a round: what members wait for at their
// gates, and of all that was waited for, why it is not as it should be.
func waiting(r Round) []string {
	out := together(r.State.Hosts.Or(nil), " waits at its gate: ", " wait at their gates: ",
		func(h cluster.Host) string { return h.Node.Or(cluster.Node{}).Process.Gate })
	for _, s := range r.Plan.Steps {
		switch s := s.(type) {
		case plan.AwaitMembers:
			out = append(out, together(s.Hosts, " is not serving: ", " are not serving: ", silence)...)
		case plan.AwaitRecords:
			for _, server := range r.State.Visibility.Or(cluster.Visibility{}).Behind() {
				out = append(out, fmt.Sprintf("name server %s (%s): %s", strings.TrimSuffix(server.Name, "."), server.Address, server.Behind[0]))
			}
		}
	}
	return out
}

// silence is why a member does not serve; empty if it waits at its gate.
func silence(h cluster.Host) string {
	n, inspected := h.Node.Get()
	v, answered := h.View.Get()
	why := h.View.Why().Text
	switch {
	case n.Process.Gate != "":
		return ""
	case answered && v.Serves():
		return "it does not list all members by name yet"
	case answered:
		why = v.Complaint()
	case !inspected:
		why += "; what is on its host is unknown: " + h.Node.Why().Text
	}
	if n.Process.Exit != "" {
		why += "; it last ended with: " + n.Process.Exit
	}
	return why
}

// together says of hosts what why says of each, once for all of which it says the
// same.
func together(hosts []cluster.Host, one, many string, why func(cluster.Host) string) []string {
	var reasons, out []string
	members := map[string][]cluster.MemberName{}
	for _, h := range hosts {
		if reason := why(h); reason != "" {
			if members[reason] == nil {
				reasons = append(reasons, reason)
			}
			members[reason] = append(members[reason], h.Name)
		}
	}
	for _, reason := range reasons {
		verb := one
		if len(members[reason]) > 1 {
			verb = many
		}
		out = append(out, cluster.JoinMembers(members[reason])+verb+reason)
	}
	return out
}
