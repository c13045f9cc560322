package real

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// The zone that is written and the zone that is asked are one if they have the
// same name servers.
func TestOtherServers(t *testing.T) {
	found := cluster.Visibility{}
	for _, name := range []string{"bob.ns.cloudflare.com.", "bob.ns.cloudflare.com.", "lola.ns.cloudflare.com."} {
		found.Servers = append(found.Servers, cluster.AuthoritativeServer{Name: name, Address: netip.MustParseAddr("192.0.2.1")})
	}
	for given, note := range map[string]string{
		"lola.ns.cloudflare.com bob.ns.cloudflare.com":  "",
		"Lola.ns.cloudflare.com. bob.ns.cloudflare.com": "",
		"ada.ns.cloudflare.com carl.ns.cloudflare.com":  "but Cloudflare gave it ada.ns.cloudflare.com, carl.ns.cloudflare.com",
		"lola.ns.cloudflare.com":                        "names bob.ns.cloudflare.com, lola.ns.cloudflare.com",
	} {
		v := otherServers(found, "a.test", strings.Fields(given), "Cloudflare")
		if got := strings.Join(v.Notes, "\n"); (note == "") != (got == "") || !strings.Contains(got, note) {
			t.Errorf("%s: %q", given, got)
		}
	}
}
