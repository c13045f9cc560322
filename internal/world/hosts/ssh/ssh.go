// Package ssh provides hosts that are machines somebody set up: their
// addresses are in the spec, and they are reached over SSH. It implements
// hosts.Provider; package sshexec is how it reaches them, package agent what
// removes a member's things from one.
//
// A machine belongs to a cluster by a claim, a file on the machine itself
// ([node.ClaimFile]), made in one instant and only where there is none. A
// machine without a claim that holds another etcd is an occupied place; one that
// cannot be asked is an unknown place. Nothing is kept here between two calls
// but what a List has just seen, for the Launches that follow it.
//
// What it promises beyond hosts.Provider: whichever controllers work at once
// on one spec, a name is claimed on one machine at most (see [Provider.Launch]),
// and a claim that was copied with a disk counts as somebody else's.
package ssh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
)

// Machine runs commands on one machine; package sshexec implements it.
type Machine interface {
	// Run runs a command as root and returns what it printed.
	Run(ctx context.Context, command string, stdin io.Reader) ([]byte, error)
	// Look is Run for a command that reads nothing, when there may be more to look at.
	Look(ctx context.Context, command string) ([]byte, error)
}

// Config of a provider. All fields are set.
type Config struct {
	Spec cluster.Spec
	// Machine is the machine at an address of the spec.
	Machine func(netip.Addr) Machine
	// Fits says why no member can run on a machine; it is asked before one is claimed.
	Fits func(ctx context.Context, addr netip.Addr) error
	// Clear takes everything of a member off a machine but the claim and
	// pleiad's own binaries. It refuses with hosts.ErrBusy while the member
	// runs. What is not there is no error.
	Clear func(ctx context.Context, h cluster.Host, fate hosts.DataFate) error
}

// Provider is a hosts.Provider for one cluster.
type Provider struct {
	Config
	places []netip.Addr // sorted, so that all controllers fill them in one order

	mu     sync.Mutex // one Launch at a time; guards what follows
	seen   []sight
	seenAt time.Time // when the looking began
}

var _ hosts.Provider = (*Provider)(nil)

// New returns a provider. It asks nobody.
func New(c Config) *Provider {
	places := slices.Clone(c.Spec.Machines())
	slices.SortFunc(places, netip.Addr.Compare)
	return &Provider{Config: c, places: places}
}

// List implements hosts.Provider. A place that does not answer before ctx's
// deadline is unknown, and the others are as they were seen. A name that is claimed on two machines makes
// it fail.
func (p *Provider) List(ctx context.Context) (hosts.Listing, error) {
	l, err := p.list(ctx, p.places)
	if err != nil {
		return hosts.Listing{}, fmt.Errorf("list hosts of cluster %s: %w", p.Spec.Cluster, err)
	}
	return l, nil
}

// At implements hosts.Provider.
func (p *Provider) At(ctx context.Context, addresses []netip.Addr) (hosts.Listing, error) {
	l, err := p.list(ctx, addresses)
	if err != nil {
		return hosts.Listing{}, fmt.Errorf("look for hosts of cluster %s outside its spec: %w", p.Spec.Cluster, err)
	}
	return l, nil
}

func (p *Provider) list(ctx context.Context, places []netip.Addr) (hosts.Listing, error) {
	l, err := listing(p.look(ctx, places))
	if err == nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = ctx.Err()
	}
	return l, err
}

