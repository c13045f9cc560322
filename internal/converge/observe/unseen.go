package observe

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world"
)

// removed finds hosts where the records have a member whose address is not one of the
// spec any more: it stays ours until it has left, and where it cannot be inspected
// that is unknown, like the address of any other. The hosts that are found are added
// to a state, and returned, for somebody to look at them.
func removed(ctx context.Context, spec cluster.Spec, w world.World, s *cluster.State, limit time.Duration) []cluster.Host {
	m, marked := markerOf(spec, *s)
	found, known := s.Hosts.Get()
	if !marked || !known || spec.Machines() == nil {
		return nil
	}
	var outside []netip.Addr
	for _, name := range slices.Concat(m.Members, m.Left) {
		h, _ := spec.Listed(s.Records.Or(cluster.Records{}), name)
		here := slices.ContainsFunc(found, func(f cluster.Host) bool { return f.Name == name || f.Address == h.Address })
		if h.Address.IsValid() && !here && !slices.Contains(slices.Concat(spec.Machines(), outside), h.Address) {
			outside = append(outside, h.Address)
		}
	}
	if outside == nil {
		return nil
	}
	looking, cancel := bound(ctx, limit)
	defer cancel()
	l, err := w.Hosts.At(looking, outside)
	if err != nil {
		s.Hosts = cluster.Unknown[[]cluster.Host](reason(looking, err))
		return nil
	}
	more := slices.DeleteFunc(l.Hosts, func(h cluster.Host) bool {
		return slices.ContainsFunc(found, func(f cluster.Host) bool { return f.Name == h.Name })
	})
	s.Hosts = cluster.Known(slices.SortedFunc(slices.Values(slices.Concat(found, more)), byName))
	for _, p := range l.Places {
		if p.Unknown != "" { // no other place outside of the spec is ours to use
			s.Places = append(s.Places, p)
		}
	}
	return slices.Clone(more)
}

// unseen are the hosts on places that could not be inspected, and the places
// that are left: the one list in DNS says whose address one is. Such a host is
// there, and only what is on it is unknown. A place that the list does not name
// stays as it is.
func unseen(spec cluster.Spec, s cluster.State) (found []cluster.Host, rest []cluster.Place) {
	if !s.Hosts.Known() || !s.Records.Known() {
		return nil, s.Places
	}
	for _, p := range s.Places {
		if h, ok := listed(spec, s, p); ok {
			found = append(found, h)
		} else {
			rest = append(rest, p)
		}
	}
	return found, rest
}

// missing are the members of the marker that once had a host and now have none,
// not even an unseen one. A member that is not in the service of the peers has
// no host yet, or its host is already destroyed, unless the marker is sealed.
func missing(spec cluster.Spec, s cluster.State, dark []cluster.Host) []cluster.Host {
	m, ok := markerOf(spec, s)
	if !s.Hosts.Known() || !ok {
		return nil
	}
	var out []cluster.Host
	for _, name := range m.Members {
		here := func(h cluster.Host) bool { return h.Name == name && h.Token == m.Token }
		if slices.ContainsFunc(s.Hosts.Or(nil), here) || slices.ContainsFunc(dark, here) {
			continue
		}
		h, whole := spec.Listed(s.Records.Or(cluster.Records{}), name)
		joins := m.Op.Kind == cluster.Add && m.Op.Member == name
		if (m.Phase != cluster.Sealed || joins) && h.Ports.Peer == 0 {
			continue
		}
		h.Token, h.Node = m.Token, cluster.Unknown[cluster.Node]("its host was not found")
		if !whole && spec.OnMachines() && h.Address.IsValid() {
			h.Ports, whole = cluster.StandardPorts(), true // those of a machine, also when its clients were sent away
		}
		if !whole {
			h.View = cluster.Unknown[cluster.View]("the records do not say where it is")
		}
		out = append(out, h)
	}
	return out
}

