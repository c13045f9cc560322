package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/pki"
)

// Shown implements etcd.Inspector. The peer port is asked for its certificate
// and nothing else: whether peers trust it they alone can say, and we are not
// one, so that etcd logs a connection that it rejected.
func (c *Client) Shown(ctx context.Context, h cluster.Host) (cluster.Certificate, error) {
	fail := func(port uint16, err error) (cluster.Certificate, error) {
		return cluster.Certificate{}, fmt.Errorf("ask member %s for its certificate at %s: %w", h.Name, netip.AddrPortFrom(h.Address, port), err)
	}
	if !c.spec.TLS {
		return fail(h.Ports.Client, errors.New("the cluster has no TLS"))
	}
	config, err := c.tls()
	if err != nil {
		return fail(h.Ports.Client, err)
	}
	config = config.Clone()
	config.ServerName = c.spec.HostName(h.Name)
	client, err := presented(ctx, netip.AddrPortFrom(h.Address, h.Ports.Client), config)
	if err != nil {
		return fail(h.Ports.Client, err)
	}
	peer, err := presented(ctx, netip.AddrPortFrom(h.Address, h.Ports.Peer), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return fail(h.Ports.Peer, err)
	}
	return client.And(peer), nil
}

// presented is the certificate that a port presents in a handshake of its own.
// How that ends does not matter once it was seen, and accepted if config asks
// for that.
func presented(ctx context.Context, at netip.AddrPort, config *tls.Config) (cluster.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	var leaf *x509.Certificate
	config.VerifyConnection = func(s tls.ConnectionState) error {
		leaf = s.PeerCertificates[0]
		return nil
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", at.String())
	if err != nil {
		return cluster.Certificate{}, err
	}
	defer conn.Close()
	if end, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(end); err != nil {
			return cluster.Certificate{}, err
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	defer stop()
	if err := tls.Client(conn, config).Handshake(); leaf == nil {
		return cluster.Certificate{}, err
	}
	return pki.Window(leaf), nil
}