func listing(seen []sight) (hosts.Listing, error) {
	var l hosts.Listing
	at := map[cluster.MemberName]netip.Addr{}
	for _, s := range seen {
		switch {
		case s.host == nil:
			l.Places = append(l.Places, s.place)
			continue
		case at[s.host.Name].IsValid():
			return l, fmt.Errorf("%s is claimed on %s and on %s; remove %s where its member does not run", s.host.Name, at[s.host.Name], s.host.Address, node.ClaimFile)
		}
		at[s.host.Name] = s.host.Address
		l.Hosts = append(l.Hosts, *s.host)
	}
	slices.SortFunc(l.Hosts, func(a, b cluster.Host) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return l, nil
}

// look looks at places at once.
func (p *Provider) look(ctx context.Context, places []netip.Addr) []sight {
	seen := make([]sight, len(places))
	var all sync.WaitGroup
	for i, addr := range places {
		all.Go(func() { seen[i] = p.lookAt(ctx, addr) })
	}
	all.Wait()
	return seen
}

// Launch implements hosts.Provider: it claims the first free place. Places are
// tried in one order by all, claims are exclusive, and none is given back
// while hosts are launched. So a controller that claims a name on a place has
// seen every earlier place taken by another name, which stays so: nobody else
// can claim the same name there, nor, once this claim stands, further on.
func (p *Provider) Launch(ctx context.Context, name cluster.MemberName, token cluster.Token, others ...netip.Addr) error {
	if err := p.launch(ctx, name, token, others); err != nil {
		return fmt.Errorf("launch host %s: %w", name, err)
	}
	return nil
}

func (p *Provider) launch(ctx context.Context, name cluster.MemberName, token cluster.Token, others []netip.Addr) error {
	asked := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.seenAt.After(asked) { // else another Launch has just looked, since this one was called
		p.seenAt = time.Now()
		p.seen = p.look(ctx, p.places)
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		i, err := choose(p.seen, name, token, others)
		if err != nil || i < 0 {
			return err
		}
		if err := p.Fits(ctx, p.places[i]); err != nil {
			return fmt.Errorf("%s: %w", p.places[i], err)
		}
		switch host, err := p.claim(ctx, p.places[i], name, token); {
		case err == nil:
			p.seen[i] = sight{host: &host}
		case errors.Is(err, errClaimed): // somebody was quicker: who?
			p.seen[i] = p.lookAt(ctx, p.places[i])
		default:
			p.seenAt = time.Time{} // it was made or not: look again
			return err
		}
	}
}

// choose is the place for a new host: an index, or -1 if the host is there.
func choose(seen []sight, name cluster.MemberName, token cluster.Token, others []netip.Addr) (int, error) {
	free := -1
	for i, s := range seen {
		switch {
		case s.host != nil && s.host.Name == name && s.host.Token != token:
			return -1, fmt.Errorf("%s holds incarnation %s of it, want %s: %w", s.host.Address, s.host.Token, token, hosts.ErrForeign)
		case s.host != nil && s.host.Name == name:
			return -1, nil
		case s.host == nil && s.place.Unknown != "" && slices.Contains(others, s.place.Address):
		case s.host == nil && s.place.Unknown != "":
			return -1, fmt.Errorf("it may be on %s, which could not be inspected: %s", s.place.Address, s.place.Unknown)
		case s.host == nil && s.place.Free() && free < 0:
			free = i
		}
	}
	if free < 0 {
		return -1, fmt.Errorf("%s: %w", tally(seen), hosts.ErrNoPlace)
	}
	return free, nil
}

// tally says what all places are, for when none is left.
func tally(seen []sight) string {
	var parts []string
	for _, s := range seen {
		if s.host != nil {
			parts = append(parts, fmt.Sprintf("%s is host %s", s.host.Address, s.host.Name))
		} else {
			parts = append(parts, fmt.Sprintf("%s: %s", s.place.Address, cmp.Or(s.place.Taken, s.place.Unknown)))
		}
	}
	return strings.Join(parts, "; ")
}

// Await implements hosts.Provider. Whoever gave the machine has made it ready.
func (p *Provider) Await(context.Context, cluster.Host, func(string)) error { return nil }

// Trace implements hosts.Provider. Nothing is found: a machine that is no longer
// in the spec is not asked.
func (p *Provider) Trace(context.Context) ([]cluster.Host, error) { return nil, nil }

// Terminate implements hosts.Provider. The claim goes last: as long as
// anything is left, the machine is the cluster's.
func (p *Provider) Terminate(ctx context.Context, h cluster.Host, fate hosts.DataFate) error {
	if err := p.terminate(ctx, h, fate); err != nil {
		return fmt.Errorf("terminate host %s: %w", h.Name, err)
	}
	return nil
}

func (p *Provider) terminate(ctx context.Context, h cluster.Host, fate hosts.DataFate) error {
	places := p.places
	if h.Address.IsValid() && !slices.Contains(places, h.Address) { // it left the spec
		places = append(slices.Clone(places), h.Address)
	}
	l, err := listing(p.look(ctx, places))
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return err
	}
	i := slices.IndexFunc(l.Hosts, func(found cluster.Host) bool { return found.Name == h.Name })
	if i >= 0 {
		if err := p.Clear(ctx, l.Hosts[i], fate); err != nil {
			return err
		}
		return p.release(ctx, l.Hosts[i])
	}
	for _, place := range l.Places {
		if place.Unknown != "" {
			return fmt.Errorf("it may be on %s, which could not be inspected: %s", place.Address, place.Unknown)
		}
	}
	return nil
}
