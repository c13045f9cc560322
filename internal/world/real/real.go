// Package real makes the world that a spec names: it is the one list of
// providers. It stands between the command line, which knows no provider, and
// the providers, which do not know each other.
//
// Opening a world makes no call elsewhere and changes nothing. What cannot be used,
// such as a key that cannot be read, is an error of the calls that need it, so
// that everything else still works.
package real

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/onhost/agent"
	"github.com/pleiad-etcd/pleiad/internal/world"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/etcd/client"
	"github.com/pleiad-etcd/pleiad/internal/world/statedir"
)

// World is a cluster's world, and what its providers can do beside their
// contracts.
type World struct {
	World world.World
	// Resolver is host:port of the name server that clients of the cluster
	// must ask; empty for that of the system, or before there is one.
	Resolver string
	// Block is where local hosts get their addresses, and Listens where the
	// name server of the cluster listens or would; zero where there is none.
	Block   netip.Prefix
	Listens netip.AddrPort
	// Logs writes the log of a host's member.
	Logs func(ctx context.Context, h cluster.Host, follow bool, w io.Writer) error
	// Probe measures a machine for the doctor; nil for hosts on this machine.
	Probe func(ctx context.Context, addr netip.Addr, q agent.Question) (agent.Machine, error)
	// NameServers are the zone's name servers, and Try asks the one that takes
	// updates whether the key may change a record set, ours or not (dns.Try);
	// both nil where pleiad runs the name server itself, and Try where Grants says
	// more.
	NameServers dns.Authoritatives
	Try         func(ctx context.Context, k cluster.Key) error
	// Grants says what the token for the zone allows, and is an error if that is not
	// enough; nil where rights are granted by name, which Try asks about.
	Grants func(ctx context.Context) (dns.Grants, error)
	// FindZone is the zone that holds the domain, without trailing dot; nil where
	// the spec names it.
	FindZone func(ctx context.Context) (string, error)
	// Living says what runs on this machine from folders of which those of the
	// state directory are copies, by pid; TakeOver makes the copies the folders
	// they stand for. Both are nil where nothing is kept on this machine.
	Living   func(ctx context.Context) (map[int]string, error)
	TakeOver func(ctx context.Context) error
	// Sweep removes what is left of hosts that are gone, once the cluster is; data is
	// moved aside if it is to be kept.
	Sweep func(ctx context.Context, keepData bool) error
	// Close ends what was opened on the way; nil where nothing is.
	Close func() error
}

// Trace is told of an outside call: what, to whom, how long it took, and how it
// ended.
type Trace func(what, whom string, took time.Duration, err error)

// Open makes the world that a spec names. A new provider gets its line here.
func Open(ctx context.Context, spec cluster.Spec, h *statedir.Home, trace Trace) (World, error) {
	self, err := os.Executable()
	if err != nil {
		return World{}, fmt.Errorf("find the running program: %w", err)
	}
	members := client.New(spec, h.ClientTLS)
	w := World{World: world.World{Etcd: members, Members: members, Authority: h, Fresh: world.Fresh}}
	switch {
	case spec.Hosts.SSH != nil:
		withMachines(spec, self, trace, &w)
	case spec.Hosts.EC2 != nil:
		if err := withEC2(spec, h.Dir(), self, trace, &w); err != nil {
			return w, err
		}
	default:
		if err := withLocalHosts(spec, h, self, &w); err != nil {
			return w, err
		}
	}
	switch {
	case spec.DNS.RFC2136 != nil:
		return withRFC2136(ctx, spec, w)
	case spec.DNS.Cloudflare != nil:
		return withCloudflare(ctx, spec, w)
	case spec.DNS.Route53 != nil:
		return withRoute53(spec, w)
	}
	return withEmbedded(ctx, spec, h, self, w)
}
