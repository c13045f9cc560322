package ec2fake

import (
	"fmt"
	"slices"
)

func noSubnet(id string) *refusal {
	return refuse("InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist", id)
}

func noImage(id string) *refusal {
	return refuse("InvalidAMIID.NotFound", "The image id '[%s]' does not exist", id)
}

func noGroup(id string) *refusal {
	return refuse("InvalidGroup.NotFound", "The security group '%s' does not exist", id)
}

func noKeyPair(name string) *refusal {
	return refuse("InvalidKeyPair.NotFound", "The key pair '%s' does not exist", name)
}

func (a Account) subnet(id string) (Subnet, bool) {
	n := slices.IndexFunc(a.Subnets, func(s Subnet) bool { return s.ID == id })
	if n < 0 {
		return Subnet{}, false
	}
	return a.Subnets[n], true
}

// defaultGroup is the security group that a VPC always has.
func defaultGroup(vpc string) string { return "sg-default-" + vpc }

// listed is an action that lists what an account has: the resource and what
// stands for it in the answer.
type listed[T any] struct {
	set    string // element of the answer
	ids    string // parameter
	filter []string
	all    []T
	id     func(T) string
	show   func(*Server, T) any
	// property is the value that a filter looks at.
	property func(T, string) string
	missing  func(id string) *refusal
}

func list[T any](s *Server, c *call, l listed[T]) (answer, *refusal) {
	ids, filters := c.list(l.ids), c.filters(l.filter...)
	if bad := c.ready(); bad != nil {
		return nil, bad
	}
	for _, id := range ids {
		if !slices.ContainsFunc(l.all, func(t T) bool { return l.id(t) == id }) {
			return nil, l.missing(id)
		}
	}
	var found []any
	for _, t := range l.all {
		if (ids == nil || slices.Contains(ids, l.id(t))) && filters.match(nil, func(f string) []string { return []string{l.property(t, f)} }) {
			found = append(found, l.show(s, t))
		}
	}
	return answer{{l.set, set[any]{found}}}, nil
}

// self is the ID of what is its own ID, and the only property that it has.
func self(id string) string { return id }

func only(id, _ string) string { return id }

func (s *Server) describeSubnets(c *call) (answer, *refusal) {
	return list(s, c, listed[Subnet]{
		set: "subnetSet", ids: "SubnetId", filter: []string{"subnet-id", "vpc-id", "availability-zone", "availability-zone-id"},
		all: s.account.Subnets, id: func(n Subnet) string { return n.ID }, show: (*Server).shownSubnet, missing: noSubnet,
		property: func(n Subnet, filter string) string {
			return map[string]string{"subnet-id": n.ID, "vpc-id": n.VPC, "availability-zone": n.Zone, "availability-zone-id": n.ZoneID}[filter]
		},
	})
}

func (s *Server) describeImages(c *call) (answer, *refusal) {
	c.list("Owner")
	return list(s, c, listed[string]{
		set: "imagesSet", ids: "ImageId", filter: []string{"image-id"},
		all: s.account.Images, id: self, property: only, show: (*Server).shownImage, missing: noImage,
	})
}

func (s *Server) describeSecurityGroups(c *call) (answer, *refusal) {
	vpc := ""
	if len(s.account.Subnets) > 0 {
		vpc = s.account.Subnets[0].VPC
	}
	return list(s, c, listed[string]{
		set: "securityGroupInfo", ids: "GroupId", filter: []string{"group-id", "vpc-id"},
		all: s.account.SecurityGroups, id: self, missing: noGroup,
		property: func(id, filter string) string { return map[string]string{"group-id": id, "vpc-id": vpc}[filter] },
		show: func(_ *Server, id string) any {
			return groupXML{ID: id, Name: id, Description: id, Owner: owner, VPC: vpc}
		},
	})
}

func (s *Server) describeKeyPairs(c *call) (answer, *refusal) {
	return list(s, c, listed[string]{
		set: "keySet", ids: "KeyName", filter: []string{"key-name"},
		all: s.account.KeyPairs, id: self, property: only, missing: noKeyPair,
		show: func(_ *Server, name string) any {
			return keyPairXML{ID: fmt.Sprintf("key-%x", name), Name: name, Type: "ed25519"}
		},
	})
}
