package ec2fake

import (
	"cmp"
	"time"
)

// Seed puts an instance there as somebody else would who launched it, and fills
// in what is left out: it runs in the account's first subnet. Its volumes must
// have been seeded before; [Server.Machines] does not hear of it.
func (s *Server) Seed(i Instance) Instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	subnet, ok := s.account.subnet(i.Subnet)
	if !ok {
		subnet = s.account.Subnets[0]
	}
	for _, d := range []struct {
		field *string
		value string
	}{
		{&i.ID, s.id("i")}, {(*string)(&i.State), string(Running)}, {&i.Image, s.account.Images[0]}, {&i.Type, s.account.Types[0]},
		{&i.Zone, subnet.Zone}, {&i.Subnet, subnet.ID}, {&i.VPC, subnet.VPC}, {&i.Interface, s.id("eni")},
	} {
		*d.field = cmp.Or(*d.field, d.value)
	}
	if i.Metadata == (Metadata{}) {
		i.Metadata = Metadata{Tokens: "optional", Endpoint: "enabled", HopLimit: 1, Tags: "disabled"}
	}
	if !i.PrivateAddress.IsValid() {
		i.PrivateAddress = s.free(subnet)[0]
	}
	if i.Launched.IsZero() {
		i.Launched = time.Now()
	}
	kept := &instance{Instance: i, reservation: s.id("r"), ran: true}
	kept.Instance = kept.snapshot() // the caller's maps stay the caller's
	s.instances[i.ID] = kept
	for _, id := range i.Volumes {
		s.volumes[id].State, s.volumes[id].Instance = InUse, i.ID
	}
	return kept.snapshot()
}

// SeedVolume puts a volume there as somebody else would, and fills in what is
// left out: it is available in the zone of the account's first subnet.
func (s *Server) SeedVolume(v Volume) Volume {
	s.mu.Lock()
	defer s.mu.Unlock()
	v.ID = cmp.Or(v.ID, s.id("vol"))
	v.Zone = cmp.Or(v.Zone, s.account.Subnets[0].Zone)
	v.State, v.Type, v.Size = cmp.Or(v.State, Available), cmp.Or(v.Type, "gp2"), cmp.Or(v.Size, rootSize)
	if v.Created.IsZero() {
		v.Created = time.Now()
	}
	kept := v.snapshot()
	s.volumes[v.ID] = &kept
	return v
}
