// Package ec2 provides hosts that are instances in Amazon EC2, one a member. It
// implements hosts.Provider.
//
// An instance belongs to a cluster by its tags, which it has from its first moment:
// they are part of the call that launches it. Nothing else is kept anywhere: one
// list of the instances with those tags says which hosts there are.
//
//	RunInstances ─▶ pending ─▶ running ─▶ first contact over SSH ─▶ tag "contacted": a host
//	     │ client token: again is the same instance      └─ Await does this, and starts a stopped one
//	     └─ lost answer: it is in the next list, or the same call gives it
//
// What it promises beyond hosts.Provider: a name is launched once, whoever calls
// how often and whichever answer was lost (see [Provider.Launch]); an instance is
// gone only if EC2 says so; the volume that holds a member's data outlives its
// instance, and only Terminate deletes it.
//
// It is a client of EC2's query API of its own, for the ten actions that it needs,
// with the signer and the credentials of Amazon's SDK. The SDK's own client of EC2
// takes 3.3 GB of memory to compile.
package ec2

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
)

// Config of a provider. All fields are set but those that say otherwise.
type Config struct {
	Spec        cluster.Spec
	Credentials aws.CredentialsProvider
	// Paths are where things lie on a machine.
	Paths cluster.Paths
	// FirstKey gives the SSH host key that a new instance shows at the first contact,
	// private in OpenSSH's form and public; the same each time for one name.
	FirstKey func(cluster.MemberName) (private, public string, err error)
	// Contact logs in to a machine that is up, and replaces what only the first
	// contact may rely on.
	Contact func(context.Context, cluster.Host) error
	// Part forgets whatever FirstKey and Contact kept of a host.
	Part func(cluster.MemberName) error
	// Given is when each host that nobody has parted from was given its first key last:
	// its instance may have been launched then.
	Given func() (map[cluster.MemberName]time.Time, error)
	// Pause is how long to wait between two looks; two seconds by default.
	Pause time.Duration
}

// Provider is a hosts.Provider for one cluster.
type Provider struct {
	Config
	api api

	mu     sync.Mutex // guards what follows
	seen   []instance
	seenAt time.Time // when that look began
	device string    // the root device of the image, once asked for

	choosing sync.Mutex // one Launch chooses its subnet at a time
	chosen   map[cluster.MemberName]string
}

var _ hosts.Provider = (*Provider)(nil)

// New returns a provider. It asks nobody.
func New(c Config) (*Provider, error) {
	if c.Pause == 0 {
		c.Pause = 2 * time.Second
	}
	api, err := newAPI(*c.Spec.Hosts.EC2, c.Credentials)
	if err != nil {
		return nil, err
	}
	return &Provider{Config: c, api: api, chosen: map[cluster.MemberName]string{}}, nil
}

// spec is the part of the spec that is about hosts.
func (p *Provider) spec() cluster.EC2Hosts { return *p.Spec.Hosts.EC2 }

// List implements hosts.Provider. An instance that is going away is an unknown
// place until it is gone: its member may still run.
func (p *Provider) List(ctx context.Context) (hosts.Listing, error) {
	l, err := p.list(ctx)
	if err != nil {
		return hosts.Listing{}, fmt.Errorf("list hosts of cluster %s: %w", p.Spec.Cluster, err)
	}
	return l, nil
}

func (p *Provider) list(ctx context.Context) (hosts.Listing, error) {
	seen, err := p.look(ctx)
	if err != nil {
		return hosts.Listing{}, err
	}
	var l hosts.Listing
	at := map[cluster.MemberName]string{}
	for _, i := range seen {
		if i.State == terminated {
			continue
		}
		if other := at[i.member()]; other != "" {
			return hosts.Listing{}, fmt.Errorf("%s and %s are both tagged as host %s; terminate the one whose member does not run", other, i.ID, i.member())
		}
		at[i.member()] = i.ID
		if h, why := p.host(i); why != "" {
			l.Places = append(l.Places, cluster.Place{Member: i.member(), Unknown: why})
		} else {
			l.Hosts = append(l.Hosts, h)
		}
	}
	slices.SortFunc(l.Hosts, func(a, b cluster.Host) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return l, nil
}

// host is an instance as a host, or why it is not one just now.
func (p *Provider) host(i instance) (h cluster.Host, why string) {
	private, err := netip.ParseAddr(i.Private)
	login := private
	if p.spec().Login == "public" && i.Public != "" {
		login, err = netip.ParseAddr(i.Public)
	}
	switch {
	case i.State == shuttingDown:
		return h, fmt.Sprintf("instance %s is being terminated", i.ID)
	case i.tag(tagToken) == "":
		return h, fmt.Sprintf("instance %s has no tag %s", i.ID, tagToken)
	case i.Private == "" || err != nil:
		return h, fmt.Sprintf("instance %s has no address yet", i.ID)
	}
	h = cluster.Host{Name: i.member(), Address: private, Ports: cluster.StandardPorts(), Token: cluster.Token(i.tag(tagToken)), Paths: p.Paths,
		Way: cluster.Way{Address: login, Vouched: i.tag(tagMember)}}
	switch {
	case i.State != running:
		h.Pending = fmt.Sprintf("instance %s is %s", i.ID, i.State)
	case i.tag(tagContacted) == "":
		h.Pending = fmt.Sprintf("nobody has logged in to instance %s yet", i.ID)
	}
	h.Blank = i.tag(tagContacted) == ""
	h.Outdated = p.outdated(i)
	return h, ""
}

// outdated is where an instance differs from those that would be launched now. The
// size of its volume is not in the list of instances.
func (p *Provider) outdated(i instance) string {
	var out []string
	if want := p.spec().Image; i.Image != want {
		out = append(out, fmt.Sprintf("image %s, the spec wants %s", i.Image, want))
	}
	if want := p.spec().InstanceTypes; !slices.Contains(want, i.Type) {
		out = append(out, fmt.Sprintf("type %s, the spec wants %s", i.Type, strings.Join(want, " or ")))
	}
	return strings.Join(out, "; ")
}

// At implements hosts.Provider. List finds all.
func (p *Provider) At(context.Context, []netip.Addr) (hosts.Listing, error) {
	return hosts.Listing{}, nil
}

// Trace implements hosts.Provider. What ran on an instance that is gone has ended.
func (p *Provider) Trace(context.Context) ([]cluster.Host, error) { return nil, nil }

// look lists the instances of the cluster, those that were terminated a short while
// ago too. Calls that come while somebody looks share the next look.
func (p *Provider) look(ctx context.Context) ([]instance, error) {
	asked := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if p.seenAt.After(asked) {
		return p.seen, nil
	}
	began := time.Now()
	seen, err := p.api.instances(ctx, p.claim())
	if err != nil {
		return nil, err
	}
	p.seen, p.seenAt = seen, began
	return seen, nil
}

// find is the instance of a member that is not gone, and how many are.
func (p *Provider) find(ctx context.Context, name cluster.MemberName) (found *instance, ended int, err error) {
	seen, err := p.look(ctx)
	for _, i := range seen {
		switch {
		case i.member() != name:
		case i.State == terminated:
			ended++
		default:
			found = &i
		}
	}
	return found, ended, err
}

// wait is the pause between two looks. Its error is that of a context that ended.
func (p *Provider) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(p.Pause):
		return nil
	}
}

// errGone says that an instance ended while somebody waited for it.
var errGone = errors.New("it was terminated")
