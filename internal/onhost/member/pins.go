package member

import (
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"

	"github.com/miekg/dns"

	"github.com/pleiad-etcd/pleiad/internal/node"
)

// pins are the names that need no DNS (rule R9). Members that join later are in a
// node that is delivered while etcd runs, without a restart: so each lookup
// checks the member file again, which costs one stat while it is unchanged. It is
// safe for concurrent use.
//
// Only the node of a sealed cluster changes pins. What a founder's gate has
// verified stays until then (rule R3). A file that cannot be read, or is another
// member's, changes nothing.
type pins struct {
	of   *node.Node // the member whose file is looked at; nil for pins that stay
	mu   sync.Mutex // guards what follows
	read fs.FileInfo
	at   map[string]netip.Addr // by name, lower case with final dot
}

// parsePins reads the pins of a node.
func parsePins(texts map[string]string) (map[string]netip.Addr, error) {
	at := map[string]netip.Addr{}
	for name, text := range texts {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return nil, fmt.Errorf("pin %s: want an IP address: %w", name, err)
		}
		at[dns.CanonicalName(name)] = addr.Unmap()
	}
	return at, nil
}

// now are the pins at this moment. The map is never changed.
func (p *pins) now() map[string]netip.Addr {
	if p.of == nil {
		return p.at
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	// Stat before reading: a node delivered in between is then seen next time.
	info, err := os.Lstat(filepath.Join(p.of.Paths.Config, node.FileName))
	if err != nil || sameFile(p.read, info) {
		return p.at
	}
	installed, err := Installed(p.of.Paths.Config)
	if err != nil || installed == nil {
		return p.at
	}
	p.read = info
	if installed.Sealed && installed.Token == p.of.Token && installed.Name == p.of.Name {
		if at, err := parsePins(installed.Pins); err == nil {
			p.at = at
		}
	}
	return p.at
}

func sameFile(a, b fs.FileInfo) bool {
	return a != nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// installPins has the process's resolver answer pinned names, those of members
// that join later too.
func installPins(n node.Node, texts map[string]string) error {
	r, err := newResolver(n.Resolver, texts)
	if err != nil {
		return fmt.Errorf("%s: %w", node.FileName, err)
	}
	r.pins.of = &n
	net.DefaultResolver = r.network()
	return nil
}
