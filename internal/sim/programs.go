package sim

import (
	"fmt"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// Programs of pleiad: a person takes another one now and then, with which no member
// may come up. On this machine a member runs as the pleiad that starts it; a machine
// keeps the one that was delivered, and the one before.

// programs are those that there are.
type programs struct {
	taken  int             // how many a person has had
	now    cluster.Program // of controllers that begin
	broken map[string]bool // by build: no member comes up with it
}

func (p *programs) take(broken bool) {
	p.taken++
	p.now = cluster.Program{Version: fmt.Sprintf("v0.0.%d", p.taken), Etcd: "3.7.3", Build: fmt.Sprintf("%016x", p.taken)}
	p.broken[p.now.Build] = broken
}

// former is what a member was started with before that was changed.
type former struct {
	node    node.Node
	program cluster.Program
}

// next is what a member starts with, as far as its host says.
func (h *host) next() cluster.Startup {
	if h.node == nil {
		return cluster.Startup{}
	}
	return cluster.Startup{Flags: h.node.Flags(), Program: h.program}
}

// aside keeps what a host's member was started with, as member.Aside does, before it
// is to be started with something else.
func (h *host) aside(n node.Node, p cluster.Program) {
	old := h.node
	if old == nil || !old.Sealed || !n.Sealed || old.Member != n.Member || old.ID != n.ID {
		return
	}
	if h.next().Same(cluster.Startup{Flags: n.Flags(), Program: p}) || h.failed != nil && h.failed.Same(h.next()) && h.process == nil {
		return
	}
	h.former = &former{*old, h.program}
}

// deliver is which program a host's member starts with once a node is delivered.
func (w *World) deliver(h *host, offered cluster.Program, renew bool) cluster.Program {
	switch {
	case w.local():
		return cluster.Program{}
	case renew || h.program.Build == "":
		return offered
	}
	return h.program
}

// noteStart notes how a start ended, with what its member is started with.
func (h *host) noteStart(with cluster.Startup, err error) {
	switch {
	case err != nil:
		h.failed = &cluster.FailedStart{Startup: with, Why: err.Error()}
	case h.failed != nil && h.failed.Same(with):
		h.failed = nil
	}
}

// stumbles: a program with which no member comes up was given to one at a time (rule
// R5). One that had none before is as well off without a member that runs.
func (r *rules) stumbles(h *host) {
	if r.w.local() || h.former == nil {
		return
	}
	for _, other := range r.ours() {
		r.must("R5", other == h || other.former == nil || other.process != nil || !r.w.programs.broken[other.program.Build],
			"%s is down with %s beside %s, and neither comes up with it", other.Name, other.program, h.Name)
	}
}
