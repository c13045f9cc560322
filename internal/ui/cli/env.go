package cli

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pleiad-etcd/pleiad/discovery"
	"github.com/pleiad-etcd/pleiad/internal/operate"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
)

type envOptions struct {
	*globals
	system *System
	direct bool
}

func newEnv(s *System, g *globals, run func(context.Context, *envOptions) error) *cobra.Command {
	o := &envOptions{globals: g, system: s}
	if run == nil {
		run = func(ctx context.Context, o *envOptions) error { return o.run(ctx) }
	}
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Print export lines for your own etcdctl",
		Long: `env prints shell commands that point your own etcdctl at the cluster. With
--direct the endpoints are addresses, for a machine that does not resolve the
names; the members' certificates are valid for both.`,
		Example: `  eval "$(pleiad env)" && etcdctl endpoint health`,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	directly(cmd, &o.direct)
	return cmd
}

func (o *envOptions) run(ctx context.Context) error {
	t, err := o.known(ctx, o.system)
	if err != nil {
		return cannot("find the cluster", err)
	}
	act := fmt.Sprintf("print the environment for cluster %s", t.Spec.Cluster)
	sur, err := o.surroundings(ctx, o.system, t)
	if err != nil {
		return cannot(act, err)
	}
	found, err := reach(ctx, t, sur, o.direct)
	if err != nil {
		return o.unfound(act, err, o.direct, "env --direct")
	}
	var v render.Variables
	urls := found.URLs()
	switch {
	case o.direct:
		v.Note = []string{"addresses instead of names; they do not follow when a member moves"}
		urls = byAddress(found)
	case !t.Spec.OnMachines():
		// The names of local hosts are known to no resolver but the cluster's.
		v.Note = []string{"addresses instead of names, which your resolver does not know; the certificates are valid for both"}
		urls = byAddress(found)
	}
	v.Variables = append(environment(urls, t), direct(o.system.Streams.Env, urls)...)
	return cannot(act, o.printer(o.system).Show(v))
}

// proxies are the variables that send connections to a proxy, or spare some hosts
// from it; etcd's clients read them (golang.org/x/net/http/httpproxy), in capitals and
// in small letters.
func proxies() []string { return []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"} }

// IsProxy says whether a variable is about proxies.
func IsProxy(name string) bool { return slices.Contains(proxies(), strings.ToUpper(name)) }

// direct spares the members from a proxy, if there is one: nothing if there is none.
// What was spared before still is.
func direct(env func(string) string, urls []string) []render.Variable {
	set := func(name string) bool { return env(name) != "" || env(strings.ToLower(name)) != "" }
	if !set("HTTP_PROXY") && !set("HTTPS_PROXY") {
		return nil
	}
	spared := strings.FieldsFunc(cmp.Or(env("NO_PROXY"), env("no_proxy")), func(r rune) bool { return r == ',' || r == ' ' })
	for _, one := range urls {
		if u, err := url.Parse(one); err == nil && !slices.Contains(spared, u.Hostname()) {
			spared = append(spared, u.Hostname())
		}
	}
	return []render.Variable{{Name: "NO_PROXY", Value: strings.Join(spared, ",")}}
}

// byAddress are the URLs of all endpoints with addresses for names.
func byAddress(c discovery.Cluster) []string {
	var out []string
	for _, e := range c.Endpoints {
		out = append(out, operate.ByAddress(e)...)
	}
	return out
}
