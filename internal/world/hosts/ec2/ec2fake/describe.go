package ec2fake

import "slices"

func (s *Server) describeInstances(c *call) (answer, *refusal) {
	ids := c.list("InstanceId")
	filters := c.filters("instance-id", "instance-state-name", "client-token", "subnet-id", "vpc-id")
	page := c.page("InstanceId")
	if bad := c.ready(); bad != nil {
		return nil, bad
	}
	if page.first {
		for _, i := range s.sorted() {
			s.list(i)
		}
	}
	for _, id := range ids {
		if _, bad := s.instance(id); bad != nil {
			return nil, bad
		}
	}
	var found []*instance
	for _, i := range s.sorted() {
		if !i.hidden && (ids == nil || slices.Contains(ids, i.ID)) && filters.match(i.Tags, i.property) {
			found = append(found, i)
		}
	}
	found, next := cut(found, page, s.PageLimit, func(i *instance) string { return i.ID })
	return answer{{"reservationSet", setOf(s.reservations(found), whole)}, {"nextToken", next}}, nil
}

func (i *instance) property(filter string) []string {
	switch filter {
	case "instance-id":
		return []string{i.ID}
	case "instance-state-name":
		return []string{string(i.State)}
	case "client-token":
		return []string{i.ClientToken}
	case "subnet-id":
		return []string{i.Subnet}
	case "vpc-id":
		return []string{i.VPC}
	}
	return nil
}

// instance finds an instance that may be seen.
func (s *Server) instance(id string) (*instance, *refusal) {
	if !wellFormed("i", id) {
		return nil, refuse("InvalidInstanceID.Malformed", "Invalid id: %q", id)
	}
	i, ok := s.instances[id]
	if !ok || i.hidden || i.forgotten {
		return nil, refuse("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", id)
	}
	return i, nil
}

// wellFormed says that an ID is a prefix, a dash, and 8 or 17 hexadecimal digits.
func wellFormed(prefix, id string) bool {
	digits := len(id) - len(prefix) - 1
	if digits != 8 && digits != 17 || id[:len(prefix)+1] != prefix+"-" {
		return false
	}
	for _, d := range id[len(prefix)+1:] {
		if (d < '0' || d > '9') && (d < 'a' || d > 'f') {
			return false
		}
	}
	return true
}

// reservations groups instances by the call that launched them.
func (s *Server) reservations(all []*instance) []reservationXML {
	var out []reservationXML
	at := map[string]int{}
	for _, i := range all {
		n, ok := at[i.reservation]
		if !ok {
			n = len(out)
			at[i.reservation] = n
			out = append(out, reservationXML{ID: i.reservation, Owner: owner})
		}
		out[n].Instances.Items = append(out[n].Instances.Items, s.shown(i))
	}
	return out
}
