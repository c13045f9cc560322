package statedir

import (
	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// Seat is where a cluster lives: what never changes from its claim to its end. It
// is in home.json beside the owner, so that the spec of a cluster elsewhere, or the
// default one, is never taken for a spec that was lost.
type Seat struct {
	Domain        string `json:"domain"`
	DiscoveryName string `json:"discoveryName,omitempty"`
	// Hosts is the kind of hosts: "local", "ssh" or "ec2"; and Region where in a cloud
	// they are, since nobody looks for them in another one.
	Hosts  string `json:"hosts"`
	Region string `json:"region,omitempty"`
	// DNS is the kind of name server: "embedded", "rfc2136", "cloudflare" or "route53", and
	// Zone what it serves. Where the server answers may change.
	DNS  string `json:"dns"`
	Zone string `json:"zone"`
}

// SeatOf is where a spec has its cluster live.
func SeatOf(s cluster.Spec) Seat {
	return Seat{Domain: s.Domain, DiscoveryName: s.DiscoveryName, Hosts: s.HostsKind(), Region: s.Region(), DNS: s.DNSKind(), Zone: s.SeatZone()}
}
