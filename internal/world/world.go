// Package world bundles the contracts of all that can fail, lag or be wrong:
// name servers, hosts, delivery, etcd itself, and the store of keys. The contracts
// and their providers are in the folders below; the real bundle is made by
// package real, the simulated one by package sim.
package world

import (
	"crypto/rand"
	"encoding/hex"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/authority"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/etcd"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
)

// World is one cluster's surroundings. All fields but Server, Authoritatives and
// Clock are set.
type World struct {
	DNS dns.Zone
	// Server is pleiad's own name server; nil where DNS belongs to others.
	Server dns.Server
	// Authoritatives are all that answer for the zone; nil where the primary is
	// known to be the only one.
	Authoritatives dns.Authoritatives
	Hosts          hosts.Provider
	Deliver        deliver.Deliverer
	Etcd           etcd.Inspector
	Members        etcd.Changer
	Authority      authority.Authority
	// Clock is this machine's; nil for the system's.
	Clock func() time.Time
	// Fresh makes unused random names: n members, an owner, a token.
	Fresh func(n int) cluster.Fresh
}

// Now is what this machine's clock says.
func (w World) Now() time.Time {
	if w.Clock == nil {
		return time.Now()
	}
	return w.Clock()
}

// Fresh makes random names from the system's source of randomness.
func Fresh(n int) cluster.Fresh {
	f := cluster.Fresh{Owner: cluster.Owner(hexadecimal(8)), Token: cluster.Token(hexadecimal(16))}
	for range n {
		f.Members = append(f.Members, cluster.NewMemberName([7]byte(random(7))))
	}
	return f
}

func hexadecimal(bytes int) string { return hex.EncodeToString(random(bytes)) }

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails (crypto/rand)
	return b
}
