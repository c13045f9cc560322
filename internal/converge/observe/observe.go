// Package observe is the second of five stages: it finds out what exists. It asks
// the name server, the hosts and the members, and puts their answers together
// as one cluster.State.
//
// It only reads. It never fails: what could not be read is in the state as
// unknown, with the reason, bounded in time, and later stages decide what may
// still be done. It draws the fresh random names that a plan may need, so that
// planning itself uses no randomness.
package observe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/world"
	"github.com/pleiad-etcd/pleiad/internal/world/etcd"
)

// Patience is how long each host may take until it is known what is on it. Hosts are
// asked at once, so that one that is slow delays the others and never hides them.
type Patience time.Duration

// What a look at hosts may cost. Glance is for a person who waits for a table: it
// takes five seconds at most, and a machine that answers at all takes a fraction
// of them, also on a busy controller. Steady is for whoever acts on what is seen:
// sudo on a machine whose name servers are mute takes 10 s, or 20 s where there
// are two (resolv.conf(5): two attempts of 5 s each), and a member there can still
// be started; so does sshd where it asks for the name of who logs in. A look at a
// machine takes one sudo, to find the host. Either may be made longer, see
// [Patience.AtLeast].
const (
	Glance = Patience(3750 * time.Millisecond)
	Steady = Patience(30 * time.Second)
)

// AtLeast is a patience that lasts for d, if that is longer.
func (p Patience) AtLeast(d time.Duration) Patience { return max(p, Patience(d)) }

// steady says whether somebody acts on what is seen.
func (p Patience) steady() bool { return p >= Steady }

// limits are how long hosts may take to be found, and how long from the
// beginning until what is on them is known.
func (p Patience) limits() (find, inspect time.Duration) {
	inspect = time.Duration(p)
	return inspect - min(inspect/3, 5*time.Second), inspect
}

// Limits on each question. A fresh member accepts connections and answers only
// when it has joined its peers, which takes up to a second or two: asking for
// that long is how the loop waits for it.
const (
	askDNS  = 5 * time.Second
	askEtcd = 2 * time.Second
	askZone = 3 * time.Second
	// askUnseen is for the member of a host that could not be inspected: it may
	// serve all the same, but waiting for it is not worth as much.
	askUnseen = time.Second
)

// Observe reads the state of one cluster. If the marker changes while the hosts
// are inspected, they would seem to know better than the marker: a [Steady]
// observation is repeated once. If the marker changed again, the records are unknown.
// In a Steady observation nothing is older than the marker: a member list from before
// an operation began would say that the operation has nothing left to do.
func Observe(ctx context.Context, spec cluster.Spec, w world.World, patience Patience) cluster.State {
	s, changed := once(ctx, spec, w, patience)
	if changed && patience.steady() {
		s, changed = once(ctx, spec, w, patience)
	}
	if changed {
		s.Records = cluster.Unknown[cluster.Records]("the marker changed while the hosts were inspected")
	}
	return s
}

// once is one look, and whether the marker changed meanwhile. What takes long is
// done at once: the hosts that were found are looked at while the addresses are
// read, and those that only the records know are asked meanwhile. A Glance does not
// wait for the marker either: nothing is planned from it, and a name server may be mute.
func once(ctx context.Context, spec cluster.Spec, w world.World, patience Patience) (s cluster.State, changed bool) {
	s = cluster.State{At: w.Now(), Fresh: w.Fresh(spec.Members)}
	if patience.steady() {
		names(ctx, spec, w, &s)
	}
	find, inspect := patience.limits()
	began := time.Now()
	found := make(chan struct{}) // closed when s.Hosts and s.Places are settled
	var looked []cluster.Host    // s.Hosts, each with what is on it
	var store cluster.Seen[cluster.Control]
	var all, inspecting sync.WaitGroup
	all.Go(func() {
		s.Hosts, s.Places = list(ctx, w, find)
		looked = slices.Clone(s.Hosts.Or(nil))
		inspecting.Add(len(looked))
		close(found)
		lookAt(ctx, w, looked, inspect-time.Since(began), inspecting.Done)
	})
	all.Go(func() { store = control(ctx, w) })
	if !patience.steady() {
		names(ctx, spec, w, &s)
	}
	<-found
	addresses(ctx, spec, w, &s)
	outside := removed(ctx, spec, w, &s, find)
	inspecting.Add(len(outside))
	all.Go(func() { lookAt(ctx, w, outside, inspect-time.Since(began), inspecting.Done) })
	dark, places := unseen(spec, s)
	lost, untraced := traced(ctx, spec, w, s, missing(spec, s, dark))
	all.Go(func() { ask(ctx, w, dark, askUnseen) })
	// Whoever destroys the cluster wants to know, and a busy member takes its time.
	all.Go(func() { ask(ctx, w, lost, inspect/8) })
	s.Visibility = visibility(ctx, spec, w, s.Records)
	inspecting.Wait()
	changed = remarked(ctx, spec, w, &s, inspect-time.Since(began)+askUnseen)
	all.Wait()
	s.Control, s.Places, s.Missing, s.Untraced = store, places, lost, untraced
	if s.Hosts.Known() {
		looked = slices.Concat(looked, outside, dark)
		slices.SortFunc(looked, byName)
		proof(ctx, spec, w, looked, s.At)
		s.Hosts = cluster.Known(looked)
	}
	return s, changed
}

