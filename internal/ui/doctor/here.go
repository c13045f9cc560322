package doctor

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/discovery"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
)

// ownership says whose the cluster is that the marker tells of; nothing where there is
// none, or what would tell could not be read, which are findings of their own.
func ownership(ctx context.Context, s Subject) []render.Finding {
	m, found, err := marked(ctx, s)
	if err != nil || !found {
		return nil
	}
	control, err := s.World.Authority.Inspect(ctx)
	if err != nil {
		return nil
	}
	out := render.Finding{Check: "ownership", Grade: render.Fine, Found: fmt.Sprintf("cluster %s belongs to this state directory", m.Cluster)}
	if m.Cluster == s.Spec.Cluster && m.Owner == control.Owner {
		return []render.Finding{out}
	}
	mine := "this state directory is " + string(control.Owner)
	if control.Owner == "" {
		mine = "this state directory is new and owns nothing yet"
	}
	of := "the cluster"
	if m.Cluster != s.Spec.Cluster {
		of = "cluster " + string(m.Cluster)
	}
	out.Grade = render.Broken
	out.Found = fmt.Sprintf("%s on %s belongs to owner %s; %s; %s", of, s.Spec.Domain, m.Owner, mine, strings.Join(plan.Standing(m, nil), "; "))
	out.Remedy = "work from the state directory that made it; see what can be done: " + s.Command("plan")
	return []render.Finding{out}
}

// marked is the marker, and whether there is one.
func marked(ctx context.Context, s Subject) (cluster.Marker, bool, error) {
	records, err := s.World.DNS.Read(ctx, []cluster.Key{marker(s)})
	if err != nil {
		return cluster.Marker{}, false, err
	}
	return s.Spec.Marker(records)
}

// askHere bounds what this machine's resolver is asked: mute name servers in resolv.conf
// take five seconds each (resolv.conf(5)).
const askHere = 15 * time.Second

// resolverHere looks whether this machine finds the cluster as its clients do. If there
// is none yet, the zone is asked for, and never a name of ours.
func resolverHere(ctx context.Context, s Subject) render.Finding {
	out := render.Finding{Check: "resolver here", Grade: render.Fine}
	zone := s.Spec.Zone()
	if s.Spec.FindsZone() {
		out.Grade, out.Found, out.Remedy = render.Warning, "unknown: which zone holds the domain is not known", "make the name server reachable first"
		return out
	}
	ctx, cancel := context.WithTimeoutCause(ctx, askHere, fmt.Errorf("no answer within %s", askHere))
	defer cancel()
	m, found, err := marked(ctx, s)
	if err == nil && found && m.Phase == cluster.Sealed && m.Cluster == s.Spec.Cluster {
		err = s.findsMembers(ctx)
		out.Found = fmt.Sprintf("this machine finds cluster %s in DNS", s.Spec.Cluster)
	} else {
		_, err = s.here().LookupNS(ctx, zone+".")
		out.Found = fmt.Sprintf("the resolver of this machine knows zone %s", zone)
	}
	if err == nil {
		return out
	}
	out.Grade, out.Found = render.Broken, fmt.Sprintf("this machine does not resolve zone %s: %v", zone, err)
	out.Remedy = fmt.Sprintf("let the name servers in /etc/resolv.conf here forward %s to %s, or delegate the zone in its parent; see whether they know it: dig +short %s NS", zone, s.Spec.Primary(), zone) +
		"\nuntil then up makes the cluster and ends with exit code 12; reach its members without their names: " + s.Command("health --direct")
	return out
}

// findsMembers finds the cluster as a client does: all of it.
func (s Subject) findsMembers(ctx context.Context) error {
	scheme := discovery.PlainOnly()
	if s.Spec.TLS {
		scheme = discovery.TLSOnly()
	}
	found, err := discovery.Lookup(ctx, s.Spec.Domain, scheme, discovery.WithServiceName(s.Spec.DiscoveryName),
		discovery.WithAddresses(), discovery.WithResolver(s.here()))
	if err != nil {
		return err
	}
	for _, e := range found.Endpoints {
		if e.AddrErr != nil {
			return e.AddrErr
		}
	}
	return nil
}

// here is the resolver of this machine.
func (s Subject) here() *net.Resolver {
	if s.Here == nil {
		return net.DefaultResolver
	}
	return s.Here
}
