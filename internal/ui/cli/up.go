package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pleiad-etcd/pleiad/internal/converge"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/operate"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
)

type upOptions struct {
	*globals
	system *System
	yes    bool
}

func newUp(s *System, g *globals, run func(context.Context, *upOptions) error) *cobra.Command {
	o := &upOptions{globals: g, system: s}
	if run == nil {
		run = func(ctx context.Context, o *upOptions) error { return o.run(ctx) }
	}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Create or repair the cluster, to match the spec",
		Long: `up makes the cluster match the spec. It looks at hosts, records and members,
prints its plan, takes one safe step after another until they match the
spec, and then finds the cluster through DNS as any client would.

It can be interrupted at any moment, and run again at any time. Without a spec
file it makes three members with TLS on this machine.`,
		Example: "  pleiad up\n  pleiad up --cluster blue --members 5\n  pleiad up -f pleiad.yaml",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	cmd.Flags().BoolVar(&o.yes, "yes", false, "do not ask before hosts or data are destroyed")
	return cmd
}

func (o *upOptions) run(ctx context.Context) error {
	begun := time.Now()
	op := o.operator(o.system, o.find)
	op.Agreed, op.Show, op.Ask = o.yes, o.show, o.ask
	result, err := op.Up(ctx)
	if result.Target.Home == nil {
		return cannot("bring up the cluster", err)
	}
	return o.report("up", fmt.Sprintf("bring up cluster %s", result.Target.Spec.Cluster), result, err, begun)
}

// report prints what came of a command that converges.
func (o *upOptions) report(command, act string, result operate.Result, err error, begun time.Time) error {
	t := result.Target
	outcome := render.NewOutcome(command, t.Spec)
	outcome.Take(result, o.spelled(t))
	outcome.Took = time.Since(begun)
	if result.Made {
		outcome.Note = keep(t)
	}
	if outcome.Note != "" && o.format() == render.Text {
		defer fmt.Fprintln(o.system.Err, "note: "+outcome.Note) // after all else, where people look
	}
	if err != nil && len(outcome.Refusals) > 0 { // what was refused may be the reason
		err = errors.Join(err, o.printer(o.system).Show(outcome))
	}
	if unseen := new(operate.UnseenError); errors.As(err, &unseen) {
		if err := o.printer(o.system).Show(outcome); err != nil { // what was made, and then what is missing
			return cannot(act, err)
		}
		return &failure{act: fmt.Sprintf("find cluster %s through DNS", t.Spec.Cluster), err: err, exit: Unseen,
			hints: []string{o.again("status"), "see what this machine's resolver lacks, with: " + o.again("doctor"), "reach the members without their names: " + o.again("health --direct")}}
	}
	if err != nil {
		return cannot(act, astray(err))
	}
	if outcome.Reached {
		outcome.Next = o.next(t)
	}
	if err := o.printer(o.system).Show(outcome); err != nil {
		return cannot(act, err)
	}
	switch {
	case len(outcome.Refusals) > 0:
		return refusedError(act, outcome.Refusals)
	case !outcome.Reached:
		return cannot(act, errors.New("it does not match the spec"), o.again("status"))
	}
	return nil
}

// keep says what the state directory that was made is worth.
func keep(t operate.Target) string {
	holds := "the only CA keys of the cluster, and that it is yours"
	switch {
	case !t.Spec.OnMachines():
		holds = "the cluster: its data, its only CA keys, and that it is yours"
	case !t.Spec.TLS:
		holds = "that the cluster is yours"
	}
	return fmt.Sprintf("%s holds %s; without it nothing can be changed: keep a copy elsewhere (see docs/operations.md)", t.Home.Dir(), holds)
}

// show prints the road, if there is one. Its refusals are shown at the end, with
// all that was done before.
func (o *upOptions) show(t operate.Target, road []plan.Plan) error {
	shown := render.NewRoad(t.Spec, road, nil)
	if len(shown.Batches) == 0 {
		return nil
	}
	shown.Brief, shown.Refusals = true, nil
	return o.printer(o.system).Show(shown)
}

// ask asks about the hosts that would be removed, with their data, and about members
// that would run an older program.
func (o *upOptions) ask(ctx context.Context, q operate.Question) error {
	why := destroys
	if len(q.Destroys()) == 0 {
		why = "members would run an older pleiad than they do"
	}
	return consent(ctx, o.system, o.globals, "up", why, endangered(q))
}

func (o *upOptions) next(t operate.Target) []string {
	if o.format() == render.Text && o.system.Size == nil {
		return nil // nobody reads it in a pipe
	}
	next := []string{o.again("etcdctl -- put greeting hello"), o.again("health"), o.again("status"), `eval "$(` + o.again("env") + `)"`}
	if !t.Spec.OnMachines() {
		next = append(next, o.again("destroy"))
	}
	return next
}

// endangered are the hosts that would be removed, with their data, and the members that
// would go back to an older program.
func endangered(q operate.Question) []string {
	var out []string
	for _, s := range q.Destroys() {
		out = append(out, converge.Describe(s).String()+", and its data with it")
	}
	for _, s := range q.Back() {
		out = append(out, "restart member "+s.Object()+": "+s.Why)
	}
	return out
}
