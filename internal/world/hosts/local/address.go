package local

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/system/untrusted"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
)

// Where a host listens. Linux has all of 127.0.0.0/8 on its loopback device, so
// that a host gets an address of its own with etcd's registered ports, the
// first free one in this order:
//
//	choice 0   127.X.Y.2 … 127.X.Y.254   X.Y from a hash of cluster and root
//	choice 1…  the same in other blocks, if all of choice 0 is taken
//	last       127.0.0.1 with three free ports, also from a hash
//
// macOS has 127.0.0.1 only and starts with the last; so does a machine on which
// something listens on etcd's ports on every address. SRV records carry ports,
// so that clients see no difference.
//
// An address is taken if a host of this root, or of another cluster beside it,
// claims it, running or not; or if one of the three ports cannot be bound. The
// kernel thus arbitrates between clusters: Launch binds the ports, looks once
// more for claims, and lets go when its own can be seen. It never binds what is
// claimed already, since that member may be starting just then.

// choices is how many blocks a cluster tries.
const choices = 4

// Free ports are taken from below the ranges from which Linux (32768) and macOS
// (49152) give out ports to outgoing connections, so that a stopped member's
// ports are not borrowed.
const (
	firstPort = 12000
	lastPort  = 31999
)

// place is an address and the ports of a host on it.
type place struct {
	address netip.Addr
	ports   cluster.Ports
}

// collides says whether two hosts could not listen at the same time.
func (a place) collides(b place) bool {
	return a.address == b.address && slices.ContainsFunc(a.all(), func(p uint16) bool { return slices.Contains(b.all(), p) })
}

func (a place) all() []uint16 { return []uint16{a.ports.Peer, a.ports.Client, a.ports.Metrics} }

// Block is the /24 in 127.0.0.0/8 from which a cluster's hosts get their
// addresses: its choice 0, or the next ones if what is needed in an earlier
// one is taken. Never in 127.0.0.0/16, where other software lives.
func Block(root string, name cluster.Name, choice int) netip.Prefix {
	sum := hash(root, name, choice)
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{127, 1 + sum[0]%254, sum[1], 0}), 24)
}

func hash(root string, name cluster.Name, choice int) [sha256.Size]byte {
	return sha256.Sum256([]byte(string(name) + "\x00" + filepath.Clean(root) + "\x00" + strconv.Itoa(choice)))
}

// ServerAddress is the address for the cluster's own name server, the first of
// the block, which no host gets; 127.0.0.1 where that is the only one.
func ServerAddress(ctx context.Context, root string, name cluster.Name, choice int) (netip.Addr, error) {
	first := Block(root, name, choice).Addr().Next()
	l, err := listen(ctx, netip.AddrPortFrom(first, 0))
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	}
	if err != nil {
		return netip.Addr{}, err
	}
	return first, l.Close()
}

// binder listens on all ports of a place, which excludes everybody else, until
// release. The error is EADDRINUSE where somebody listens already, and
// EADDRNOTAVAIL where this machine has no such address.
type binder func(context.Context, place) (release func(), err error)

// choose finds the first place that nobody has claimed and binds its ports.
func (p *Provider) choose(ctx context.Context, bind binder) (_ place, release func(), err error) {
	own := true // there are addresses of one's own
	claimed := p.claimed()
	for c := range p.candidates() {
		if !own && c.ports == cluster.StandardPorts() || slices.ContainsFunc(claimed, c.collides) {
			continue
		}
		release, err := bind(ctx, c)
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			continue
		case errors.Is(err, syscall.EADDRNOTAVAIL):
			own = false
			continue
		case err != nil:
			return place{}, nil, err
		}
		if !slices.ContainsFunc(p.claimed(), c.collides) {
			return c, release, nil
		}
		release()
	}
	return place{}, nil, fmt.Errorf("no address in %s and no three ports of 127.0.0.1 in %d-%d are free",
		Block(p.root, p.cluster, 0), firstPort, lastPort)
}

// candidates are the places of a host, best first.
func (p *Provider) candidates() iter.Seq[place] {
	return func(yield func(place) bool) {
		for choice := range choices {
			block := Block(p.root, p.cluster, choice).Addr().As4()
			for last := 2; last < 255; last++ {
				block[3] = byte(last)
				if !yield(place{netip.AddrFrom4(block), cluster.StandardPorts()}) {
					return
				}
			}
		}
		sum := hash(p.root, p.cluster, 0)
		const slots = (lastPort - firstPort + 1) / 3
		start := int(binary.BigEndian.Uint32(sum[2:]) % slots)
		for i := range slots {
			first := uint16(firstPort + 3*((start+i)%slots))
			ports := cluster.Ports{Client: first, Peer: first + 1, Metrics: first + 2}
			if !yield(place{netip.AddrFrom4([4]byte{127, 0, 0, 1}), ports}) {
				return
			}
		}
	}
}

// claimed are the places of all hosts of this root and of the clusters whose
// state directories stand beside it. What cannot be read claims nothing: it is
// not ours to judge, and binding has the last word.
func (p *Provider) claimed() []place {
	var places []place
	beside := filepath.Dir(p.root)
	roots, _ := os.ReadDir(beside)
	for _, r := range roots {
		folders, _ := os.ReadDir(filepath.Join(beside, r.Name(), "hosts"))
		for _, f := range folders {
			b, err := untrusted.Read(filepath.Join(beside, r.Name(), "hosts", f.Name(), claimFile), hosts.MaxClaim)
			var c claim
			if err == nil && json.Unmarshal(b, &c) == nil {
				places = append(places, place{c.Address, c.Ports})
			}
		}
	}
	return places
}

// bind is the [binder] of this machine.
func bind(ctx context.Context, c place) (release func(), err error) {
	var open []net.Listener
	release = func() {
		for _, l := range open {
			l.Close()
		}
	}
	for _, port := range c.all() {
		l, err := listen(ctx, netip.AddrPortFrom(c.address, port))
		if err != nil {
			release()
			return nil, err
		}
		open = append(open, l)
	}
	return release, nil
}

func listen(ctx context.Context, at netip.AddrPort) (net.Listener, error) {
	var config net.ListenConfig
	return config.Listen(ctx, "tcp4", at.String())
}
