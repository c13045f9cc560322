//go:build !linux

package local

import "net/netip"

// listener would name the process that listens on an address; only Linux tells
// without another program.
func listener(netip.AddrPort) string { return "" }
