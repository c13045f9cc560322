package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/ui/cli"
	"github.com/pleiad-etcd/pleiad/internal/world"
	localdelivery "github.com/pleiad-etcd/pleiad/internal/world/deliver/local"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver/systemd"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/authoritative"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/embedded"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/rfc2136"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/tsig"
	"github.com/pleiad-etcd/pleiad/internal/world/etcd/client"
	"github.com/pleiad-etcd/pleiad/internal/world/home"
	localhosts "github.com/pleiad-etcd/pleiad/internal/world/hosts/local"
	sshhosts "github.com/pleiad-etcd/pleiad/internal/world/hosts/ssh"
	"github.com/pleiad-etcd/pleiad/internal/world/remote"
)

// surroundings makes the world that a spec names. A new provider gets its line
// here.
func surroundings(ctx context.Context, spec cluster.Spec, h *home.Home, trace cli.Trace) (cli.Surroundings, error) {
	self, err := os.Executable()
	if err != nil {
		return cli.Surroundings{}, fmt.Errorf("find the running program: %w", err)
	}
	sur := cli.Surroundings{World: world.World{Etcd: client.New(spec, h.ClientTLS), Authority: h, Fresh: world.Fresh}}
	switch {
	case spec.Hosts.SSH != nil:
		withMachines(spec, self, trace, &sur)
	default:
		if err := withLocalHosts(spec, h, self, &sur); err != nil {
			return sur, err
		}
	}
	if spec.DNS.RFC2136 != nil {
		return withRFC2136(ctx, spec, sur)
	}
	return withEmbedded(ctx, spec, h, self, sur)
}

func withLocalHosts(spec cluster.Spec, h *home.Home, self string, sur *cli.Surroundings) error {
	hosts, err := localhosts.New(h.Dir(), spec.Cluster)
	if err != nil {
		return err
	}
	deliverer := localdelivery.New(func(config string) []string { return []string{self, "member", "--dir", config} })
	sur.Hosts, sur.Deliver = hosts, deliverer
	sur.Block = localhosts.Block(h.Dir(), spec.Cluster, 0)
	sur.Logs, sur.Sweep = deliverer.Logs, hosts.Sweep
	sur.TakeOver = hosts.TakeOver
	sur.Living = func(ctx context.Context) (map[int]string, error) {
		members, err := hosts.Living(ctx)
		out := map[int]string{}
		for name, pid := range members {
			out[pid] = "member " + string(name)
		}
		return out, err
	}
	return nil
}

func withMachines(spec cluster.Spec, self string, trace cli.Trace, sur *cli.Surroundings) {
	c := spec.Hosts.SSH
	pool := remote.New(remote.Config{User: c.User, Port: c.Port, IdentityFile: c.IdentityFile, KnownHosts: c.KnownHosts,
		Fingerprints: c.Fingerprints, Trace: trace})
	deliverer := systemd.New(func(a netip.Addr) systemd.Machine { return machine{pool.Machine(a)} }, systemd.NewBuilds(self, c.Binaries))
	sur.Deliver = deliverer
	sur.Hosts = sshhosts.New(sshhosts.Config{
		Spec:    spec,
		Machine: func(a netip.Addr) sshhosts.Machine { return machine{pool.Machine(a)} },
		Clear:   deliverer.Clear,
	})
	sur.Logs, sur.Probe = deliverer.Logs, deliverer.Probe
	sur.Sweep = func(context.Context) error { return nil } // a machine is left as it was, or its claim stays
	sur.Close = func() error { return errors.Join(deliverer.Close(), pool.Close()) }
}

// machine is one over SSH, whose sessions are streams.
type machine struct{ *remote.Machine }

func (m machine) Open(ctx context.Context, command string) (io.ReadWriteCloser, error) {
	return m.Machine.Open(ctx, command)
}

