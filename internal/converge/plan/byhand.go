package plan

import (
	"fmt"
	"path"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/system/shell"
)

// ownerless refuses to act on hosts that no marker and nothing here says to be
// ours: a claim names a cluster, not its owner (rule R10). Neither up nor destroy
// can take them, so that the way out is to have the right state directory, or to
// do by hand what destroy would do; nil if this control side is an owner.
func (s situation) ownerless(rule Rule, what string) *Refusal {
	if s.control.Owner != "" || len(s.hosts) == 0 {
		return nil
	}
	r := &Refusal{Rule: rule, What: what, Remedy: remedies(OwnersDirectory),
		Evidence: []string{fmt.Sprintf("there is no marker on %s that says whose these hosts are, and this state directory is %s", s.spec.MarkerName(), ownerName(""))}}
	for _, h := range s.hosts {
		r.Evidence = append(r.Evidence, fmt.Sprintf("host %s at %s %s", h.Name, h.Address, life(h)))
	}
	by := append([]string{"if that directory is lost for good and nobody needs the data, remove the cluster by hand:"}, s.removeHosts()...)
	for _, set := range s.records.Sets {
		by = append(by, fmt.Sprintf("in DNS, unless others need it: delete %s %s", set.Name, set.Type))
	}
	r.Remedy = append(append(r.Remedy, RemoveByHand.lines(by...)...), RemoveByHand.form("then, for a new cluster: {up}"))
	return r
}

// removeHosts is how a person removes the hosts, a line each.
func (s situation) removeHosts() []string {
	var out []string
	for _, h := range s.hosts {
		if s.spec.OnMachines() {
			out = append(out, fmt.Sprintf("on %s, as root: %s", h.Address, node.RemoveByHand))
			continue
		}
		command := "rm -rf -- " + shell.Quote(path.Dir(h.Paths.Config))
		if pid := h.Node.Or(cluster.Node{}).Process.PID; pid > 0 {
			command = fmt.Sprintf("kill -9 %d; %s", pid, command)
		}
		out = append(out, fmt.Sprintf("here, host %s: %s", h.Name, command))
	}
	return out
}
