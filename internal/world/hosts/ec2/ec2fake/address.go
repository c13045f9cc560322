package ec2fake

import "net/netip"

// addresses are those that a subnet can give: not the first four, which are
// EC2's own, and not the last. Of a large subnet it is the first 4096.
func (n Subnet) addresses() []netip.Addr {
	var out []netip.Addr
	a := n.Prefix.Masked().Addr()
	for range 4 {
		a = a.Next()
	}
	for ; n.Prefix.Contains(a.Next()) && len(out) < 4096; a = a.Next() {
		out = append(out, a)
	}
	return out
}

// taken are the addresses in use. A stopped instance keeps its private one.
func (s *Server) taken() map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	for _, i := range s.instances {
		out[i.PrivateAddress], out[i.PublicAddress] = true, true
	}
	return out
}

// free are the addresses of a subnet that are not taken, lowest first.
func (s *Server) free(n Subnet) []netip.Addr {
	taken := s.taken()
	var out []netip.Addr
	for _, a := range n.addresses() {
		if !taken[a] {
			out = append(out, a)
		}
	}
	return out
}

// publish gives an instance a public address if it gets one. It is another one
// after each start, as long as there are others.
func (s *Server) publish(i *instance) {
	if !i.public {
		return
	}
	taken := s.taken()
	s.published++
	for n := range 254 { // of those for documentation (RFC 5737)
		a := netip.AddrFrom4([4]byte{203, 0, 113, byte(1 + (s.published+n)%254)})
		if !taken[a] {
			i.PublicAddress = a
			return
		}
	}
	panic("more than 254 public addresses")
}
