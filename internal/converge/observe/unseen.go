package observe

import (
	"context"
	"net/netip"
	"slices"
	"sync"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world"
)

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

// ask asks the members of hosts that could not be inspected: they may serve.
func ask(ctx context.Context, w world.World, hosts []cluster.Host) {
	var all sync.WaitGroup
	for i := range hosts {
		all.Go(func() { hosts[i].View = view(ctx, w, hosts[i], askUnseen) })
	}
	all.Wait()
}

// listed is the host of the member whose address record names an unseen place,
// or whose name the place has, unless that member's host was seen elsewhere.
func listed(spec cluster.Spec, s cluster.State, p cluster.Place) (cluster.Host, bool) {
	set, ok := s.Records.Value.Get(cluster.Key{Name: spec.MarkerName(), Type: cluster.TXT})
	if !ok || p.Unknown == "" || len(set.Values) != 1 {
		return cluster.Host{}, false
	}
	marker, err := cluster.ParseMarker(set.Values[0])
	if err != nil {
		return cluster.Host{}, false
	}
	if p.Member != "" {
		return byRecords(spec, s, marker, p)
	}
	for _, name := range marker.Members {
		want := spec.HostRecord(name, p.Address)
		have, ok := s.Records.Value.Get(want.Key)
		seen := slices.ContainsFunc(s.Hosts.Value, func(h cluster.Host) bool { return h.Name == name })
		if ok && have.Equal(want) && !seen {
			return cluster.Host{Name: name, Address: p.Address, Ports: cluster.StandardPorts(), Token: marker.Token,
				Node: cluster.Unknown[cluster.Node](p.Unknown)}, true
		}
	}
	return cluster.Host{}, false
}

// byRecords is the host of a place that has a member's name: where it is and
// where its member listens, the records of a sealed cluster say. With any of
// them missing it stays a place.
func byRecords(spec cluster.Spec, s cluster.State, m cluster.Marker, p cluster.Place) (cluster.Host, bool) {
	h := cluster.Host{Name: p.Member, Ports: cluster.StandardPorts(), Token: m.Token, Node: cluster.Unknown[cluster.Node](p.Unknown)}
	seen := slices.ContainsFunc(s.Hosts.Value, func(h cluster.Host) bool { return h.Name == p.Member })
	set, ok := s.Records.Value.Get(cluster.Key{Name: spec.HostName(p.Member) + ".", Type: cluster.A})
	if seen || !ok || len(set.Values) != 1 || !m.Has(p.Member) {
		return h, false
	}
	var err error
	if h.Address, err = netip.ParseAddr(set.Values[0]); err != nil {
		return h, false
	}
	for service, port := range map[string]*uint16{spec.ServerService(): &h.Ports.Peer, spec.ClientService(): &h.Ports.Client} {
		if *port, ok = portOf(spec, s.Records.Value, service, p.Member); !ok {
			return h, false
		}
	}
	return h, true
}

// portOf is a member's port in a service.
func portOf(spec cluster.Spec, r cluster.Records, service string, name cluster.MemberName) (uint16, bool) {
	set, _ := r.Get(cluster.Key{Name: service, Type: cluster.SRV})
	for _, v := range set.Values {
		if s, err := cluster.ParseService(v); err == nil && s.Target == spec.HostName(name)+"." {
			return s.Port, true
		}
	}
	return 0, false
}
