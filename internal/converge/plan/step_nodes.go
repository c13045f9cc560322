package plan

import (
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// InstallNode makes a host hold a node, with a new certificate if Issue.
type InstallNode struct {
	Reason
	Host  cluster.Host
	Node  node.Node
	Issue bool
}

func (InstallNode) Verb() string     { return "install node" }
func (s InstallNode) Object() string { return string(s.Host.Name) }

// Members implements Step.
func (s InstallNode) Members() []cluster.MemberName { return []cluster.MemberName{s.Host.Name} }

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
