package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/spec"
	"github.com/pleiad-etcd/pleiad/internal/operate"
	"github.com/pleiad-etcd/pleiad/internal/system/given"
	"github.com/pleiad-etcd/pleiad/internal/system/shell"
	"github.com/pleiad-etcd/pleiad/internal/world/statedir"
)

// find says which cluster a command line is about: what the file says; else
// what was used last for the cluster of this name, changed by the flags; else
// the defaults, changed by the flags.
func (g *globals) find(ctx context.Context, s *System) (operate.Target, error) {
	var t operate.Target
	var err error
	if t.Root, err = statedir.Root(g.stateDir, s.Env); err != nil {
		return t, err
	}
	if t.Spec, err = spec.FromFlags(g.flags, g.readOnce(ctx)); err != nil {
		return t, badSpec(g.flags.File, err)
	}
	// The spec is kept for commands that are typed elsewhere.
	if err = spec.Resolve(&t.Spec, filepath.Abs); err != nil {
		return t, err
	}
	if t.Home, err = statedir.Open(t.Root, t.Spec.Cluster); errors.Is(err, statedir.ErrNone) {
		t.Home = nil
		return t, nil
	} else if err != nil {
		return t, err
	}
	// What a file says takes the place of a stored spec that cannot be read.
	if t.Stored, err = operate.Stored(t.Home); err != nil && g.flags.File == "" {
		return t, g.withoutSpec(t, damagedSpec(t.Home, err))
	}
	if g.flags.File == "" {
		if err := g.recall(&t); err != nil {
			return t, err
		}
	}
	return t, g.contradiction(t)
}

// known is find for commands that need a cluster to be there.
func (g *globals) known(ctx context.Context, s *System) (operate.Target, error) {
	t, err := g.find(ctx, s)
	if err != nil || t.Home != nil {
		return t, err
	}
	f := &failure{act: fmt.Sprintf("find cluster %s", t.Spec.Cluster), err: errors.New("there is no such cluster in " + t.Root), exit: NoCluster,
		hints: []string{"create it: " + g.again("up")}}
	if left, err := statedir.Remains(t.Root, t.Spec.Cluster); err == nil && left != nil {
		f.hints = []string{"parts of one are left in " + left.Dir() + "; recreate its home.json: " + g.again("take-over")}
	} else {
		g.elsewhere(ctx, s, t, f)
		if ctx.Err() != nil {
			return t, context.Cause(ctx)
		}
	}
	for _, name := range g.clusters(s) {
		f.hints = append(f.hints, "known here: --cluster "+name)
	}
	return t, f
}

// clusters are the names of those that are known here, for completion and
// hints; none if they cannot be read.
func (g *globals) clusters(s *System) []string {
	root, err := statedir.Root(g.stateDir, s.Env)
	if err != nil {
		return nil
	}
	names, err := statedir.List(root)
	if err != nil {
		return nil
	}
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = string(n)
	}
	return out
}

// readOnce reads the spec's file once for a command, however often that looks
// for its cluster: what comes through a pipe comes once.
func (g *globals) readOnce(ctx context.Context) func(string) ([]byte, error) {
	return func(file string) ([]byte, error) {
		var err error
		if g.text == nil {
			g.text, err = given.Read(ctx, file, spec.MaxSize)
		}
		return g.text, err
	}
}

// badSpec is a spec that cannot be read at all.
func badSpec(name string, err error) error {
	var problems *spec.Error
	if errors.As(err, &problems) || errors.Is(err, context.Canceled) {
		return err
	}
	var file *fs.PathError
	if errors.As(err, &file) {
		err = file
	}
	f := &failure{act: "read the spec", err: err, exit: BadSpec}
	if errors.Is(err, fs.ErrNotExist) {
		f.hints = []string{"write one to start from: pleiad init -f " + shell.Quote(name)}
	}
	return f
}

// recall makes the spec of what was used last, changed by the flags. Of a home
// in which nothing was stored yet, where the cluster was to live is known. An
// owner without a spec is never a fresh start: a cluster was begun from here, and
// the defaults would begin another one beside it, or let a destroy look for it
// in the wrong place, find nothing, and forget its CA.
func (g *globals) recall(t *operate.Target) (err error) {
	switch seat := t.Home.Seat(); {
	case t.Stored != nil:
		t.Spec, err = g.flags.Apply(*t.Stored)
	case t.Home.Claimed():
		return g.withoutSpec(*t, lostSpec(t.Home))
	case g.flags.Domain == nil:
		t.Spec.Domain = seat.Domain
	}
	return err
}

