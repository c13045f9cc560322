package operate

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/pleiad-etcd/pleiad/discovery"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/observe"
	"github.com/pleiad-etcd/pleiad/internal/world/real"
)

// LookDirect is [Look] without the names: it asks the members where [Locate] finds
// them. What it says of them is what their clients would see if DNS told them.
func LookDirect(ctx context.Context, spec cluster.Spec, w real.World) (Health, error) {
	found, err := Locate(ctx, spec, w)
	if err != nil {
		return Health{}, err
	}
	h, err := lookAt(ctx, spec, w, found, true)
	h.Direct = true
	return h, err
}

// Locate finds the members of a cluster without asking a resolver: those on the
// marker, each at the address of its host. The host of one that was not found may be
// where its records say, as the name server has them to which they are written. While
// the marker is unknown, the members are the hosts that carry the cluster's claim.
// Every endpoint has the member's name beside the address, which is what its
// certificate is verified for.
func Locate(ctx context.Context, spec cluster.Spec, w real.World) (discovery.Cluster, error) {
	s := observe.Observe(ctx, spec, w.World, observe.Glance)
	if err := ctx.Err(); err != nil {
		return discovery.Cluster{}, context.Cause(ctx)
	}
	return located(spec, s)
}

// located makes endpoints of what was observed.
func located(spec cluster.Spec, s cluster.State) (discovery.Cluster, error) {
	out := discovery.Cluster{Domain: spec.Domain, Service: spec.ClientService()}
	hosts := s.Hosts.Or(nil)
	records, known := s.Records.Get()
	marker, marked, err := spec.Marker(records)
	switch {
	case err != nil:
		return out, err
	case known && !marked:
		return out, fmt.Errorf("there is no marker on %s, so that nothing says who its members are", spec.MarkerName())
	case !known:
		if marker, err = claimed(s); err != nil {
			return out, err
		}
	}
	roster := spec.Roster(marker, hosts, records)
	for _, name := range marker.Members {
		e := discovery.Endpoint{Host: spec.HostName(name), TLS: spec.TLS}
		if h, found := roster.Member(name); found {
			e.Port, e.Addrs = h.Ports.Client, []netip.Addr{h.Address}
		} else {
			e.Port, e.Addrs = spec.Published(records, name).Client, addresses(spec, records, name)
		}
		if len(e.Addrs) == 0 || e.Port == 0 {
			e.Addrs, e.AddrErr = nil, &discovery.Error{Kind: discovery.ErrUnavailable, Names: []string{e.Host + "."},
				Err: errors.New("neither its host was found, nor an address in its records")}
		}
		out.Endpoints = append(out.Endpoints, e)
	}
	if len(out.Endpoints) == 0 {
		return out, errors.New("the cluster has no members")
	}
	slices.SortFunc(out.Endpoints, func(a, b discovery.Endpoint) int { return strings.Compare(a.Host, b.Host) })
	return out, nil
}

// claimed is the marker as far as hosts tell it while it cannot be read: who is a
// member. Hosts of two incarnations are not one cluster.
func claimed(s cluster.State) (cluster.Marker, error) {
	var m cluster.Marker
	why := "its records cannot be read: " + s.Records.Why().Text
	if !s.Hosts.Known() {
		return m, fmt.Errorf("%s; nor can its hosts: %s", why, s.Hosts.Why())
	}
	for _, h := range s.Hosts.Or(nil) {
		if m.Token != "" && m.Token != h.Token {
			return m, fmt.Errorf("%s; and its hosts are of two incarnations", why)
		}
		m.Token = h.Token
		m.Members = append(m.Members, h.Name)
	}
	if len(m.Members) == 0 {
		return m, fmt.Errorf("%s; and no host of it was found", why)
	}
	return m, nil
}

// addresses are those that the records give a member.
func addresses(spec cluster.Spec, r cluster.Records, name cluster.MemberName) []netip.Addr {
	var out []netip.Addr
	for _, kind := range []cluster.RecordType{cluster.A, cluster.AAAA} {
		set, _ := r.Get(cluster.Key{Name: spec.HostName(name) + ".", Type: kind})
		for _, v := range set.Values {
			if a, err := netip.ParseAddr(v); err == nil {
				out = append(out, a)
			}
		}
	}
	return out
}
