package hosted

import (
	"net"
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
	address := dnstest.Address()
	listen := net.JoinHostPort(address.String(), "53")
	l, err := net.Listen("tcp", listen)
	if err != nil {
		t.Fatal(err)
	}
	p, err := net.ListenPacket("udp", listen)
	if err != nil {
		t.Fatal(err)
	}
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
	address := dnstest.Address()
	listen := net.JoinHostPort(address.String(), "53")
	l, err := net.Listen("tcp", listen)
	if err != nil {
		t.Fatal(err)
	}
	p, err := net.ListenPacket("udp", listen)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); p.Close() })
	return address.String()
}
