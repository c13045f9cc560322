package bed

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"
)

// Dial connects from the controller. Names are asked of its forwarder.
func (b *Bed) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	// Names are looked up before, as a lookup has goroutines of its own, which
	// would not be in the bed's network.
	if _, err := netip.ParseAddr(host); err != nil {
		found, err := b.Resolver().LookupHost(ctx, host)
		if err != nil {
			return nil, err
		}
		address = net.JoinHostPort(found[0], port)
	}
	var conn net.Conn
	err = inside(b.namespace(), func() error {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Resolver asks the controller's forwarder, as the hosts do.
func (b *Bed) Resolver() *net.Resolver {
	server := netip.AddrPortFrom(b.Controller(), 53).String()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return b.Dial(ctx, network, server)
	}}
}

// Listen listens on an address of the controller's, over TCP.
func (b *Bed) Listen(ctx context.Context, at netip.AddrPort) (net.Listener, error) {
	var l net.Listener
	err := inside(b.namespace(), func() (err error) {
		l, err = new(net.ListenConfig).Listen(ctx, "tcp", at.String())
		return err
	})
	return l, err
}

// ListenPacket listens on an address of the controller's, over UDP.
func (b *Bed) ListenPacket(ctx context.Context, at netip.AddrPort) (net.PacketConn, error) {
	var c net.PacketConn
	err := inside(b.namespace(), func() (err error) {
		c, err = new(net.ListenConfig).ListenPacket(ctx, "udp", at.String())
		return err
	})
	return c, err
}

func (b *Bed) namespace() string { return filepath.Join("/run/netns", b.name+"-lan") }
