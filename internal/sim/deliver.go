package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/onhost/member"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver"
)

// Deliverer reaches the hosts of one cluster for one controller. It implements
// deliver.Deliverer.
type Deliverer struct {
	c  *Controller
	of cluster.Name
}

func deliverErrs() errs {
	return errs{failed: errors.New("ssh: connection refused"), lost: errors.New("ssh: connection reset by peer")}
}

func nodeName(n cluster.MemberName) string { return "node " + string(n) }

// on runs an effect on a host, if the host can be reached. One that cannot
// either says so or is silent.
func (d Deliverer) on(ctx context.Context, k kind, verb string, h cluster.Host, effect func(*op, *host) error) error {
	return d.c.call(ctx, &op{kind: k, verb: verb, object: nodeName(h.Name), errs: deliverErrs()}, func(o *op) error {
		found := d.c.w.host(d.of, h.Name)
		switch {
		case found != nil && d.c.w.dark[found.Address]:
			return fmt.Errorf("%s %s: no route to host", verb, h.Name)
		case found == nil || found.astray && !found.proven || found.astray && verb != "stop":
			return fmt.Errorf("%s %s: no such host", verb, h.Name)
		case found.Pending != "":
			return fmt.Errorf("%s %s: connection refused", verb, h.Name)
		case found.unreachable && d.c.w.chance.IntN(2) == 0:
			return errParked
		case found.unreachable:
			return fmt.Errorf("%s %s: no route to host", verb, h.Name)
		}
		return effect(o, found)
	})
}

// Inspect implements deliver.Deliverer.
func (d Deliverer) Inspect(ctx context.Context, h cluster.Host) (cluster.Node, error) {
	var out cluster.Node
	err := d.on(ctx, read, "inspect", h, func(_ *op, h *host) error {
		d.c.w.rules.reads(d.c, nodeName(h.Name))
		d.c.inspected[h.Name] = d.c.w.moment()
		out = h.inspect()
		out.Offered = d.c.program
		if d.c.w.local() { // a local member runs as the program that starts it
			for _, s := range []*cluster.Startup{&out.Next, out.Former} {
				if s != nil && s.Flags != "" {
					s.Program = d.c.program
				}
			}
		}
		if !d.c.w.local() {
			out.Clock = d.c.w.clock(h)
		}
		return nil
	})
	return out, err
}

// inspect is what member.Inspect would say.
func (h *host) inspect() cluster.Node {
	out := cluster.Node{Installed: h.digest, Drift: h.drift, Free: h.free, Certificate: h.certificate, Data: h.data(), Process: cluster.Process{Exit: h.exit}}
	if h.node != nil {
		out.Sealed, out.Made = h.node.Sealed, h.node.Made()
		out.Next, out.Failed = h.next(), h.failed
		if h.former != nil {
			out.Former = &cluster.Startup{Flags: h.reverted().Flags(), Program: h.former.program}
		}
	}
	if p := h.process; p != nil {
		out.Process = cluster.Process{Running: true, PID: p.pid, Since: p.since, Flags: p.flags, Program: p.program, Gate: p.gate}
	}
	return out
}

// Install implements deliver.Deliverer.
func (d Deliverer) Install(ctx context.Context, h cluster.Host, n node.Node, creds *node.Credentials, renew bool) error {
	return d.on(ctx, write, "install", h, func(o *op, h *host) error {
		w := d.c.w
		if n.Name != h.Name {
			return fmt.Errorf("install %s: this is the node of %s", h.Name, n.Name)
		}
		if err := member.Contradiction(h.inspect(), n); err != nil && !w.opts.NoIdentity {
			w.count("the host knows better")
			return fmt.Errorf("install %s: %w", h.Name, err)
		}
		w.rules.installs(d.c, h, n)
		if creds != nil {
			if !bytes.Contains(creds.Peer.Key, []byte(secret)) {
				return fmt.Errorf("install %s: this is no key", h.Name)
			}
			c, err := window(creds.Peer.Cert)
			if err != nil {
				return fmt.Errorf("install %s: %w", h.Name, err)
			}
			w.rules.certifies(d.c, h, c)
			h.certificate = c
			if p := h.process; p != nil && p.of != nil {
				w.settle(p.of) // at its next handshake
			}
		}
		program := w.deliver(h, d.c.program, renew)
		h.aside(n, program)
		h.node, h.digest = nil, ""
		if w.befalls(w.rates.Half) {
			w.count("fault: half-done install")
			o.fault = "half done"
			return fmt.Errorf("install %s: no space left on device", h.Name)
		}
		h.node, h.digest, h.program, h.drift = &n, n.Digest(), program, nil
		if n.Sealed && h.known == 0 {
			h.known = w.moment()
		}
		return nil
	})
}

// Start implements deliver.Deliverer.
func (d Deliverer) Start(ctx context.Context, h cluster.Host) error {
	return d.on(ctx, write, "start", h, func(o *op, h *host) error {
		switch {
		case h.process != nil:
			return nil
		case h.occupied != 0 && h.node != nil:
			return fmt.Errorf("start member %s: %s:%d: %w", h.Name, h.Address, h.occupied, deliver.ErrOccupied)
		}
		d.c.w.rules.must("R6", h.Copy == "" || h.copied > d.c.listed, "member %s is started on a copy of its host", h.Name)
		h.enabled = d.c.w.given()
		as := h.program
		if d.c.w.local() {
			as = d.c.program
		}
		d.c.w.start(h, as)
		p := h.process
		if p == nil {
			err := fmt.Errorf("start member %s: %s", h.Name, h.exit)
			if h.node != nil {
				h.noteStart(cluster.Startup{Flags: h.node.Flags(), Program: as}, err)
			}
			return err
		}
		if p.listening || p.gate != "" {
			return nil
		}
		p.starters = append(p.starters, o)
		return errParked
	})
}

// Stop implements deliver.Deliverer.
func (d Deliverer) Stop(ctx context.Context, h cluster.Host, grace time.Duration) error {
	seen := h.Node.Or(cluster.Node{}).Process.PID
	return d.on(ctx, write, "stop", h, func(o *op, h *host) error {
		w, p := d.c.w, h.process
		if p == nil || seen != 0 && p.pid != seen {
			return nil
		}
		w.rules.stops(d.c, h)
		p.stopping = true
		takes := w.between(5*time.Millisecond, max(min(grace, 2*time.Second), 5*time.Millisecond))
		if h.puppet != nil && h.puppet.stubborn {
			takes = grace
		}
		w.after(takes, func() {
			if h.process == p {
				w.end(h, "terminated")
			}
			w.finish(o, nil)
		})
		return errParked
	})
}

// Revert implements deliver.Deliverer.
func (d Deliverer) Revert(ctx context.Context, h cluster.Host) error {
	return d.on(ctx, write, "revert", h, func(_ *op, h *host) error {
		switch {
		case h.former == nil || h.node == nil:
			return fmt.Errorf("revert %s: nothing is kept that it was started with before", h.Name)
		case h.process != nil:
			return fmt.Errorf("revert %s: the member runs", h.Name)
		}
		n := h.reverted()
		h.node, h.digest, h.program, h.former = &n, n.Digest(), h.former.program, nil
		return nil
	})
}

// reverted is a host's node with the flags of the former one.
func (h *host) reverted() node.Node {
	return member.Former{Args: h.former.node.Args, Release: h.former.node.Release}.In(*h.node)
}
