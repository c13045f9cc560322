package render

import (
	"fmt"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
)

// Launches are the instances that a road launches in a cloud: what somebody will be
// billed for. Prices are not in it: they depend on the account and on the day.
type Launches struct {
	Region    string `json:"region"`
	Instances int    `json:"instances"`
	// Types are tried in order, where a zone has no room for the first.
	Types []string `json:"types"`
	Image string   `json:"image"`
	// Subnets are those over which the cluster's instances are spread.
	Subnets []string `json:"subnets"`
	// VolumeGiB is the size of the one volume that each instance has; 0 for that of
	// the image.
	VolumeGiB int `json:"volumeGiB,omitempty"`
	// Records are those of the whole cluster once it is as the spec says.
	Records int `json:"records"`
}

// newLaunches is what a road launches; nil if that is nothing.
func newLaunches(spec cluster.Spec, road []plan.Plan) *Launches {
	h := spec.Hosts.EC2
	if h == nil {
		return nil
	}
	instances := 0
	for _, p := range road {
		for _, s := range p.Steps {
			if _, launch := s.(plan.LaunchHost); launch {
				instances++
			}
		}
	}
	if instances == 0 {
		return nil
	}
	// Each member has an address and two services, and the cluster its marker.
	return &Launches{Region: h.Region, Instances: instances, Types: h.InstanceTypes, Image: h.Image, Subnets: h.Subnets,
		VolumeGiB: h.Volume, Records: 3*spec.Members + 1}
}

// String is one line for people.
func (l Launches) String() string {
	what := l.Types[0]
	if len(l.Types) > 1 {
		what += " (or " + strings.Join(l.Types[1:], ", or ") + ")"
	}
	volume := "a volume as large as the image says"
	if l.VolumeGiB > 0 {
		volume = fmt.Sprintf("a volume of %d GiB", l.VolumeGiB)
	}
	return fmt.Sprintf("launches in EC2, region %s: %s of type %s with %s each, in %s; the cluster will have %s",
		l.Region, count(l.Instances, "instance"), what, volume, count(len(l.Subnets), "subnet"), count(l.Records, "record"))
}