// traced adds to the missing members what still runs of them, and of hosts that
// nothing else speaks of, or says why that could not be found out. It looks only
// where something was lost, is about to be made, or is about to be forgotten.
func traced(ctx context.Context, spec cluster.Spec, w world.World, s cluster.State, lost []cluster.Host) (all []cluster.Host, untraced string) {
	m, marked := markerOf(spec, s)
	copied := slices.ContainsFunc(s.Hosts.Or(nil), func(h cluster.Host) bool { return h.Copy != "" })
	if !s.Hosts.Known() || marked && m.Phase != cluster.Destroying && len(lost) == 0 && !copied && !launches(m, s) {
		return lost, ""
	}
	found, err := w.Hosts.Trace(ctx)
	if err != nil {
		return lost, err.Error()
	}
	for _, h := range found {
		i := slices.IndexFunc(lost, func(l cluster.Host) bool { return l.Name == h.Name })
		if i < 0 {
			at, _ := spec.Listed(s.Records.Or(cluster.Records{}), h.Name)
			at.View = cluster.Unknown[cluster.View]("nothing says where it is")
			lost, i = append(lost, at), len(lost)
		}
		lost[i].Paths, lost[i].Node = h.Paths, h.Node
	}
	return lost, ""
}

// launches says whether a member of a bootstrap, or one that joins, has no host, so
// that one may be made. A zone from the past does not say that there was one.
func launches(m cluster.Marker, s cluster.State) bool {
	return (m.Phase == cluster.Bootstrapping || m.Op.Kind == cluster.Add) && slices.ContainsFunc(m.Members, func(name cluster.MemberName) bool {
		return !slices.ContainsFunc(s.Hosts.Or(nil), func(h cluster.Host) bool { return h.Name == name && h.Token == m.Token })
	})
}

// markerOf is the marker, if there is one that can be read.
func markerOf(spec cluster.Spec, s cluster.State) (cluster.Marker, bool) {
	if !s.Records.Known() {
		return cluster.Marker{}, false
	}
	m, found, _ := spec.Marker(s.Records.Or(cluster.Records{}))
	return m, found
}

// ask asks members on hosts that could not be inspected or found: they may serve.
func ask(ctx context.Context, w world.World, all []cluster.Host, limit time.Duration) {
	var asking sync.WaitGroup
	for i := range all {
		if !all[i].View.Tried() {
			asking.Go(func() { all[i].View = view(ctx, w, all[i], limit) })
		}
	}
	asking.Wait()
}

// listed is the host of the member whose address record names an unseen place,
// or whose name the place has, unless that member's host was seen elsewhere. A member
// that has left may still be where it was.
func listed(spec cluster.Spec, s cluster.State, p cluster.Place) (cluster.Host, bool) {
	marker, ok := markerOf(spec, s)
	if !ok || p.Unknown == "" {
		return cluster.Host{}, false
	}
	seen := func(name cluster.MemberName) bool {
		return slices.ContainsFunc(s.Hosts.Or(nil), func(h cluster.Host) bool { return h.Name == name })
	}
	if p.Member != "" {
		h, ok := spec.Listed(s.Records.Or(cluster.Records{}), p.Member)
		h.Token, h.Node = marker.Token, cluster.UnknownFor[cluster.Node](p.Why())
		return h, ok && marker.Has(p.Member) && !seen(p.Member)
	}
	for _, name := range slices.Concat(marker.Members, marker.Left) {
		want := spec.HostRecord(name, p.Address)
		have, ok := s.Records.Or(cluster.Records{}).Get(want.Key)
		if ok && have.Equal(want) && !seen(name) {
			return cluster.Host{Name: name, Address: p.Address, Ports: cluster.StandardPorts(), Token: marker.Token,
				Node: cluster.UnknownFor[cluster.Node](p.Why())}, true
		}
	}
	return cluster.Host{}, false
}