// withoutSpec is the error of a cluster whose stored spec is of no use.
func (g *globals) withoutSpec(t operate.Target, why error) error {
	seat := t.Home.Seat()
	return &failure{act: "find the spec of cluster " + string(t.Spec.Cluster), err: why, hints: []string{
		"restore it from a backup, if there is one",
		"else give it again, with the values the cluster had: " + g.inFile("pleiad.yaml").again(g.command),
		"a file to start from: pleiad init --hosts " + seat.Hosts + " --dns " + seat.DNS + " -f pleiad.yaml"}}
}

func lostSpec(h *statedir.Home) *statedir.Error {
	return specError(h, fmt.Sprintf("missing, but this directory owns cluster %s%s", h.Cluster(), lives(h)))
}

// damagedSpec is the error of a stored spec that is not one. An interrupted
// command says nothing about it.
func damagedSpec(h *statedir.Home, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	why, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), filepath.Join(h.Dir(), "spec.yaml")+":"), "\n")
	return specError(h, fmt.Sprintf("not readable (%s); cluster %s is%s", strings.TrimSpace(why), h.Cluster(), lives(h)))
}

func specError(h *statedir.Home, problem string) *statedir.Error {
	return &statedir.Error{Path: filepath.Join(h.Dir(), "spec.yaml"), Problem: problem, Kind: statedir.ErrDamaged}
}

// lives says where a cluster lives.
func lives(h *statedir.Home) string {
	seat := h.Seat()
	return fmt.Sprintf(" on %s, with hosts of kind %s and its records in %s", seat.Domain, seat.Hosts, records(seat))
}

// contradiction refuses a spec that is about another cluster than the one of
// this name: to mix them would lose sight of the records or hosts of one. It leaves
// to the planner what that can judge: size, options, TLS.
func (g *globals) contradiction(t operate.Target) error {
	was, is := t.Home.Seat(), statedir.SeatOf(t.Spec)
	switch {
	case t.Stored != nil:
		was = statedir.SeatOf(*t.Stored)
	case !t.Home.Claimed(): // only the domain has begun to matter
		was = statedir.Seat{Domain: was.Domain, DiscoveryName: is.DiscoveryName, Hosts: is.Hosts, Region: is.Region, DNS: is.DNS, Zone: is.Zone}
	}
	var what string
	switch {
	case was.Domain != is.Domain:
		what = fmt.Sprintf("its domain is %s, not %s", was.Domain, is.Domain)
	case was.DiscoveryName != is.DiscoveryName:
		what = fmt.Sprintf("its discoveryName is %q, not %q", was.DiscoveryName, is.DiscoveryName)
	case was.DNS != is.DNS || was.Zone != is.Zone:
		what = fmt.Sprintf("its records are in %s, not in %s", records(was), records(is))
	case was.Hosts != is.Hosts:
		what = fmt.Sprintf("its hosts are of kind %s, not %s", was.Hosts, is.Hosts)
	case was.Region != is.Region:
		what = fmt.Sprintf("its instances are in region %s, not %s", was.Region, is.Region)
	default:
		return nil
	}
	return &failure{act: fmt.Sprintf("use this spec for cluster %s", t.Spec.Cluster), err: errors.New(what), exit: BadSpec, hints: []string{
		"give the other cluster a name of its own: --cluster NAME, or cluster: NAME in the file",
		"or destroy this cluster first: " + (&globals{flags: spec.Flags{Cluster: ptr(string(t.Spec.Cluster))}, stateDir: g.stateDir}).again("destroy"),
	}}
}

// astray gives the words to an error of an operation that did not find its cluster
// where the spec has it.
func astray(err error) error {
	var e *operate.AstrayError
	if !errors.As(err, &e) {
		return err
	}
	f := &failure{act: fmt.Sprintf("find cluster %s", e.Spec.Cluster), exit: BadSpec,
		err: fmt.Errorf("%s shows no marker of it on %s, but the cluster was created from here", provider(e.Spec), e.Spec.MarkerName())}
	if e.Former != "" {
		f.err = fmt.Errorf("%s shows no marker of it; its records were in %s until now", e.Server, e.Former)
		f.hints = []string{"have the new server serve the zone with all its records, or go on with: server: " + e.Former}
		return f
	}
	f.hints = []string{"put the zone back as it was, or name the domain, the discoveryName and the name server that the cluster had"}
	return f
}

// provider says where records are written.
func provider(s cluster.Spec) string {
	if s.ServesZone() {
		return "the embedded name server"
	}
	return "zone " + s.Zone() + " on " + s.Primary()
}

// records says where the records of a cluster are.
func records(s statedir.Seat) string { return "zone " + s.Zone + " (" + s.DNS + ")" }
