package nameserver

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// lend gives the loopback interface an address until back is called. All of
// 127.0.0.0/8 is reachable without, but BIND listens only on addresses that
// some interface lists.
func lend(ctx context.Context, addr netip.Addr) (back func() error, err error) {
	listed, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	for _, a := range listed {
		if n, ok := a.(*net.IPNet); ok && n.IP.Equal(addr.AsSlice()) {
			return func() error { return nil }, nil
		}
	}
	if !addr.IsLoopback() {
		return nil, fmt.Errorf("%s is neither here nor a loopback address", addr)
	}
	address := func(ctx context.Context, verb string) error {
		return said(ctx, nil, "ip", "address", verb, addr.String()+"/32", "dev", "lo")
	}
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return address(ctx, "del")
	}, address(ctx, "add")
}
