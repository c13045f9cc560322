package ec2fake

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// The states of a volume.
const (
	InUse     = "in-use"
	Available = "available"
)

// Volume is one volume as it was when it was asked for.
type Volume struct {
	ID, Zone         string
	State            string // InUse or Available
	Size             int    // GiB
	Type             string
	IOPS, Throughput int
	Encrypted        bool
	Key              string // for encryption; empty for the account's own
	Created          time.Time
	Tags             map[string]string

	// Where it is attached.
	Instance, Device    string
	DeleteOnTermination bool
}

func (v *Volume) snapshot() Volume {
	out := *v
	out.Tags = maps.Clone(v.Tags)
	return out
}

func (s *Server) describeVolumes(c *call) (answer, *refusal) {
	ids := c.list("VolumeId")
	filters := c.filters("volume-id", "status", "attachment.instance-id")
	page := c.page("VolumeId")
	if bad := c.ready(); bad != nil {
		return nil, bad
	}
	for _, id := range ids {
		if _, bad := s.volume(id); bad != nil {
			return nil, bad
		}
	}
	var found []*Volume
	for id, v := range s.volumes {
		if (ids == nil || slices.Contains(ids, id)) && s.showsVolume(v) && filters.match(v.Tags, v.property) {
			found = append(found, v)
		}
	}
	slices.SortFunc(found, func(a, b *Volume) int { return cmp.Compare(a.ID, b.ID) })
	found, next := cut(found, page, s.PageLimit, func(v *Volume) string { return v.ID })
	return answer{{"volumeSet", setOf(found, (*Volume).shown)}, {"nextToken", next}}, nil
}

// showsVolume says that lists show a volume: not one of an instance that is unseen.
func (s *Server) showsVolume(v *Volume) bool {
	i, attached := s.instances[v.Instance]
	return !attached || !i.hidden
}

func (v *Volume) property(filter string) []string {
	switch filter {
	case "volume-id":
		return []string{v.ID}
	case "status":
		return []string{v.State}
	case "attachment.instance-id":
		return []string{v.Instance}
	}
	return nil
}

// volume finds a volume that may be seen.
func (s *Server) volume(id string) (*Volume, *refusal) {
	if !wellFormed("vol", id) {
		return nil, refuse("InvalidVolumeID.Malformed", "Invalid id: %q", id)
	}
	v, ok := s.volumes[id]
	if !ok || !s.showsVolume(v) {
		return nil, refuse("InvalidVolume.NotFound", "The volume '%s' does not exist.", id)
	}
	return v, nil
}

func (s *Server) deleteVolume(c *call) (answer, *refusal) {
	id := c.required("VolumeId")
	if bad := c.sound(); bad != nil {
		return nil, bad
	}
	v, bad := s.volume(id)
	if bad == nil && v.State == InUse {
		bad = refuse("VolumeInUse", "Volume %s is currently attached to %s", id, v.Instance)
	}
	if bad == nil {
		bad = c.ready()
	}
	if bad != nil {
		return nil, bad
	}
	delete(s.volumes, id)
	return done(), nil
}
