package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
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
		if n, ok := a.(*net.IPNet); ok && n.IP.Equal(net.IP(addr.AsSlice())) {
			return func() error { return nil }, nil
		}
	}
	if !addr.IsLoopback() {
		return nil, fmt.Errorf("%s is neither here nor a loopback address", addr)
	}
	if err := ip(ctx, "add", addr); err != nil {
		return nil, err
	}
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return ip(ctx, "del", addr)
	}, nil
}

func ip(ctx context.Context, verb string, addr netip.Addr) error {
	out, err := exec.CommandContext(ctx, "ip", "address", verb, addr.String()+"/32", "dev", "lo").CombinedOutput()
	if err != nil {
		return errors.Join(fmt.Errorf("ip address %s %s: %w", verb, addr, err), errors.New(string(out)))
	}
	return nil
}
