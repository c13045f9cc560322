package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/operate"
)

type replaceOptions struct {
	*upOptions
	member string
}

func newReplace(s *System, g *globals, run func(context.Context, *replaceOptions) error) *cobra.Command {
	o := &replaceOptions{upOptions: &upOptions{globals: g, system: s}}
	if run == nil {
		run = func(ctx context.Context, o *replaceOptions) error { return o.run(ctx) }
	}
	cmd := &cobra.Command{
		Use:   "replace MEMBER",
		Short: "Replace a member, dead or alive, with a new one",
		Long: `replace puts a new member in the place of this one, and otherwise does what up
does. The beginning of a member's name is enough. It shows its plan, and asks
before it begins.

A member that serves leaves only after the new one has joined, so for a while one
more host is needed. A member that cannot be reached is given up on your word: it
is removed first. replace refuses to do so while other members hear from it, or if
the others are not a quorum. If its machine comes back, pleiad stops the member
there and moves its data aside.

If the host or the data of a member is known to be gone, up replaces it by itself.`,
		Example: "  pleiad replace etcd-k3v9qd2\n  pleiad replace k3v --yes",
		Args:    exactly(1, "one argument, the member (see pleiad status)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.member = args[0]
			return run(cmd.Context(), o)
		},
	}
	cmd.Flags().BoolVar(&o.yes, "yes", false, "do not ask")
	return cmd
}

func (o *replaceOptions) run(ctx context.Context) error {
	begun, act := time.Now(), "replace member "+o.member
	op := o.operator(o.system, o.known)
	op.Agreed, op.Show, op.Ask = o.yes, o.show, o.ask
	result, err := op.Replace(ctx, o.pick)
	if result.Target.Home == nil {
		return cannot(act, err)
	}
	return o.report("replace", act, result, err, begun)
}

// pick chooses the member among those of the marker. Where that cannot be read,
// nothing will be done, and the planner says why.
func (o *replaceOptions) pick(t operate.Target, state cluster.State) (cluster.MemberName, error) {
	records, known := state.Records.Get()
	m, found, err := t.Spec.Marker(records)
	if !known || err != nil || !found {
		return cluster.MemberName(o.member), nil
	}
	return choose(m.Members, o.member)
}

// ask says what is known of the member, and asks.
func (o *replaceOptions) ask(ctx context.Context, q operate.Question) error {
	return consent(ctx, o.system, o.globals, "replace "+o.member, "the member leaves the cluster for good", append(standing(q), endangered(q)...))
}

// standing is who sees the member that is to be replaced, and who does not.
func standing(q operate.Question) []string {
	hosts := append(q.State.Hosts.Or(nil), q.State.Missing...)
	out := []string{fmt.Sprintf("this replaces member %s of cluster %s:", q.Replaced, q.Target.Spec.Cluster)}
	for _, h := range hosts {
		if h.Name != q.Replaced {
			continue
		}
		switch v, answers := h.View.Get(); {
		case answers && v.Serves():
			return append(out, fmt.Sprintf("  it serves at %s; another member joins first, then it leaves, and its data is kept aside", h.Address))
		case answers:
			out = append(out, fmt.Sprintf("  it answers at %s, and does not serve: it %s", h.Address, v.Complaint()))
		case !h.Node.Known():
			out = append(out, fmt.Sprintf("  its host at %s could not be inspected: %s", h.Address, h.Node.Why()))
		default:
			out = append(out, fmt.Sprintf("  it does not serve at %s: %s", h.Address, h.View.Why()))
		}
	}
	if without := deaf(q); len(without) > 0 {
		out = append(out, "  do not hear from it either: "+strings.Join(without, ", "))
	}
	return append(out, "  it is removed from the cluster for good; then another member joins")
}

// deaf are the members that serve and were asked whether they hear from it. If one
// does, the member is not given up.
func deaf(q operate.Question) []string {
	var out []string
	for _, h := range q.State.Hosts.Or(nil) {
		if v, answers := h.View.Get(); h.Name != q.Replaced && answers && v.Serves() && h.Heard.Known() {
			out = append(out, string(h.Name))
		}
	}
	return out
}
