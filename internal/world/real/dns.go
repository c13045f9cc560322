package real

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/authoritative"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/embedded"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/rfc2136"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/tsig"
	localhosts "github.com/pleiad-etcd/pleiad/internal/world/hosts/local"
	"github.com/pleiad-etcd/pleiad/internal/world/statedir"
)

func withRFC2136(ctx context.Context, spec cluster.Spec, w World) (World, error) {
	c := spec.DNS.RFC2136
	zone, err := openZone(ctx, c)
	if err != nil {
		return w, err
	}
	w.World.DNS = dns.Guard(spec, zone)
	w.Try = func(ctx context.Context, k cluster.Key) error { return dns.Try(ctx, zone, k) }
	if w.NameServers, err = authoritative.New(authoritative.Config{Primary: c.Server, Zone: c.Zone}); err != nil {
		return w, err
	}
	if strings.HasSuffix(c.Address(), ":53") { // elsewhere than at DNS's own port nobody else serves the zone
		// Quiet, for the loop looks before the zone may be delegated.
		servers, err := authoritative.New(authoritative.Config{Primary: c.Server, Zone: c.Zone, Quiet: true, Timeout: time.Second})
		if err != nil {
			return w, err
		}
		w.World.Authoritatives = servers
	}
	if spec.Hosts.Local != nil { // elsewhere, clients ask the resolver they have
		w.Resolver = c.Address()
	}
	return w, nil
}

// keyPatience is how long the key may take to come through a pipe.
const keyPatience = 5 * time.Second

// openZone is the zone on somebody's name server. One whose key cannot be read is
// a zone that cannot be read: what does not depend on it goes on.
func openZone(ctx context.Context, c *cluster.RFC2136DNS) (dns.Zone, error) {
	reading, cancel := context.WithTimeoutCause(ctx, keyPatience, fmt.Errorf("it did not end within %s", keyPatience))
	defer cancel()
	key, err := tsig.ReadFile(reading, c.KeyFile)
	switch {
	case ctx.Err() != nil:
		return nil, err
	case err != nil:
		return shut{error: err, remedy: []string{"put the key, as tsig-keygen writes it, into " + c.KeyFile + ", or name another file in dns.rfc2136.keyFile of the spec and give that with -f"}}, nil
	}
	return rfc2136.Open(rfc2136.Config{Server: c.Server, Zone: c.Zone, Key: key}, c.KeyFile)
}

// shut is a zone whose key or token cannot be had, and the error of all that is asked
// of it. What does not depend on it goes on.
type shut struct {
	error
	remedy []string
}

var _ dns.Zone = shut{}

func (z shut) Read(context.Context, []cluster.Key) (cluster.Records, error) {
	return cluster.Records{}, z
}
func (z shut) Apply(context.Context, []cluster.Change) (dns.Receipt, error) { return "", z }
func (z shut) Settled(context.Context, dns.Receipt) error                   { return z }

func (z shut) Unwrap() error { return z.error }

// Is says that a person must act.
func (z shut) Is(target error) bool { return target == fault.Damaged }

// Remedy says what can be done.
func (z shut) Remedy() []string { return z.remedy }

func withEmbedded(ctx context.Context, spec cluster.Spec, h *statedir.Home, self string, w World) (World, error) {
	dir := filepath.Join(h.Dir(), "dns")
	ip, err := localhosts.ServerAddress(ctx, h.Dir(), spec.Cluster, 0)
	if err != nil {
		return w, err
	}
	server, err := embedded.New(embedded.Config{Dir: dir, Zone: spec.Domain, IP: ip, Argv: []string{self, "dns-server", "--dir", dir}})
	if err != nil {
		return w, err
	}
	w.World.DNS, w.World.Server = dns.Guard(spec, server), server
	takeOver, living := w.TakeOver, w.Living // there are local hosts
	w.TakeOver = func(ctx context.Context) error { return errors.Join(takeOver(ctx), server.TakeOver()) }
	w.Living = func(ctx context.Context) (map[int]string, error) {
		out, err := living(ctx)
		pid, missed := server.Living()
		if pid != 0 && out != nil {
			out[pid] = "the name server"
		}
		return out, errors.Join(err, missed)
	}
	w.Resolver = server.Resolver()
	w.Listens = netip.AddrPortFrom(ip, embedded.Port)
	return w, nil
}
