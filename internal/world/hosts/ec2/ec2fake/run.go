package ec2fake

import (
	"maps"
	"net/netip"
	"slices"
	"time"
)

func (s *Server) runInstances(c *call) (answer, *refusal) {
	o := c.order()
	if bad := c.sound(); bad != nil {
		return nil, bad
	}
	request := c.digest("DryRun")
	if before, ok := s.launches[o.client]; ok && o.client != "" {
		return s.replay(c, before, request)
	}
	subnet, bad := s.examine(o)
	if bad == nil {
		bad = c.ready()
	}
	if bad != nil {
		return nil, bad
	}
	count := o.most
	for bad = s.roomIn(subnet, o, count); bad != nil && count > o.least; bad = s.roomIn(subnet, o, count) {
		count--
	}
	if bad != nil {
		return nil, bad
	}
	var all []*instance
	id := s.id("r")
	for n := range count {
		i := s.launch(o, subnet)
		i.reservation, i.index = id, n
		i.busy++
		c.later = append(c.later, func() { s.start(i) })
		all = append(all, i)
	}
	if o.client != "" {
		s.launches[o.client] = launched{request, all}
	}
	return s.reservations(all)[0].answer(), nil
}

// replay gives what a client token gave before.
func (s *Server) replay(c *call, l launched, request string) (answer, *refusal) {
	if l.request != request {
		return nil, refuse("IdempotentParameterMismatch", "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).")
	}
	for _, i := range l.instances {
		if i.forgotten {
			return nil, refuse("IdempotentInstanceTerminated", "The client token was used for an instance that has been terminated")
		}
	}
	if bad := c.ready(); bad != nil {
		return nil, bad
	}
	return s.reservations(l.instances)[0].answer(), nil
}

// examine says whether what an order names exists.
func (s *Server) examine(o order) (Subnet, *refusal) {
	a := s.account
	for _, group := range o.network.groups {
		if !slices.Contains(a.SecurityGroups, group) {
			return Subnet{}, noGroup(group)
		}
	}
	switch {
	case !slices.Contains(a.Images, o.image):
		return Subnet{}, noImage(o.image)
	case o.key != "" && !slices.Contains(a.KeyPairs, o.key):
		return Subnet{}, noKeyPair(o.key)
	case !slices.Contains(a.Types, o.kind):
		return Subnet{}, refuse("InvalidParameterValue", "Invalid value '%s' for InstanceType.", o.kind)
	case o.profile != "" && !slices.Contains(a.Profiles, o.profile):
		return Subnet{}, refuse("InvalidParameterValue", "Value (%s) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name", o.profile)
	case o.network.subnet == "":
		return Subnet{}, refuse("VPCIdNotSpecified", "No default VPC for this user")
	}
	subnet, ok := a.subnet(o.network.subnet)
	if !ok {
		return Subnet{}, noSubnet(o.network.subnet)
	}
	if wanted := o.network.address; wanted.IsValid() {
		return subnet, s.examineAddress(subnet, wanted, o.most)
	}
	return subnet, nil
}

func (s *Server) examineAddress(subnet Subnet, wanted netip.Addr, count int) *refusal {
	switch {
	case count > 1:
		return refuse("InvalidParameterCombination", "The parameter privateIpAddress is for one instance")
	case !slices.Contains(subnet.addresses(), wanted):
		return refuse("InvalidParameterValue", "Address %s does not fall within the subnet's address range", wanted)
	case s.taken()[wanted]:
		return refuse("InvalidIPAddress.InUse", "Address %s is in use.", wanted)
	}
	return nil
}

// roomIn says why not so many instances fit.
func (s *Server) roomIn(subnet Subnet, o order, count int) *refusal {
	if bad := s.faults.room(o.kind, subnet.Zone, count); bad != nil {
		return bad
	}
	if len(s.free(subnet)) < count {
		return refuse("InsufficientFreeAddressesInSubnet", "There are not enough free addresses in subnet '%s' to satisfy the requested number of instances.", subnet.ID)
	}
	return nil
}

// launch makes one instance, for which there is room.
func (s *Server) launch(o order, subnet Subnet) *instance {
	i := &instance{Instance: Instance{
		ID: s.id("i"), State: Pending, ClientToken: o.client, Launched: time.Now(),
		Image: o.image, Type: o.kind, KeyName: o.key, Profile: o.profile, UserData: o.userData, Metadata: o.metadata, Protected: o.protected,
		Zone: subnet.Zone, Subnet: subnet.ID, VPC: subnet.VPC, Interface: s.id("eni"), SecurityGroups: o.network.groups, PrivateAddress: o.network.address,
		Tags: maps.Clone(o.tags["instance"]), InterfaceTags: maps.Clone(o.tags["network-interface"]),
	}}
	if !i.PrivateAddress.IsValid() {
		i.PrivateAddress = s.free(subnet)[0]
	}
	if len(i.SecurityGroups) == 0 {
		i.SecurityGroups = []string{defaultGroup(subnet.VPC)}
	}
	i.public = o.network.public == "true" || o.network.public == "" && subnet.Public
	s.publish(i)
	for _, d := range o.disks {
		v := &Volume{
			ID: s.id("vol"), Zone: subnet.Zone, State: InUse, Created: i.Launched, Tags: maps.Clone(o.tags["volume"]),
			Size: d.size, Type: d.kind, IOPS: d.iops, Throughput: d.throughput, Encrypted: d.encrypted, Key: d.key,
			Instance: i.ID, Device: d.device, DeleteOnTermination: d.delete,
		}
		s.volumes[v.ID] = v
		i.Volumes = append(i.Volumes, v.ID)
	}
	i.unseen, i.between = s.faults.lag.Unseen, s.faults.lag.Pending
	i.hidden = i.unseen > 0
	s.faults.charge(i)
	s.instances[i.ID] = i
	return i
}
