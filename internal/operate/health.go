package operate

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pleiad-etcd/pleiad/discovery"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/etcd"
	"github.com/pleiad-etcd/pleiad/internal/world/real"
)

// Verdict is the health of a whole cluster.
type Verdict string

// The verdicts. Healthy: every member serves. Degraded: a quorum serves, but
// not every member does, or is known to. Unhealthy: there is no quorum, or it is
// not one cluster. Unclear: there may be a quorum, with members whose names
// cannot be looked up.
const (
	Healthy   Verdict = "healthy"
	Degraded  Verdict = "degraded"
	Unhealthy Verdict = "unhealthy"
	Unclear   Verdict = "unknown"
)

// Health is a cluster as a client finds it through DNS.
type Health struct {
	Domain  string         `json:"domain"`
	Verdict Verdict        `json:"verdict"`
	Members []MemberHealth `json:"members"`
	// Direct says that the members were not found as clients find them, but at the
	// addresses of their hosts.
	Direct bool `json:"direct,omitempty"`
	// Problems are what is wrong with the cluster as a whole.
	Problems []string `json:"problems,omitempty"`
}

// complaint is the first thing that is wrong, empty if nothing is.
func (h Health) complaint() string {
	for _, problem := range h.Problems {
		return problem
	}
	for _, m := range h.Members {
		if !m.Healthy {
			return fmt.Sprintf("member %s: %s", m.Name, m.Detail)
		}
	}
	return ""
}

// MemberHealth is one member as a client finds it.
type MemberHealth struct {
	// ID is empty where nobody could say it.
	ID   string             `json:"id,omitempty"`
	Name cluster.MemberName `json:"name"`
	// URL is the endpoint that the client records name, or the address that was asked
	// directly; empty if there is none.
	URL     string `json:"url,omitempty"`
	Healthy bool   `json:"healthy"`
	// Unknown says that it was not asked, since its name cannot be looked up.
	Unknown bool `json:"unknown,omitempty"`
	// Detail is why it is not healthy.
	Detail string `json:"detail,omitempty"`
}

// askMember bounds the question to one member.
const askMember = 3 * time.Second

// Look finds a cluster through its client records and asks every member
// they name. The error says that it could not be found, or that nobody could be
// asked.
func Look(ctx context.Context, spec cluster.Spec, w real.World) (Health, error) {
	found, err := Discover(ctx, spec, w)
	if err != nil {
		return Health{}, err
	}
	return lookAt(ctx, spec, w, found, false)
}

// lookAt asks every member that was found.
func lookAt(ctx context.Context, spec cluster.Spec, w real.World, found discovery.Cluster, direct bool) (Health, error) {
	answers := make([]answer, len(found.Endpoints))
	var all sync.WaitGroup
	for i, e := range found.Endpoints {
		all.Go(func() {
			answers[i] = ask(ctx, spec, w, e)
			if direct && len(e.Addrs) > 0 {
				answers[i].url = ByAddress(e)[0]
			}
		})
	}
	all.Wait()
	if err := unasked(answers); err != nil {
		return Health{}, err
	}
	named := "the client records do"
	if direct {
		named = "the marker does"
	}
	return judge(spec.Domain, named, answers), nil
}

// ByAddress are the URLs of an endpoint with its addresses for its name.
func ByAddress(e discovery.Endpoint) []string {
	scheme := "http"
	if e.TLS {
		scheme = "https"
	}
	var out []string
	for _, a := range e.Addrs {
		out = append(out, scheme+"://"+netip.AddrPortFrom(a, e.Port).String())
	}
	return out
}

// Discover finds a cluster in DNS as its clients do.
func Discover(ctx context.Context, spec cluster.Spec, w real.World) (discovery.Cluster, error) {
	scheme := discovery.PlainOnly()
	if spec.TLS {
		scheme = discovery.TLSOnly()
	}
	opts := []discovery.Option{scheme, discovery.WithAddresses(), discovery.WithServiceName(spec.DiscoveryName)}
	if w.Resolver != "" {
		opts = append(opts, discovery.WithResolver(discovery.NameServer(w.Resolver)))
	}
	return discovery.Lookup(ctx, spec.Domain, opts...)
}

// answer is what one endpoint said, or why it said nothing.
type answer struct {
	name cluster.MemberName
	url  string
	view cluster.View
	err  error
}

func ask(ctx context.Context, spec cluster.Spec, w real.World, e discovery.Endpoint) answer {
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
		if a.view, a.err = w.World.Etcd.View(ctx, endpointHost(a.name, addr, e.Port)); a.err == nil {
			return a
		}
	}
	return a
}

// unasked is why members could not be asked: what this side lacks, it lacks for
// all of them, and their health is not known.
func unasked(answers []answer) error {
	for _, a := range answers {
		if errors.Is(a.err, etcd.ErrUnasked) {
			return a.err
		}
	}
	return nil
}

// endpointHost is a member's host as far as a client knows it.
func endpointHost(name cluster.MemberName, addr netip.Addr, port uint16) cluster.Host {
	return cluster.Host{Name: name, Address: addr, Ports: cluster.Ports{Client: port}}
}

// judge makes a verdict of all answers: purely what a client can know. named is who
// names the members that were asked.
func judge(domain, named string, answers []answer) Health {
	h := Health{Domain: domain, Members: []MemberHealth{}}
	members, clusters := listed(answers)
	healthy, unknown := 0, 0
	for _, a := range answers {
		m := MemberHealth{Name: a.name, URL: a.url}
		switch {
		case errors.Is(a.err, discovery.ErrUnavailable):
			m.Unknown, m.Detail = true, fmt.Sprintf("not asked at %s: %v", a.url, a.err)
			unknown++
		case errors.Is(a.err, etcd.ErrNoUser):
			m.Healthy, m.Detail = true, etcd.ErrNoUser.Error()
			healthy++
		case a.err != nil:
			m.Detail = fmt.Sprintf("no healthy result from %s: %v", a.url, a.err)
		case !a.view.Healthy():
			m.ID, m.Detail = a.view.ID.String(), a.view.Complaint()
		default:
			m.ID, m.Healthy = a.view.ID.String(), true
			if !a.view.Learner {
				healthy++
			}
		}
		if i := slices.IndexFunc(members, func(l cluster.Member) bool { return l.Name == a.name }); i >= 0 && a.err != nil {
			m.ID = members[i].ID.String()
		}
		h.Members = append(h.Members, m)
	}
	voters := 0
	for _, l := range members {
		if !l.Learner {
			voters++
		}
		if !l.Learner && !slices.ContainsFunc(answers, func(a answer) bool { return a.name == l.Name || a.err == nil && a.view.ID == l.ID }) {
			h.Problems = append(h.Problems, fmt.Sprintf("member %s (%s) is a voter, but %s not name it", l.ID, l.Name, named))
		}
	}
	if len(clusters) > 1 {
		h.Problems = append(h.Problems, "the members are not one cluster, but "+strings.Join(clusters, ", "))
	}
	quorum := cluster.Quorum(max(voters, len(answers)))
	switch all := healthy == len(answers) && len(h.Problems) == 0; {
	case len(clusters) <= 1 && healthy < quorum && healthy+unknown >= quorum:
		h.Verdict = Unclear
	case len(clusters) > 1 || healthy < quorum:
		h.Verdict = Unhealthy
	case all:
		h.Verdict = Healthy
	default:
		h.Verdict = Degraded
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
