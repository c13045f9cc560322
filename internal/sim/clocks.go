package sim

import (
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// Clocks may be wrong: that of the machine on which controllers run, which is
// the one of local hosts too, and that of each other host. Certificates are
// valid or not by the clock of whoever looks at them, at each handshake.
// Connections that stand are looked at again whenever a clock or a certificate
// changes: the worst that etcd's own reconnecting can make of it.

// now is what the clock of the controllers' machine says.
func (w *World) now() time.Time { return time.Now().Add(w.ahead.get()) }

// offset is how far a clock is ahead. A controller that a timer has woken reads the
// clock without a word to the world, which may have set it just before.
type offset struct{ d atomic.Int64 }

func (o *offset) get() time.Duration  { return time.Duration(o.d.Load()) }
func (o *offset) set(d time.Duration) { o.d.Store(int64(d)) }

// local says whether hosts are on the controllers' machine.
func (w *World) local() bool { return !w.opts.Spec.OnMachines() }

// clock is what a host's clock says.
func (w *World) clock(h *host) time.Time {
	if w.local() {
		return w.now()
	}
	return time.Now().Add(h.ahead)
}

// trusts says whether two members accept each other's certificates.
func (w *World) trusts(a, b *host) bool {
	return !w.opts.Spec.TLS || a.certificate.Valid(w.clock(b), 0) && b.certificate.Valid(w.clock(a), 0)
}

// handshake is how a controller's handshake with a member ends.
func (c *Controller) handshake(h *host) error {
	switch {
	case !c.w.opts.Spec.TLS:
		return nil
	case h.certificate == nil || !h.certificate.Valid(c.w.now(), 0):
		return errors.New("x509: certificate has expired or is not yet valid")
	case !c.store.control.Operator.Valid(c.w.clock(h), 0):
		return errors.New("remote error: tls: expired certificate")
	}
	return nil
}

// wrong is how far a clock is off that is wrong.
func (w *World) wrong() time.Duration {
	off := w.between(2*time.Minute, 400*24*time.Hour)
	if w.chance.IntN(2) == 0 {
		return -off
	}
	return off
}

// misset sets the clock of the controllers' machine wrong for a while.
func (w *World) misset() bool {
	if w.ahead.get() != 0 {
		return false
	}
	w.ahead.set(w.wrong())
	w.log("world", "wrong clock", "controllers", w.ahead.get().String())
	w.tick()
	w.after(w.between(time.Second, 90*time.Second), func() { w.ahead.set(0); w.tick() })
	return true
}

// missetHost does the same to a host with a clock of its own.
func (w *World) missetHost(h *host) {
	h.ahead = w.wrong()
	w.tick()
	w.after(w.between(time.Second, 90*time.Second), func() { h.ahead = 0; w.tick() })
}

// tick lets what follows from the clocks follow.
func (w *World) tick() {
	w.rules.clocked = w.moment()
	for _, h := range w.rules.ours() {
		if p := h.process; p != nil && p.of != nil {
			w.settle(p.of)
		}
	}
}

// change is a certificate that was given to a running member and not yet seen
// in a handshake.
type change struct {
	by string
	at int
}

// certifies: a running member of a sealed cluster gets another certificate only
// while no other one has one that was not proven, and only one that a quorum
// accepts by its own clocks (rule R5). Of hosts that are fewer than a quorum, all
// must accept it: no quorum can be lost, and what is left is renewed all the same.
func (r *rules) certifies(c *Controller, h *host, cert *cluster.Certificate) {
	m, p := r.now(), h.process
	if p != nil && max(p.began, r.sealed) > c.listed {
		return // nobody could know
	}
	if m == nil || m.Phase != cluster.Sealed || p == nil || p.of == nil || h.of != r.w.opts.Spec.Cluster {
		return
	}
	accepted, hosts, strays := 0, r.ours(), r.w.strays()
	for _, other := range strays { // they vote too
		if cert.Valid(r.w.clock(other), 0) {
			accepted++
		}
	}
	// A member whose certificate no other one accepts has nothing to lose. It does not
	// wait for one whose host cannot be inspected, for that may last.
	idle := !slices.ContainsFunc(hosts, func(other *host) bool { return other != h && h.certificate.Valid(r.w.clock(other), 0) })
	for _, other := range hosts {
		if cert.Valid(r.w.clock(other), 0) {
			accepted++
		}
		was, unproven := r.unproven[other.Name]
		// What another controller has just done, nobody could know.
		known := was.by == c.Name || was.at < c.listed
		// One that is due itself protects nothing, and is proven when it is changed. On
		// its last day a certificate does not wait for a member that may never start.
		now := r.w.now()
		due := other.certificate.Due(now) || h.certificate.Valid(now, 0) && !h.certificate.Valid(now, 24*time.Hour)
		r.must("R5", other == h || idle || !unproven || other.process == nil || !known || due, "%s changes the certificate of %s before that of %s is proven", c.Name, h.Name, other.Name)
	}
	r.must("R5", r.clocked > c.listed || accepted >= min(cluster.Quorum(len(m.Members)), len(hosts)+len(strays)), "%s gives %s a certificate that %d of %d members accept", c.Name, h.Name, accepted, len(m.Members))
	r.unproven[h.Name] = change{c.Name, r.w.moment()}
}

// proves notes that a member was seen to serve with its certificate.
func (r *rules) proves(h *host) { delete(r.unproven, h.Name) }
