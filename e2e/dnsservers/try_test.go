package dnsservers

import (
	"errors"
	"testing"

	"github.com/pleiad-etcd/pleiad/e2e/nameserver"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
)

// What a key may change shows without changing anything: BIND and Knot look at
// rights before they look at conditions. PowerDNS knows no grants of names.
func TestTry(t *testing.T) {
	for _, kind := range nameserver.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			b := newBed(t, kind)
			zone := b.open(t, b.Zone, b.ours)
			inside, outside := "c1."+b.Domain+".", b.Zone+"."
			for key, granted := range map[cluster.Key]bool{
				{Name: "_pleiad." + inside, Type: cluster.TXT}:               true,
				{Name: "_etcd-server-ssl._tcp." + inside, Type: cluster.SRV}: true,
				{Name: "etcd-zzzzzzz." + inside, Type: cluster.A}:            true,
				{Name: "etcd-zzzzzzz." + inside, Type: cluster.AAAA}:         true,
				{Name: "_other._tcp." + outside, Type: cluster.SRV}:          kind == nameserver.PowerDNS,
				{Name: "pleiad-doctor." + outside, Type: cluster.TXT}:        kind == nameserver.PowerDNS,
				{Name: outside, Type: cluster.A}:                             kind == nameserver.PowerDNS,
			} {
				err := dns.Try(t.Context(), zone, key)
				if granted && err != nil || !granted && !errors.Is(err, dns.ErrDenied) {
					t.Errorf("%s %s: %v, want it granted %t", key.Name, key.Type, err, granted)
				}
				if got, err := zone.Read(t.Context(), []cluster.Key{key}); err != nil || len(got.Sets) > 0 {
					t.Errorf("%s %s afterwards: %v, %v, want nothing", key.Name, key.Type, got, err)
				}
			}
			if err := dns.Try(t.Context(), b.open(t, b.Zone, b.Known[0]), cluster.Key{Name: "_pleiad." + inside, Type: cluster.TXT}); !errors.Is(err, dns.ErrDenied) {
				t.Errorf("with a key that has no right: %v, want it denied", err)
			}
		})
	}
}