func control(ctx context.Context, w world.World) cluster.Seen[cluster.Control] {
	c, err := w.Authority.Inspect(ctx)
	if err != nil {
		return cluster.Unknown[cluster.Control](err.Error())
	}
	return cluster.Known(c)
}

// names reads the state of our own name server, if it is ours, and the record
// sets with fixed names: the marker and the services.
func names(ctx context.Context, spec cluster.Spec, w world.World, s *cluster.State) {
	s.Server = cluster.Known(cluster.NameServer{})
	if w.Server != nil {
		status, err := w.Server.Status(ctx)
		if err != nil {
			s.Server = cluster.Unknown[cluster.NameServer](err.Error())
			unread(s, err.Error(), err)
			return
		}
		s.Server = cluster.Known(status)
	}
	keys := []cluster.Key{{Name: spec.MarkerName(), Type: cluster.TXT}}
	for _, name := range append([]string{spec.ServerService(), spec.ClientService()}, spec.RivalServices()...) {
		keys = append(keys, cluster.Key{Name: name, Type: cluster.SRV})
	}
	if found, ok := read(ctx, w, keys, s, askDNS); ok {
		s.Records = cluster.Known(found)
	}
}

// read reads record sets. If that fails the records of a state are unknown.
func read(ctx context.Context, w world.World, keys []cluster.Key, s *cluster.State, limit time.Duration) (cluster.Records, bool) {
	ctx, cancel := bound(ctx, limit)
	defer cancel()
	found, err := w.DNS.Read(ctx, keys)
	if err != nil {
		unread(s, reason(ctx, err), err)
	}
	return found, err == nil
}

func unread(s *cluster.State, why string, err error) {
	s.Records = cluster.UnknownFor[cluster.Records](cluster.Why{Text: why,
		Denied: errors.Is(err, fault.Denied), Lasting: fault.Lasting(err), Remedy: fault.Remedy(err)})
}

// addresses adds the address records of every name that the marker, a service
// or a host speaks of.
func addresses(ctx context.Context, spec cluster.Spec, w world.World, s *cluster.State) {
	first, known := s.Records.Get()
	if !known {
		return
	}
	var members []cluster.MemberName
	for _, h := range s.Hosts.Or(nil) {
		members = append(members, h.Name)
	}
	for _, set := range first.Sets {
		for _, v := range set.Values {
			members = append(members, mentioned(spec, set.Type, v)...)
		}
	}
	slices.Sort(members)
	if len(members) == 0 {
		return
	}
	var keys []cluster.Key
	for _, m := range slices.Compact(members) {
		name := spec.HostName(m) + "."
		keys = append(keys, cluster.Key{Name: name, Type: cluster.A}, cluster.Key{Name: name, Type: cluster.AAAA})
	}
	more, ok := read(ctx, w, keys, s, askDNS)
	if !ok {
		return
	}
	all := first
	for _, set := range more.Sets {
		all = all.With([]cluster.Change{{Key: set.Key, New: &set}})
	}
	s.Records = cluster.Known(all)
}

