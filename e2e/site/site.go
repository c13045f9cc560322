// Package site makes what an operator finds before pleiad comes: hosts of the
// test bed that hold nothing, and a BIND with an empty zone, which the hosts
// see through the bed's forwarder.
//
// [Open] makes a site. [Site.Operator] gives somebody who works there a spec, a
// state directory and a home, and [Operator.Pleiad] is pleiad as they run it.
// After [Site.Close] nothing is left but folders that the caller chose.
package site

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/pleiad-etcd/pleiad/e2e/nameserver"
	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
)

const (
	// Zone is the name server's, and Domain the part of it that its key may
	// change. Neither has a trailing dot.
	Zone   = "bed.example"
	Domain = "c1." + Zone
	// Cluster is the one that the specs want on Domain.
	Cluster = "c1"
)

// Site is a bed with a name server, which runs.
type Site struct {
	*bed.Bed
	Server *nameserver.Server
}

// Open makes a site with fresh hosts. The name server's files are in dir/bind.
// If it fails, nothing runs.
func Open(ctx context.Context, dir string, hosts int, options ...bed.Option) (*Site, error) {
	b, err := bed.Open(ctx, hosts, options...)
	if err != nil {
		return nil, err
	}
	s := &Site{Bed: b}
	if err := s.serve(ctx, filepath.Join(dir, "bind")); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Site) serve(ctx context.Context, dir string) error {
	at, err := s.Address(ctx)
	if err != nil {
		return err
	}
	s.Server, err = nameserver.New(ctx, nameserver.Config{
		Kind: nameserver.BIND, Dir: dir, At: netip.AddrPortFrom(at, 53),
		Zone: Zone + ".", Domain: Domain + ".", Clients: netip.PrefixFrom(at, 24).Masked(),
		Command: s.Command, Dial: s.Dial,
	})
	if err != nil {
		return err
	}
	if err := s.Server.Start(ctx); err != nil {
		return err
	}
	return s.Resolve(ctx)
}

// Resolve has the hosts' resolver ask the name server. It knows nothing by
// heart then, where it would for a second.
func (s *Site) Resolve(ctx context.Context) error {
	return s.Forward(ctx, Zone+".", s.Server.Addr().Addr())
}

// Close ends the name server and takes the bed down.
func (s *Site) Close() error {
	if s.Server != nil {
		s.Server.Kill()
	}
	return s.Bed.Close()
}

// Spec is the text of a spec that wants one member on each of these hosts.
func (s *Site) Spec(hosts []*bed.Host) string {
	var addresses []string
	for _, h := range hosts {
		addresses = append(addresses, h.Addr.String())
	}
	return fmt.Sprintf(`cluster: %s
domain: %s
members: %d
hosts:
  ssh:
    addresses: [%s]
    user: root
    identityFile: %s
    knownHosts: %s
dns:
  rfc2136:
    server: %s
    zone: %s
    keyFile: %s
`, Cluster, Domain, len(hosts), strings.Join(addresses, ", "), s.Key(), s.KnownHosts(), s.Server.Addr(), Zone, s.Server.KeyFile())
}

// Pushed are the bytes that each host has received from the controller since
// its power came on, which leaves out what members say to each other.
func (s *Site) Pushed(ctx context.Context) ([]uint64, error) {
	var out []uint64
	for _, h := range s.Hosts {
		t, err := h.Traffic(ctx)
		if err != nil {
			return nil, err
		}
		out = append(out, t.Pushed)
	}
	return out, nil
}
