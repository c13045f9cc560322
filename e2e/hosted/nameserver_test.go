package hosted

import (
	"net"
	"net/netip"
	"testing"

	"github.com/pleiad-etcd/pleiad/e2e/hosted/edge"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/dnstest"
)

// zone is where the tests have their clusters.
const zone = "twindb.test"

// serve makes the zone's name server, which is the resolver of members and clients,
// too. records are those of the zone just then, each as a line of a zone file. It
// returns its address.
func serve(t *testing.T, records func() []string) string {
	t.Helper()
	address, l, p := listen(t)
	stop := (&edge.Edge{Records: records, Zone: zone, At: address}).Serve(l, p)
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return address.String()
}

// mute makes a name server that accepts every question and answers none. It returns its
// address.
func mute(t *testing.T) string {
	t.Helper()
	address, l, p := listen(t)
	t.Cleanup(func() { l.Close(); p.Close() })
	return address.String()
}

// listen takes an address for a name server.
func listen(t *testing.T) (netip.Addr, net.Listener, net.PacketConn) {
	t.Helper()
	address := dnstest.Address()
	at := net.JoinHostPort(address.String(), "53")
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	p, err := net.ListenPacket("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	return address, l, p
}
