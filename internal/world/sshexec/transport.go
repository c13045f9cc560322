package sshexec

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// lookup is how long the name of a machine may take to be looked up: a resolver asks a
// name server for 5 s before it asks the next one, and twice (resolv.conf(5)).
const lookup = 20 * time.Second

// transport is the byte stream to sshd, by TCP or through a jump host. A connection
// to a jump host that neither opens a channel nor refuses to is lost, and is ended.
func transport(ctx context.Context, r route, hop *connection) (net.Conn, error) {
	if hop == nil {
		raw, err := dialTCP(ctx, r)
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return nil, unreachable(r, err)
		}
		return raw, nil
	}
	limit := r.connect
	if host, _ := r.hostAndPort(); !isAddress(host) { // the jump host looks it up
		limit += lookup
	}
	ctx, cancel := bounded(ctx, limit)
	defer cancel()
	raw, err := hop.client.DialContext(ctx, "tcp", r.address)
	var refused *ssh.OpenChannelError
	switch {
	case err == nil:
		return raw, nil
	case errors.As(err, &refused) && refused.Reason == ssh.Prohibited:
		return nil, setupError("allow it in the sshd_config of the jump host: AllowTcpForwarding, PermitOpen", "jump host %s does not connect to %s: %w", r.via.host, r.address, err)
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case !errors.As(err, &refused):
		hop.kill(err)
	}
	return nil, unreachable(r, fmt.Errorf("jump host %s: %w", r.via.host, err))
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

func bounded(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %s", limit))
}

// dialTCP looks the host of a route up, and then connects to the first of its
// addresses that takes the connection. Each has its own limit: a name server that is
// slow says nothing about the machine.
func dialTCP(ctx context.Context, r route) (net.Conn, error) {
	host, port := r.hostAndPort()
	addresses := []string{host}
	if !isAddress(host) {
		looking, cancel := context.WithTimeoutCause(ctx, lookup, fmt.Errorf("its name was not looked up within %s", lookup))
		defer cancel()
		found, err := net.DefaultResolver.LookupNetIP(looking, r.family("ip"), host)
		if looking.Err() != nil {
			return nil, context.Cause(looking)
		}
		if err != nil {
			return nil, err
		}
		addresses = nil
		for _, a := range found {
			addresses = append(addresses, a.Unmap().String())
		}
	}
	var first error
	for _, a := range addresses {
		conn, err := dialOne(ctx, r, net.JoinHostPort(a, port))
		if err == nil || ctx.Err() != nil {
			return conn, err
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// probes have the kernel ask the other one now and then whether it is there. sshd may be
// silent for long before it lets anybody in; a machine that was switched off meanwhile
// is not waited for.
func probes() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: 2 * time.Second, Interval: time.Second, Count: 3}
}

func dialOne(ctx context.Context, r route, address string) (net.Conn, error) {
	ctx, cancel := bounded(ctx, r.connect)
	defer cancel()
	conn, err := (&net.Dialer{LocalAddr: r.from(), KeepAliveConfig: probes()}).DialContext(ctx, "tcp", address)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return conn, err
}

// from is the address of this machine to connect from, nil for any.
func (r route) from() net.Addr {
	a, err := netip.ParseAddr(r.bind)
	if err != nil {
		return nil
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(a, 0))
}

// family is a network of the family of addresses that ssh_config asks for.
func (r route) family(network string) string {
	switch strings.ToLower(r.addressFamily) {
	case "inet":
		return network + "4"
	case "inet6":
		return network + "6"
	}
	return network
}
