package embedded

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"

	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/system/durable"
	"github.com/pleiad-etcd/pleiad/internal/system/folder"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/tsig"
)

// Port is where the server listens on an IP address of its own: not 53, which
// takes privileges, nor 5353, where multicast DNS listens on every address.
const Port = 5300

// Where 127.0.0.1 is all there is, several servers share it: each looks for a
// free port from a place of its own in this range, which lies below the ports
// that outgoing connections take.
const sharedPorts = 700

// Create makes a server's folder with a key and a zone without records of
// anybody, and chooses where the server will listen: on [Port] of an address
// of its own, or, at 127.0.0.1, on any free port. The folder appears whole or
// not at all; it must not exist before.
func Create(ctx context.Context, dir, zone string, ip netip.Addr) (address string, err error) {
	address, err = chooseAddress(ctx, ip, dir)
	if err != nil {
		return "", err
	}
	set := settings{Version: fileVersion, Zone: wire.CanonicalName(zone), Address: address}
	beside := dir + ".new"
	if err := os.RemoveAll(beside); err != nil {
		return "", err
	}
	if err := os.MkdirAll(beside, 0o700); err != nil {
		return "", err
	}
	if set.Folder, err = folder.Of(beside); err != nil { // a rename keeps it
		return "", err
	}
	key, err := newKey(set.Zone)
	if err != nil {
		return "", err
	}
	z, err := freshZone(set.Zone, ip)
	if err != nil {
		return "", err
	}
	if err := errors.Join(
		writeFile(filepath.Join(beside, keyFile), key.Encode()),
		writeJSON(filepath.Join(beside, settingsFile), set),
		z.save(beside),
	); err != nil {
		return "", errors.Join(err, os.RemoveAll(beside))
	}
	if err := os.Rename(beside, dir); err != nil {
		return "", err
	}
	return address, durable.SyncFolders(filepath.Dir(dir))
}

func newKey(zone string) (tsig.Key, error) { return tsig.Generate("pleiad." + zone) }

// chooseAddress chooses where the server listens for as long as its folder
// exists: members know it.
func chooseAddress(ctx context.Context, ip netip.Addr, dir string) (string, error) {
	if ip != netip.AddrFrom4([4]byte{127, 0, 0, 1}) {
		return net.JoinHostPort(ip.String(), strconv.Itoa(Port)), nil
	}
	h := fnv.New32a()
	h.Write([]byte(dir))
	for i := range sharedPorts {
		port := Port + (int(h.Sum32()%sharedPorts)+i)%sharedPorts
		address := net.JoinHostPort(ip.String(), strconv.Itoa(port))
		s, err := bind(ctx, address)
		if errors.Is(err, dns.ErrOccupied) {
			continue
		}
		if err != nil {
			return "", err
		}
		return address, s.close()
	}
	return "", fmt.Errorf("no port from %d to %d of %s is free: %w", Port, Port+sharedPorts-1, ip, dns.ErrOccupied)
}
