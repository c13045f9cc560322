package plan

import (
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// InstallNode makes a host hold a node, with a new certificate if Issue. With Renew
// its member is started by this pleiad from then on, otherwise by the one that it
// has.
type InstallNode struct {
	Reason
	Host         cluster.Host
	Node         node.Node
	Issue, Renew bool
}

func (InstallNode) Verb() string     { return "install node" }
func (s InstallNode) Object() string { return string(s.Host.Name) }

// Members implements Step.
func (s InstallNode) Members() []cluster.MemberName { return []cluster.MemberName{s.Host.Name} }

// Effect implements Step.
func (i InstallNode) Effect(_ cluster.Spec, s cluster.State) cluster.State {
	return edit(s, i.Host.Name, func(h *cluster.Host) {
		h.Node.Edit(func(n *cluster.Node) {
			before := n.Next
			n.Installed, n.Sealed, n.Made, n.Drift = i.Node.Digest(), i.Node.Sealed, i.Node.Made(), nil
			n.Next.Flags = i.Node.Flags()
			if i.Renew || before.Program.Build == "" {
				n.Next.Program = i.Node.Runs(n.Offered)
			}
			if n.Sealed && before.Flags != "" && !before.Same(n.Next) {
				n.Former = &before
			}
			if i.Issue {
				c := issued(s.At)
				n.Certificate, h.Shown = c, cluster.Known(*c)
			}
		})
	})
}

// RevertNode ends the member of a host if it runs, and lets it start with what it was
// started with before that last changed.
type RevertNode struct {
	Reason
	Host cluster.Host
}

func (RevertNode) Verb() string     { return "revert node" }
func (s RevertNode) Object() string { return string(s.Host.Name) }

// Members implements Step.
func (s RevertNode) Members() []cluster.MemberName { return []cluster.MemberName{s.Host.Name} }

// Effect implements Step.
func (r RevertNode) Effect(_ cluster.Spec, s cluster.State) cluster.State {
	return edit(s, r.Host.Name, func(h *cluster.Host) {
		h.Node.Edit(func(n *cluster.Node) {
			if n.Former != nil {
				if n.Former.Flags != n.Next.Flags {
					n.Installed = "a node with other flags"
				}
				n.Next, n.Former = *n.Former, nil
			}
			n.Process = cluster.Process{}
		})
	})
}