// remarked reads the marker again, now that the hosts were inspected, and says
// whether it is another one. Where no hosts were found there is nothing that it
// must agree with.
func remarked(ctx context.Context, spec cluster.Spec, w world.World, s *cluster.State, left time.Duration) bool {
	first, known := s.Records.Get()
	if !known || len(s.Hosts.Or(nil)) == 0 {
		return false
	}
	marker := spec.MarkerKey()
	last, ok := read(ctx, w, []cluster.Key{marker}, s, max(askUnseen, min(askDNS, left)))
	before, was := first.Get(marker)
	after, is := last.Get(marker)
	return ok && (was != is || !before.Equal(after))
}

// mentioned are the members that a marker or a service names.
func mentioned(spec cluster.Spec, kind cluster.RecordType, value string) []cluster.MemberName {
	switch kind {
	case cluster.TXT:
		if m, err := cluster.ParseMarker(value); err == nil {
			return slices.Concat(m.Members, m.Left)
		}
	case cluster.SRV:
		if s, err := cluster.ParseService(value); err == nil {
			if m, ok := spec.MemberOf(s.Target); ok {
				return []cluster.MemberName{m}
			}
		}
	}
	return nil
}

func list(ctx context.Context, w world.World, limit time.Duration) (cluster.Seen[[]cluster.Host], []cluster.Place) {
	listing, cancel := bound(ctx, limit)
	defer cancel()
	found, err := w.Hosts.List(listing)
	if err != nil {
		return cluster.Unknown[[]cluster.Host](reason(listing, err)), nil
	}
	slices.SortFunc(found.Hosts, byName)
	return cluster.Known(found.Hosts), found.Places
}

func bound(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %s", limit.Round(100*time.Millisecond)))
}

// lookAt looks at hosts at once, and says of each when it was inspected.
func lookAt(ctx context.Context, w world.World, hosts []cluster.Host, limit time.Duration, inspected func()) {
	var all sync.WaitGroup
	for i := range hosts {
		all.Go(func() { look(ctx, w, &hosts[i], limit, inspected) })
	}
	all.Wait()
}

func byName(a, b cluster.Host) int { return strings.Compare(string(a.Name), string(b.Name)) }

// look finds out what is on one host and what its member says.
func look(ctx context.Context, w world.World, h *cluster.Host, limit time.Duration, inspected func()) {
	if h.Pending != "" {
		inspected()
		h.Node, h.View = cluster.Unknown[cluster.Node](h.Pending), cluster.Unknown[cluster.View]("not running")
		if h.Blank {
			h.Node = cluster.Known(cluster.Node{})
		}
		return
	}
	inspecting, cancel := bound(ctx, limit)
	defer cancel()
	began, before := time.Now(), w.Now()
	n, err := w.Deliver.Inspect(inspecting, *h)
	inspected()
	if err != nil {
		h.Node = cluster.Unknown[cluster.Node](reason(inspecting, err))
	} else {
		h.Node, h.Skew = cluster.Known(n), skew(n.Clock, before, w.Now())
	}
	switch p := n.Process; {
	case err != nil:
		h.View = view(ctx, w, *h, askUnseen)
	case !p.Running:
		h.View = cluster.Unknown[cluster.View]("not running")
	case p.Gate != "":
		h.View = cluster.Unknown[cluster.View]("waits at its gate: " + p.Gate)
	default:
		// No later than that of a host that could not be inspected.
		h.View = view(ctx, w, *h, min(askEtcd, limit-time.Since(began)+askUnseen))
	}
}

// view is what the member of a host says within a limit.
func view(ctx context.Context, w world.World, h cluster.Host, limit time.Duration) cluster.Seen[cluster.View] {
	asking, cancel := bound(ctx, limit)
	defer cancel()
	v, err := w.Etcd.View(asking, h)
	if err != nil {
		return cluster.UnknownFor[cluster.View](cluster.Why{Text: reason(asking, err), Unasked: errors.Is(err, etcd.ErrUnasked), Lasting: errors.Is(err, etcd.ErrNoUser)})
	}
	return cluster.Known(v)
}

// reason is why something is unknown: our own limit, where that was it.
func reason(ctx context.Context, err error) string {
	if cause := context.Cause(ctx); cause != nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
		return cause.Error()
	}
	return err.Error()
}
