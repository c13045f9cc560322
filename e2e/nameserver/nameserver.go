// Package nameserver runs the name servers that people have, BIND, Knot and
// PowerDNS as Debian ships them, as foreground processes for tests.
//
// [New] writes into a folder what a primary needs: one zone, one TSIG key, and
// the narrowest grant to that key which the server can express. [Existing]
// takes a folder as it is, such as one with a configuration printed in docs/.
// [NewSecondary] makes a BIND that copies a zone, and does so only when it is
// told to. [Server.Start] and [Server.Stop] run any of them, any number of
// times: the zone outlives them, as it would on a machine of its own.
//
// Where a server runs is its user's business: a test on loopback leaves
// [Config].Command and Dial out, one on a test bed hands in those of the bed.
//
// A server that has started answers for its zone. One that is not Existing
// writes nowhere but into its folder.
package nameserver

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"

	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/tsig"
)

// Kind is a name server program.
type Kind string

const (
	BIND     Kind = "BIND"
	Knot     Kind = "Knot"
	PowerDNS Kind = "PowerDNS"
)

// Kinds are all of them.
func Kinds() []Kind { return []Kind{BIND, Knot, PowerDNS} }

// KeyName is the name of the key that may change the zone.
const KeyName = "pleiad"

// Config says what a server serves, to whom, and where it runs.
type Config struct {
	Kind Kind
	// Dir is the server's own folder, absolute: configuration, key, zone and
	// log.
	Dir string
	// At is where it listens, over UDP and TCP.
	At netip.AddrPort
	// Zone is the one zone it serves, such as "bed.example.".
	Zone string
	// Domain lies in the zone, such as "c1.bed.example."; the key may change
	// A, AAAA, SRV and TXT records at it and below it, and nothing else.
	// PowerDNS cannot say so: there, the key may change the whole zone.
	Domain string
	// Clients are those who may ask and update.
	Clients netip.Prefix
	// Known are keys for HMAC-SHA256 that the server knows and grants nothing.
	Known []tsig.Key

	// Command runs a program where At is one of its addresses. Default:
	// [exec.CommandContext], with an address of 127.0.0.0/8 lent to this
	// machine for as long as the server runs.
	Command func(ctx context.Context, name string, args ...string) *exec.Cmd
	// Dial connects to At. Default: that of [net.Dialer].
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Server is one name server; it may be running or not.
type Server struct {
	config  Config
	keys    []tsig.Key // the first may change the zone; none are known of an Existing server
	running *process
}

// New writes the files of a primary into an empty folder, which it makes.
func New(ctx context.Context, c Config) (*Server, error) {
	s := Existing(c)
	if zone, domain := s.config.Zone, s.config.Domain; !wire.IsSubDomain(zone, domain) || zone == domain {
		return nil, fmt.Errorf("make name server: %s is not below %s", domain, zone)
	}
	key, err := tsig.Generate(KeyName)
	if err != nil {
		return nil, fmt.Errorf("make name server %s: %w", c.Kind, err)
	}
	s.keys = append([]tsig.Key{key}, c.Known...)
	err = s.write(nil, "key", "zone", c.Kind.file())
	if err == nil && c.Kind == PowerDNS {
		err = s.fill(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("make name server %s: %w", c.Kind, err)
	}
	return s, nil
}

// Existing is a server whose files are in its folder already, the
// configuration as named.conf, knot.conf or pdns.conf. Domain, Clients and
// Known are what those files say. It has no Key and no KeyFile.
func Existing(c Config) *Server {
	c.Zone, c.Domain = wire.CanonicalName(c.Zone), wire.CanonicalName(c.Domain)
	return &Server{config: c}
}

// Addr is where the server listens.
func (s *Server) Addr() netip.AddrPort { return s.config.At }

// Key may ask, transfer, and change what is granted.
func (s *Server) Key() tsig.Key { return s.keys[0] }

// KeyFile holds Key as tsig-keygen writes it.
func (s *Server) KeyFile() string { return s.path("key") }

func (s *Server) path(name string) string { return filepath.Join(s.config.Dir, name) }
