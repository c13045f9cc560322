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
	// Hosts is the kind of hosts: "local" or "ssh".
	Hosts string `json:"hosts"`
	// DNS is the kind of name server: "embedded", "rfc2136" or "cloudflare", and
	// Zone what it serves. Where the server answers may change.
	DNS  string `json:"dns"`
	Zone string `json:"zone"`
}

// SeatOf is where a spec has its cluster live.
func SeatOf(s cluster.Spec) Seat {
	return Seat{Domain: s.Domain, DiscoveryName: s.DiscoveryName, Hosts: s.HostsKind(), DNS: s.DNSKind(), Zone: s.SeatZone()}
}
