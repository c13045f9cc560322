package edge

import (
	"fmt"

	"github.com/pleiad-etcd/pleiad/internal/world/dns/cloudflare/cloudflaretest"
)

// Proxy is what a proxied name at Cloudflare answers with.
const Proxy = "192.0.2.104"

// Cloudflare are the records of a zone as Cloudflare serves them.
func Cloudflare(f *cloudflaretest.Fake, zone string) func() []string {
	return func() (lines []string) {
		for _, r := range f.Records(zone) {
			content := r.Content
			switch {
			case r.Data != nil:
				content = fmt.Sprintf("%d %d %d %s.", r.Data.Priority, r.Data.Weight, r.Data.Port, r.Data.Target)
			case r.Proxied:
				content = Proxy
			}
			lines = append(lines, fmt.Sprintf("%s. %d IN %s %s", r.Name, r.TTL, r.Type, content))
		}
		return lines
	}
}
