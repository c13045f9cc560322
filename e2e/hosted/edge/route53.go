package edge

import (
	"fmt"

	"github.com/pleiad-etcd/pleiad/internal/world/dns/route53/route53fake"
)

// Route53 are the records of a zone as Route 53 serves them.
func Route53(f *route53fake.Fake, zoneID string) func() []string {
	return func() (lines []string) {
		for _, s := range f.Sets(zoneID) {
			for _, v := range s.Values {
				lines = append(lines, fmt.Sprintf("%s %d IN %s %s", s.Name, s.TTL, s.Type, v))
			}
		}
		return lines
	}
}
