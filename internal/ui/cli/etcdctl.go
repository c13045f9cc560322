package cli

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pleiad-etcd/pleiad/discovery"
	"github.com/pleiad-etcd/pleiad/internal/operate"
	"github.com/pleiad-etcd/pleiad/internal/system/shell"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
	"github.com/pleiad-etcd/pleiad/internal/world/statedir"
)

type etcdctlOptions struct {
	*globals
	system *System
	args   []string
	direct bool
}

func newEtcdctl(s *System, g *globals, run func(context.Context, *etcdctlOptions) error) *cobra.Command {
	o := &etcdctlOptions{globals: g, system: s}
	if run == nil {
		run = func(ctx context.Context, o *etcdctlOptions) error { return o.run(ctx) }
	}
	cmd := &cobra.Command{
		Use:   "etcdctl -- ARGS",
		Short: "Run the real etcdctl on the cluster, endpoints and certificates filled in",
		Long: `etcdctl runs etcd's own etcdctl, which is part of pleiad, with the endpoints from
the cluster's SRV records and the operator's certificate. Its exit code is that
of etcdctl. It ignores variables ETCDCTL_… in the environment. With --direct the
endpoints are the addresses of the members' hosts, for when their names cannot be
looked up; the certificates are verified for the addresses then.`,
		Example: "  pleiad etcdctl -- put greeting hello\n  pleiad etcdctl -- get --prefix ''\n  pleiad etcdctl -- endpoint status --write-out table",
		RunE: func(cmd *cobra.Command, args []string) error {
			o.args = args
			return run(cmd.Context(), o)
		},
	}
	directly(cmd, &o.direct)
	cmd.Flags().SetInterspersed(false) // flags after the first word are etcdctl's
	return cmd
}

func (o *etcdctlOptions) run(ctx context.Context) error {
	t, err := o.known(ctx, o.system)
	if err != nil {
		return cannot("find the cluster", err)
	}
	act := fmt.Sprintf("run etcdctl on cluster %s", t.Spec.Cluster)
	sur, err := o.surroundings(ctx, o.system, t)
	if err != nil {
		return cannot(act, err)
	}
	found, err := reach(ctx, t, sur, o.direct)
	if err != nil {
		return o.unfound(act, err, o.direct, "etcdctl --direct -- "+shell.Line(o.args...))
	}
	urls := found.URLs()
	if o.direct {
		urls = byAddress(found)
	}
	var resolver *net.Resolver
	if sur.Resolver != "" {
		resolver = discovery.NameServer(sur.Resolver)
	}
	env := map[string]string{}
	for _, v := range environment(urls, t) {
		if v.Value != "" && !overridden(v.Name, o.args) {
			env[v.Name] = v.Value
		}
	}
	return cannot(act, o.system.Etcdctl(o.args, env, resolver))
}

// overridden says whether etcdctl is given a flag that stands for a variable:
// it refuses to take both. What follows "--" are keys and values.
func overridden(variable string, args []string) bool {
	flag := "--" + strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(variable, "ETCDCTL_")), "_", "-")
	for _, a := range args {
		if a == "--" {
			break
		}
		if a == flag || strings.HasPrefix(a, flag+"=") {
			return true
		}
	}
	return false
}

// environment is what etcdctl needs to reach a cluster. An empty value is a
// variable that must not be set.
func environment(urls []string, t operate.Target) []render.Variable {
	var files statedir.OperatorFiles
	if t.Spec.TLS {
		files = t.Home.OperatorFiles()
	}
	return []render.Variable{
		{Name: "ETCDCTL_ENDPOINTS", Value: strings.Join(urls, ",")},
		{Name: "ETCDCTL_CACERT", Value: files.CA},
		{Name: "ETCDCTL_CERT", Value: files.Cert},
		{Name: "ETCDCTL_KEY", Value: files.Key},
	}
}
