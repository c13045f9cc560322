package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/operate"
	"github.com/pleiad-etcd/pleiad/internal/world/real"
)

type logsOptions struct {
	*globals
	system *System
	member string
	follow bool
}

func newLogs(s *System, g *globals, run func(context.Context, *logsOptions) error) *cobra.Command {
	o := &logsOptions{globals: g, system: s}
	if run == nil {
		run = func(ctx context.Context, o *logsOptions) error { return o.run(ctx) }
	}
	cmd := &cobra.Command{
		Use:   "logs MEMBER",
		Short: "Print the log of a member",
		Long: `logs prints the log of a member, oldest line first. The beginning of a member's
name is enough. With --follow it follows the log until interrupted.`,
		Args: exactly(1, "one argument, the member (see pleiad status)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.member = args[0]
			return run(cmd.Context(), o)
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return o.members(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
		},
	}
	// Not -f: that is the spec file, as for all commands.
	cmd.Flags().BoolVar(&o.follow, "follow", false, "follow the log")
	return cmd
}

func (o *logsOptions) run(ctx context.Context) error {
	t, err := o.known(ctx, o.system)
	if err != nil {
		return cannot("find the cluster", err)
	}
	act := "print the log of " + o.member
	sur, err := o.surroundings(ctx, o.system, t)
	if err != nil {
		return cannot(act, err)
	}
	list, err := sur.World.Hosts.List(ctx)
	if err != nil {
		return cannot(act, err)
	}
	var names []cluster.MemberName
	for _, h := range list.Hosts {
		names = append(names, h.Name)
	}
	name, err := choose(names, o.member)
	if err != nil {
		return cannot(act, o.notFound(ctx, t, sur, list.Places, err))
	}
	h := list.Hosts[slices.Index(names, name)]
	err = sur.Logs(ctx, h, o.follow, o.system.Out)
	if o.follow && err == nil && ctx.Err() != nil {
		return nil // the way to end it
	}
	return cannot(act, err)
}

// notFound is the error of a host that was not found, where its member is one of the
// cluster: its machine may be off, and its log is there still.
func (o *logsOptions) notFound(ctx context.Context, t operate.Target, sur real.World, places []cluster.Place, unknown error) error {
	records, err := sur.World.DNS.Read(ctx, []cluster.Key{t.Spec.MarkerKey()})
	if err != nil {
		return unknown
	}
	m, found, err := t.Spec.Marker(records)
	if err != nil || !found {
		return unknown
	}
	name, err := choose(m.Members, o.member)
	if err != nil {
		return unknown
	}
	f := &failure{act: "find the host of " + string(name), err: errors.New("it was not found"), exit: Failed, hints: []string{"see what is wrong with it: " + o.again("doctor")}}
	for _, p := range places {
		if p.Unknown != "" {
			f.detail = append(f.detail, p.String()+" could not be inspected: "+p.Unknown)
		}
	}
	return f
}

// choose is the one member whose name begins so.
func choose(members []cluster.MemberName, name string) (cluster.MemberName, error) {
	var all, found []string
	for _, one := range members {
		all = append(all, string(one))
		if string(one) == name {
			return one, nil
		}
		if strings.HasPrefix(string(one), name) || strings.HasPrefix(string(one), "etcd-"+name) {
			found = append(found, string(one))
		}
	}
	slices.Sort(all)
	switch len(found) {
	case 1:
		return cluster.MemberName(found[0]), nil
	case 0:
		return "", &failure{act: "find member " + name, err: errors.New("there is no such member"), exit: NoCluster, hints: []string{"members: " + strings.Join(all, ", ")}}
	}
	return "", &failure{act: "find member " + name, err: errors.New("several match"), exit: Usage, hints: []string{"give one of: " + strings.Join(found, ", ")}}
}

// members are the names of all members, for completion; none if they cannot be
// read.
func (o *logsOptions) members(ctx context.Context) []string {
	t, err := o.known(ctx, o.system)
	if err != nil {
		return nil
	}
	sur, err := o.surroundings(ctx, o.system, t)
	if err != nil {
		return nil
	}
	list, err := sur.World.Hosts.List(ctx)
	if err != nil {
		return nil
	}
	var names []string
	for _, h := range list.Hosts {
		names = append(names, fmt.Sprint(h.Name))
	}
	return names
}
