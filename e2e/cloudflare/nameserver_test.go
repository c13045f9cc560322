package cloudflare

import (
	"net"
	"testing"

	"github.com/pleiad-etcd/pleiad/e2e/cloudflare/edge"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/cloudflare/cloudflaretest"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/dnstest"
)

// serve makes the zone's name server, which is the resolver of members and clients,
// too. It returns its address.
func serve(t *testing.T, f *cloudflaretest.Fake) string {
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
	stop := (&edge.Edge{Fake: f, Zone: zone, At: address}).Serve(l, p)
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return address.String()
}