func withRFC2136(ctx context.Context, spec cluster.Spec, sur cli.Surroundings) (cli.Surroundings, error) {
	c := spec.DNS.RFC2136
	zone, err := openZone(ctx, c)
	if err != nil {
		return sur, err
	}
	sur.DNS = dns.Guard(spec, zone)
	sur.Try = func(ctx context.Context, k cluster.Key) error { return dns.Try(ctx, zone, k) }
	if sur.NameServers, err = authoritative.New(authoritative.Config{Primary: c.Server, Zone: c.Zone}); err != nil {
		return sur, err
	}
	if strings.HasSuffix(c.Address(), ":53") { // elsewhere than at DNS's own port nobody else serves the zone
		// Quiet, for the loop looks before the zone may be delegated.
		servers, err := authoritative.New(authoritative.Config{Primary: c.Server, Zone: c.Zone, Quiet: true, Timeout: time.Second})
		if err != nil {
			return sur, err
		}
		sur.World.Authoritatives = servers
	}
	if spec.Hosts.Local != nil { // elsewhere, clients ask the resolver they have
		sur.Resolver = c.Address()
	}
	return sur, nil
}

// keyPatience is how long the key may take to come through a pipe.
const keyPatience = 5 * time.Second

// openZone is the zone on somebody's name server. One whose key cannot be read is
// a zone that cannot be read: what does not depend on it goes on.
func openZone(ctx context.Context, c *cluster.RFC2136DNS) (dns.Zone, error) {
	reading, cancel := context.WithTimeoutCause(ctx, keyPatience, fmt.Errorf("no end of it within %s", keyPatience))
	defer cancel()
	key, err := tsig.ReadFile(reading, c.KeyFile)
	switch {
	case ctx.Err() != nil:
		return nil, err
	case err != nil:
		return keyless{err, c.KeyFile}, nil
	}
	return rfc2136.Open(rfc2136.Config{Server: c.Server, Zone: c.Zone, Key: key}, c.KeyFile)
}

// keyless is a zone without the key for it, and the error of all that is asked of
// it.
type keyless struct {
	error
	file string
}

var _ dns.Zone = keyless{}

func (k keyless) Capabilities() dns.Capabilities { return dns.Capabilities{} }
func (k keyless) Read(context.Context, []cluster.Key) (cluster.Records, error) {
	return cluster.Records{}, k
}
func (k keyless) Apply(context.Context, []cluster.Change) (dns.Receipt, error) { return "", k }
func (k keyless) Settled(context.Context, dns.Receipt) error                   { return k }

func (k keyless) Unwrap() error { return k.error }

// Is says that a person must act.
func (k keyless) Is(target error) bool { return target == fault.Damaged }

// Remedy says what can be done.
func (k keyless) Remedy() []string {
	return []string{"put the key, as tsig-keygen writes it, into " + k.file + ", or name another file in dns.rfc2136.keyFile of the spec and give that with -f"}
}

func withEmbedded(ctx context.Context, spec cluster.Spec, h *home.Home, self string, sur cli.Surroundings) (cli.Surroundings, error) {
	dir := filepath.Join(h.Dir(), "dns")
	ip, err := localhosts.ServerAddress(ctx, h.Dir(), spec.Cluster, 0)
	if err != nil {
		return sur, err
	}
	server, err := embedded.New(embedded.Config{Dir: dir, Zone: spec.Domain, IP: ip, Argv: []string{self, "dns-server", "--dir", dir}})
	if err != nil {
		return sur, err
	}
	sur.DNS, sur.World.Server = dns.Guard(spec, server), server
	takeOver, living := sur.TakeOver, sur.Living // there are local hosts
	sur.TakeOver = func(ctx context.Context) error { return errors.Join(takeOver(ctx), server.TakeOver()) }
	sur.Living = func(ctx context.Context) (map[int]string, error) {
		out, err := living(ctx)
		pid, missed := server.Living()
		if pid != 0 && out != nil {
			out[pid] = "the name server"
		}
		return out, errors.Join(err, missed)
	}
	sur.Resolver = server.Resolver()
	sur.Server = netip.AddrPortFrom(ip, embedded.Port)
	return sur, nil
}
