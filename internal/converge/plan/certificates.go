package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// etcd reads its certificates at each handshake: a new one is in force the
// moment it is installed, without a restart. So what goes for restarts goes for
// certificates (rule R5): one member at a time, and the next one only when all
// that run were seen to serve with theirs. And none is issued by a clock that
// is not the members' own: a certificate that is valid here and not there takes
// its member off the air.

const (
	// mostSkew is how far a clock may be off; certificates are valid from five
	// minutes before they were issued (package pki).
	mostSkew = time.Minute
	// urgent is how long before its end a certificate is changed even where the
	// other members are no quorum.
	urgent = 30 * 24 * time.Hour
	// ending is how long before its end it is changed even where another member, which
	// has a new one, is yet to be started with it. If it never starts, because its new
	// certificate is no good, the others still have theirs; if for another reason, they
	// must not wait until they have none.
	ending = 24 * time.Hour
)

// certificate is the one that a member is known to have; nil if there is none,
// or it could not be seen.
func certificate(h cluster.Host) *cluster.Certificate { return h.Node.Or(cluster.Node{}).Certificate }

// outdated says whether a member lacks a certificate or needs another.
func (s situation) outdated(h cluster.Host) bool {
	c := certificate(h)
	return s.spec.TLS && h.Node.Known() && (c == nil || c.Due(s.state.At))
}

// renewOperator gives pleiad itself another certificate, if that is due or there
// is none.
func (s situation) renewOperator() []Step {
	c := s.control
	switch {
	case !s.spec.TLS || c.CA == "":
		return nil
	case c.Operator == nil:
		return []Step{RenewOperator{Reason{Why: "there is no operator's certificate that fits its key and the CA"}}}
	case c.Operator.Due(s.state.At):
		return []Step{RenewOperator{Reason{Why: "the operator's certificate is due for renewal"}}}
	}
	return nil
}

// skewed refuses to issue certificates while this machine's clock and that of a
// host are too far apart: which of them is wrong, nobody here can tell. It is nil
// where nothing is to be issued.
func (s situation) skewed(members []cluster.Host) *Refusal {
	if !slices.ContainsFunc(members, s.outdated) && s.renewOperator() == nil {
		return nil
	}
	r := Refusal{Rule: "R5", What: "issue certificates", Remedy: remedies(SetClocks)}
	for _, h := range visible(members) {
		if h.Skew.Abs() > mostSkew {
			where := "ahead of"
			if h.Skew < 0 {
				where = "behind"
			}
			r.Evidence = append(r.Evidence, fmt.Sprintf("the clock of host %s at %s is %s %s this machine's", h.Name, h.Address, length(h.Skew.Abs()), where))
		}
	}
	if r.Evidence == nil {
		return nil
	}
	return &r
}

// length is a time as people say it.
func length(d time.Duration) string {
	if days := d / (24 * time.Hour); days > 1 {
		return fmt.Sprintf("%d days", days)
	}
	return d.Round(time.Second).String()
}

// renewal is the running member whose certificate is changed next, of those of a
// sealed cluster; empty if it is nobody's turn. Members that do not run serve
// with none: they get theirs first, and are started with it. One with another's
// data gets none, and nobody waits for it. One that is started in the same plan has yet
// to prove what it has.
func (s situation) renewal(members []cluster.Host, starts []Step) (cluster.MemberName, *Refusal) {
	seen := visible(members)
	running := runningOf(seen)
	if slices.ContainsFunc(seen, func(h cluster.Host) bool {
		return !h.Runs() && s.outdated(h) && !h.Node.Or(cluster.Node{}).Data.Foreign(s.render(*s.marker, members, h).Made())
	}) {
		return "", nil
	}
	next, found := s.mostUrgent(running)
	if !found || len(starts) > 0 && certificate(next).Valid(s.state.At, ending) {
		return "", nil
	}
	voters := s.voters()
	lasts := voters > 1 && certificate(next).Valid(s.state.At, urgent)
	r := Refusal{Rule: "R5", What: "change the certificate of member " + string(next.Name), Unknown: true}
	for _, h := range members {
		if lasts && !h.Node.Known() {
			r.Evidence = append(r.Evidence, fmt.Sprintf("member %s could not be inspected: %s", h.Name, h.Node.Why().Text))
		}
	}
	for _, h := range s.state.Missing {
		if lasts && s.marker.Has(h.Name) && s.answers(h.Name) {
			r.Evidence = append(r.Evidence, fmt.Sprintf("member %s runs, and its host was not found", h.Name))
		}
	}
	for _, h := range running {
		if shown, known := h.Shown.Get(); !s.outdated(h) && (!known || shown.Due(s.state.At)) {
			r.Evidence = append(r.Evidence, fmt.Sprintf("member %s has not been seen to serve with its own: %s", h.Name, unproven(h)))
		}
	}
	if r.Evidence != nil {
		r.Remedy = remedies(MendRest)
		return "", &r
	}
	serving := 0
	for _, h := range running {
		if v, known := h.View.Get(); known && v.Serves() && !v.Learner && h.Name != next.Name {
			serving++
		}
	}
	if lasts && serving < cluster.Quorum(voters) {
		r.Evidence = []string{fmt.Sprintf("it is valid until %s, and the other members that serve are not a quorum: %s",
			certificate(next).NotAfter.UTC().Format(time.DateOnly), cluster.Arithmetic(serving, voters))}
		r.Remedy = remedies(MendRest)
		return "", &r
	}
	return next.Name, nil
}

// mostUrgent is the member whose certificate is to be changed before all others:
// one that is not valid now, since its member serves nobody and the others may
// wait for it to be a quorum; else the one that ends first.
func (s situation) mostUrgent(running []cluster.Host) (next cluster.Host, found bool) {
	invalid := func(h cluster.Host) bool { return !certificate(h).Valid(s.state.At, 0) }
	before := func(a, b cluster.Host) bool {
		if invalid(a) != invalid(b) {
			return invalid(a)
		}
		c, d := certificate(a), certificate(b)
		return c != nil && d != nil && c.NotAfter.Before(d.NotAfter)
	}
	for _, h := range running {
		if s.outdated(h) && (!found || before(h, next)) {
			next, found = h, true
		}
	}
	return next, found
}

// unproven says what is wrong with what a member presents.
func unproven(h cluster.Host) string {
	c, known := h.Shown.Get()
	if !known {
		return h.Shown.Why().Text
	}
	return "it presents one that is valid until " + c.NotAfter.UTC().Format(time.DateOnly)
}
