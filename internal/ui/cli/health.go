package cli

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/pleiad-etcd/pleiad/discovery"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
	"github.com/pleiad-etcd/pleiad/internal/world/real"
)

type healthOptions struct {
	*globals
	system *System
}

func newHealth(s *System, g *globals, run func(context.Context, *healthOptions) error) *cobra.Command {
	o := &healthOptions{globals: g, system: s}
	if run == nil {
		run = func(ctx context.Context, o *healthOptions) error { return o.run(ctx) }
	}
	return &cobra.Command{
		Use:   "health",
		Short: "Ask each member, found through DNS as any client would, whether it serves",
		Long: `health finds the cluster through its client SRV records alone, as any client
would, and asks each member for a linearizable read. It exits 0 if the cluster
is healthy, else 1.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
}

func (o *healthOptions) run(ctx context.Context) error {
	t, err := o.known(ctx, o.system)
	if err != nil {
		return cannot("find the cluster", err)
	}
	act := fmt.Sprintf("find cluster %s through DNS", t.spec.Cluster)
	if copied := t.home.Copy(); copied != "" {
		fmt.Fprintln(o.system.Err, "note: "+copied+"; what follows is about the original")
	}
	sur, err := o.surroundings(ctx, o.system, t)
	if err != nil {
		return cannot(act, err)
	}
	health, err := healthOf(ctx, t.spec, sur)
	if err != nil {
		return &failure{act: act, err: err, exit: Failed, hints: []string{o.again("status"), o.again("up")}}
	}
	if err := o.printer(o.system).Show(health); err != nil {
		return cannot(act, err)
	}
	if health.Verdict != render.Healthy {
		return quietExit(Failed)
	}
	return nil
}

// askMember bounds the question to one member.
const askMember = 3 * time.Second

// healthOf finds a cluster through its client records and asks every member
// they name. The error says that it could not be found.
func healthOf(ctx context.Context, spec cluster.Spec, sur real.World) (render.Health, error) {
	found, err := discovery.Lookup(ctx, spec.Domain, lookupOptions(spec, sur.Resolver)...)
	if err != nil {
		return render.Health{}, err
	}
	answers := make([]answer, len(found.Endpoints))
	var all sync.WaitGroup
	for i, e := range found.Endpoints {
		all.Go(func() { answers[i] = ask(ctx, spec, sur, e) })
	}
	all.Wait()
	return judge(spec.Domain, answers), nil
}

// lookupOptions are those under which a cluster is found as its clients do.
func lookupOptions(spec cluster.Spec, resolver string) []discovery.Option {
	scheme := discovery.PlainOnly()
	if spec.TLS {
		scheme = discovery.TLSOnly()
	}
	opts := []discovery.Option{scheme, discovery.WithAddresses(), discovery.WithServiceName(spec.DiscoveryName)}
	if resolver != "" {
		opts = append(opts, discovery.WithResolver(discovery.NameServer(resolver)))
	}
	return opts
}

// answer is what one endpoint said, or why it said nothing.
type answer struct {
	name cluster.MemberName
	url  string
	view cluster.View
	err  error
}

func ask(ctx context.Context, spec cluster.Spec, sur real.World, e discovery.Endpoint) answer {
	a := answer{url: e.URL(), name: cluster.MemberName(e.Host)}
	if name, ok := spec.MemberOf(e.Host + "."); ok {
		a.name = name
	}
	if e.AddrErr != nil {
		a.err = e.AddrErr
		return a
	}
	ctx, cancel := context.WithTimeoutCause(ctx, askMember, fmt.Errorf("no answer within %s", askMember))
	defer cancel()
	for _, addr := range e.Addrs {
		if a.view, a.err = sur.World.Etcd.View(ctx, endpointHost(a.name, addr, e.Port)); a.err == nil {
			return a
		}
	}
	return a
}

// endpointHost is a member's host as far as a client knows it.
func endpointHost(name cluster.MemberName, addr netip.Addr, port uint16) cluster.Host {
	return cluster.Host{Name: name, Address: addr, Ports: cluster.Ports{Client: port}}
}

// judge makes a verdict of all answers: purely what a client can know.
func judge(domain string, answers []answer) render.Health {
	h := render.Health{Domain: domain, Members: []render.MemberHealth{}}
	members, clusters := listed(answers)
	healthy := 0
	for _, a := range answers {
		m := render.MemberHealth{Name: a.name, URL: a.url}
		switch {
		case a.err != nil:
			m.Detail = fmt.Sprintf("no healthy result from %s: %v", a.url, a.err)
			if i := slices.IndexFunc(members, func(l cluster.Member) bool { return l.Name == a.name }); i >= 0 {
				m.ID = members[i].ID.String()
			}
		case !a.view.Healthy():
			m.ID, m.Detail = a.view.ID.String(), render.Complaint(a.view)
		default:
			m.ID, m.Healthy = a.view.ID.String(), true
			if !a.view.Learner {
				healthy++
			}
		}
		h.Members = append(h.Members, m)
	}
	voters := 0
	for _, l := range members {
		if !l.Learner {
			voters++
		}
		if !l.Learner && !slices.ContainsFunc(answers, func(a answer) bool { return a.name == l.Name || a.err == nil && a.view.ID == l.ID }) {
			h.Problems = append(h.Problems, fmt.Sprintf("member %s (%s) is a voter, but the client records do not name it", l.ID, l.Name))
		}
	}
	if len(clusters) > 1 {
		h.Problems = append(h.Problems, "the members are not one cluster, but "+strings.Join(clusters, ", "))
	}
	switch all := healthy == len(answers) && len(h.Problems) == 0; {
	case len(clusters) > 1 || healthy < cluster.Quorum(max(voters, len(answers))):
		h.Verdict = render.Unhealthy
	case all:
		h.Verdict = render.Healthy
	default:
		h.Verdict = render.Degraded
	}
	return h
}

// listed is the member list of the member that has applied most, and the
// distinct clusters that were met.
func listed(answers []answer) (members []cluster.Member, clusters []string) {
	applied := uint64(0)
	for _, a := range answers {
		if a.err != nil {
			continue
		}
		if members == nil || a.view.Applied > applied {
			members, applied = a.view.Members, a.view.Applied
		}
		if id := a.view.Cluster.String(); !slices.Contains(clusters, id) {
			clusters = append(clusters, id)
		}
	}
	return members, clusters
}
