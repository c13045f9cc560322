// Package operate is what a command, or a daemon, does with the loop: take the
// lock of a cluster's state directory, observe, ask for consent, run the loop, and
// verify the result. Its callers, such as package cli, speak for a person; below it
// is package converge, which knows no lock and asks nobody.
//
// Make an [Operator] with [New] and call [Operator.Up], [Operator.Replace] or
// [Operator.Destroy].
// What differs from caller to caller is in its fields: which cluster it is, how
// its world is reached, who is told, and who is asked. Nobody agrees to a
// [Question] by default.
//
// An operation holds the lock from before its first look until it returns, so
// that two of one state directory never work at once. What it stores there is
// what was obeyed: a spec that asks for what is refused does not take the place
// of the former one.
package operate

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/converge/spec"
	"github.com/pleiad-etcd/pleiad/internal/progress"
	"github.com/pleiad-etcd/pleiad/internal/world/real"
	"github.com/pleiad-etcd/pleiad/internal/world/statedir"
)

// Target is the cluster that an operation is about.
type Target struct {
	// Root is the folder of all homes.
	Root string
	Spec cluster.Spec
	// Stored is the spec that was used last, nil if none was.
	Stored *cluster.Spec
	// Home is nil if the cluster has none.
	Home *statedir.Home
}

// Stored is the spec that was used last with a home, nil if none was.
func Stored(h *statedir.Home) (*cluster.Spec, error) {
	b, err := h.Spec()
	if err != nil || b == nil {
		return nil, err
	}
	s, err := spec.Parse(h.Dir()+"/spec.yaml", b)
	if err != nil {
		return nil, err
	}
	return &s, nil
}

// Operator carries out operations on one cluster; see [New].
type Operator struct {
	// Command is what others are told that wait for the lock.
	Command string
	// Find says which cluster it is. It is called again when the lock is held:
	// what it said before may have changed meanwhile.
	Find func(context.Context) (Target, error)
	// Open makes the world of a target.
	Open func(context.Context, Target) (real.World, error)
	// Timeout is how long to go on while nothing moves, and to wait for the
	// lock; 0 for what is usual.
	Timeout time.Duration

	// Agreed says that consent to all that is destroyed was given beforehand.
	Agreed bool
	// Ask returns nil if somebody agrees to a question, else the error that the
	// operation ends with. Nothing has been done until then.
	Ask func(context.Context, Question) error

	// Held is told who has the lock, while an operation waits for it.
	Held func(statedir.Holder, Target)
	// Show is told the road before anything is done.
	Show func(Target, []plan.Plan) error
	// Progress begins to receive what happens in the loop.
	Progress func() Progress
	// Stale is told that the resolver of this machine does not show the cluster
	// as it is yet, and is waited for: what is wrong with what it shows, once as
	// long as that is the same.
	Stale func(why string)

	// Client looks at the cluster as a client would.
	Client func(context.Context, cluster.Spec, real.World) (Health, error)
	// Boundary is that of the loop; see [converge.Loop].
	Boundary func(ctx context.Context, when, step string)
}

// Progress receives events until it is closed.
type Progress interface {
	progress.Reporter
	Close()
}

// ErrNoConsent is the error of an operation that nobody has agreed to.
var ErrNoConsent = errors.New("nobody has agreed to what it destroys")

// New makes an operator that tells nobody, and does nothing that needs consent.
func New(command string, find func(context.Context) (Target, error), open func(context.Context, Target) (real.World, error)) Operator {
	return Operator{
		Command:  command,
		Find:     find,
		Open:     open,
		Ask:      func(context.Context, Question) error { return ErrNoConsent },
		Held:     func(statedir.Holder, Target) {},
		Show:     func(Target, []plan.Plan) error { return nil },
		Progress: func() Progress { return silent{} },
		Stale:    func(string) {},
		Client:   Look,
		Boundary: func(context.Context, string, string) {},
	}
}

// silent is the progress that nobody reads.
type silent struct{ progress.Discard }

// Close implements Progress.
func (silent) Close() {}

// Result is how an operation ended.
type Result struct {
	// Target is what it was about; without a home if it did not come as far as
	// to know that.
	Target Target
	// Made says that the home was made for it, and stays.
	Made bool
	// Outcome is that of the loop.
	converge.Outcome
	// Health is the cluster as a client sees it, at the end of Up; nil if nobody
	// looked.
	Health *Health
	// Files are what was left in the home by Destroy, because others keep it
	// there.
	Files []string
}

// Reached says whether the goal is reached, and whether a client sees that.
func (r Result) Reached() bool {
	return r.Outcome.Reached() && (r.Health == nil || r.Health.Verdict == Healthy)
}

// Patience with a world that does not move, unless there is a timeout. Machines
// elsewhere may have resolvers that remember for a while what was there before;
// this machine's members have the name server's own word.
const (
	patienceHere      = time.Minute
	patienceElsewhere = 3 * time.Minute
)

// patience is how long to go on while nothing moves.
func (o Operator) patience(spec cluster.Spec) time.Duration {
	switch {
	case o.Timeout != 0:
		return o.Timeout
	case !spec.OnMachines():
		return patienceHere
	}
	return patienceElsewhere
}

// Lock takes the lock of a home of the target. It waits for others as long as the
// timeout says.
func (o Operator) Lock(ctx context.Context, t Target, h *statedir.Home) (*statedir.Lock, error) {
	ctx, cancel := o.waiting(ctx)
	defer cancel()
	return h.LockWait(ctx, o.Command, func(who statedir.Holder) { o.Held(who, t) })
}

// waiting bounds the time in which others are waited for.
func (o Operator) waiting(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, cmp.Or(o.Timeout, patienceHere))
}
