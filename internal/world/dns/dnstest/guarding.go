package dnstest

import (
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
)

func guarding() []Case {
	return []Case{
		{Name: "a stale generation conflicts", Run: guardStale},
		{Name: "a second claim conflicts", Run: guardClaim},
		{Name: "old must be exactly what is there", Run: guardExact},
		{Name: "a guard alone changes nothing", Run: guardAlone},
		{Name: "a rival's write is noticed", Run: guardRival, needs: rivals},
		{Name: "one bad guard undoes all", Run: guardAtomic},
	}
}

func guardStale(t *testing.T, h Harness) {
	one, two, three := h.marker("gen=1"), h.marker("gen=2"), h.marker("gen=3")
	apply(t, h.Zone, add(one))
	apply(t, h.Zone, replace(one, two))
	applyFails(t, t.Context(), h.Zone, dns.ErrConflict, replace(one, three))
	applyFails(t, t.Context(), h.Zone, dns.ErrConflict, remove(one))
	applyFails(t, t.Context(), h.Zone, dns.ErrConflict, expect(one))
	holds(t, h.Zone, two)
}

func guardClaim(t *testing.T, h Harness) {
	first, second := h.marker("owner=a"), h.marker("owner=b")
	apply(t, h.Zone, add(first))
	applyFails(t, t.Context(), h.Zone, dns.ErrConflict, add(second))
	applyFails(t, t.Context(), h.Zone, dns.ErrConflict, add(first)) // even the very same
	holds(t, h.Zone, first)
}

func guardExact(t *testing.T, h Harness) {
	there := h.service("etcd-aaaaaaaa", "etcd-bbbbbbbb")
	apply(t, h.Zone, add(there))
	for _, old := range []cluster.RecordSet{
		h.service("etcd-aaaaaaaa"),
		h.service("etcd-aaaaaaaa", "etcd-bbbbbbbb", "etcd-cccccccc"),
		h.service("etcd-aaaaaaaa", "etcd-cccccccc"),
		cluster.NewRecordSet(there.Name, cluster.SRV, strings.Replace(there.Values[0], "0 0 2380", "0 1 2380", 1), there.Values[1]),
	} {
		applyFails(t, t.Context(), h.Zone, dns.ErrConflict, replace(old, h.service("etcd-dddddddd")))
		applyFails(t, t.Context(), h.Zone, dns.ErrConflict, remove(old))
	}
	absent := h.host("etcd-aaaaaaaa", "192.0.2.1")
	applyFails(t, t.Context(), h.Zone, dns.ErrConflict, remove(absent))
	applyFails(t, t.Context(), h.Zone, dns.ErrConflict, replace(absent, h.host("etcd-aaaaaaaa", "192.0.2.2")))
	compare(t, h.Zone, []cluster.RecordSet{there}, []cluster.RecordSet{absent})
}

func guardAlone(t *testing.T, h Harness) {
	marker, a := h.marker("gen=1"), h.host("etcd-aaaaaaaa", "192.0.2.1")
	absent := cluster.Change{Key: a.Key}
	apply(t, h.Zone, add(marker), absent)
	apply(t, h.Zone, expect(marker), absent)
	compare(t, h.Zone, []cluster.RecordSet{marker}, []cluster.RecordSet{a})
	apply(t, h.Zone, expect(marker), add(a))
	applyFails(t, t.Context(), h.Zone, dns.ErrConflict, absent)
	applyFails(t, t.Context(), h.Zone, dns.ErrConflict, expect(marker), absent)
	holds(t, h.Zone, marker, a)
}

func guardRival(t *testing.T, h Harness) {
	seen, theirs := h.marker("gen=1"), h.marker("gen=2 owner=rival")
	apply(t, h.Zone, add(seen))
	apply(t, h.Rival, replace(seen, theirs))
	applyFails(t, t.Context(), h.Zone, dns.ErrConflict, replace(seen, h.marker("gen=2")))
	holds(t, h.Zone, theirs)
}

// The bad guard stands first, in the middle and last, so that no order of
// working saves a provider that is not atomic.
func guardAtomic(t *testing.T, h Harness) {
	marker, srv := h.marker("gen=1"), h.service("etcd-aaaaaaaa")
	a, b := h.host("etcd-aaaaaaaa", "192.0.2.1"), h.host("etcd-bbbbbbbb", "192.0.2.2")
	apply(t, h.Zone, add(marker), add(srv), add(a))
	good := []cluster.Change{replace(srv, h.service("etcd-bbbbbbbb")), remove(a), add(b)}
	bad := replace(h.marker("gen=0"), h.marker("gen=2"))
	for at := range len(good) + 1 {
		changes := append(append(append([]cluster.Change{}, good[:at]...), bad), good[at:]...)
		applyFails(t, t.Context(), h.Zone, dns.ErrConflict, changes...)
		compare(t, h.Zone, []cluster.RecordSet{marker, srv, a}, []cluster.RecordSet{b})
	}
}
