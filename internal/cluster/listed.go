package cluster

import "net/netip"

// Listed is where the records of a sealed cluster say that a member is, for
// where its host cannot say so itself: its address, and the ports at which peers
// and clients find it. With any of them missing it is nowhere: what is made up
// would be published.
func (s Spec) Listed(r Records, name MemberName) (Host, bool) {
	h := Host{Name: name, Ports: StandardPorts()}
	var published, served bool
	h.Ports.Peer, published = s.port(r, s.ServerService(), name)
	h.Ports.Client, served = s.port(r, s.ClientService(), name)
	for _, kind := range []RecordType{A, AAAA} {
		set, ok := r.Get(Key{Name: s.HostName(name) + ".", Type: kind})
		if !ok {
			continue
		}
		addr, err := netip.ParseAddr(set.Values[0])
		if err != nil || len(set.Values) != 1 || h.Address.IsValid() {
			h.Address = netip.Addr{} // one of several would be made up, too
			return h, false
		}
		h.Address = addr
	}
	return h, h.Address.IsValid() && published && served
}

// Published are the ports of a member in the services; 0 where it is in none.
func (s Spec) Published(r Records, name MemberName) Ports {
	var p Ports
	p.Peer, _ = s.port(r, s.ServerService(), name)
	p.Client, _ = s.port(r, s.ClientService(), name)
	return p
}

// Peer is a member's port in the service of the peers.
func (s Spec) Peer(r Records, name MemberName) (uint16, bool) {
	return s.port(r, s.ServerService(), name)
}

// port is a member's port in a service.
func (s Spec) port(r Records, service string, name MemberName) (uint16, bool) {
	set, _ := r.Get(Key{Name: service, Type: SRV})
	for _, v := range set.Values {
		if at, err := ParseService(v); err == nil && at.Target == s.HostName(name)+"." {
			return at.Port, true
		}
	}
	return 0, false
}
