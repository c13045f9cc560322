package dnstest

import (
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
)

func changing() []Case {
	return []Case{
		{Name: "an empty change set does nothing", Run: changeNothing},
		{Name: "add, replace, delete", Run: changeAll},
		{Name: "a set is replaced whole", Run: changeReplacesWhole},
		{Name: "delete leaves the other types", Run: changeDeletesExactly},
		{Name: "delete and add again", Run: changeAddsAgain},
		{Name: "foreign records stay", Run: changeLeavesForeign, needs: foreign},
		{Name: "foreign spelling is replaced", Run: changeShouted, needs: folds},
		{Name: "foreign spelling outlives its replacement", Run: changeNotShouted, needs: keeps},
		{Name: "the TTL becomes ours", Run: changeTTL, needs: foreign},
		{Name: "bad change sets are refused", Run: changeBad},
		{Name: "settled after a change", Run: changeSettles},
	}
}

func changeNothing(t *testing.T, h Harness) {
	apply(t, h.Zone)
	lacks(t, h.Zone, h.marker(""))
}

func changeAll(t *testing.T, h Harness) {
	marker, next := h.marker("gen=1"), h.marker("gen=2")
	a, b := h.host("etcd-aaaaaaaa", "192.0.2.1"), h.host("etcd-bbbbbbbb", "192.0.2.2")
	apply(t, h.Zone, add(marker), add(a), add(h.service("etcd-aaaaaaaa")))
	apply(t, h.Zone, replace(marker, next), remove(a), add(b), replace(h.service("etcd-aaaaaaaa"), h.service("etcd-bbbbbbbb")))
	compare(t, h.Zone, []cluster.RecordSet{next, b, h.service("etcd-bbbbbbbb")}, []cluster.RecordSet{a})
	apply(t, h.Zone, remove(h.service("etcd-bbbbbbbb")), remove(b), remove(next))
	lacks(t, h.Zone, next, a, b, h.service())
}

func changeReplacesWhole(t *testing.T, h Harness) {
	steps := []cluster.RecordSet{
		h.service("etcd-aaaaaaaa"),
		h.service("etcd-aaaaaaaa", "etcd-bbbbbbbb", "etcd-cccccccc"),
		h.service("etcd-bbbbbbbb", "etcd-dddddddd"),
		h.service("etcd-eeeeeeee"),
	}
	apply(t, h.Zone, add(steps[0]))
	for i, next := range steps[1:] {
		apply(t, h.Zone, replace(steps[i], next))
		holds(t, h.Zone, next)
	}
	last := steps[len(steps)-1]
	apply(t, h.Zone, expect(last))
	holds(t, h.Zone, last)
}

func changeDeletesExactly(t *testing.T, h Harness) {
	a, aaaa := h.host("etcd-aaaaaaaa", "192.0.2.1"), h.host("etcd-aaaaaaaa", "2001:db8::1")
	text := cluster.NewRecordSet(a.Name, cluster.TXT, "somebody's note")
	apply(t, h.Zone, add(a), add(aaaa), add(text))
	apply(t, h.Zone, remove(a))
	compare(t, h.Zone, []cluster.RecordSet{aaaa, text}, []cluster.RecordSet{a})
}

func changeAddsAgain(t *testing.T, h Harness) {
	set := h.service("etcd-aaaaaaaa", "etcd-bbbbbbbb")
	for range 3 {
		apply(t, h.Zone, add(set))
		holds(t, h.Zone, set)
		apply(t, h.Zone, remove(set))
		lacks(t, h.Zone, set)
	}
}

func changeLeavesForeign(t *testing.T, h Harness) {
	theirs := []cluster.RecordSet{
		h.host("www", "192.0.2.80"), h.host("mail", "2001:db8::25"),
		cluster.NewRecordSet("_http._tcp."+h.Domain+".", cluster.SRV, "10 20 80 www."+h.Domain+"."),
		cluster.NewRecordSet(h.Domain+".", cluster.TXT, "v=spf1 -all"),
		cluster.NewRecordSet("sub."+h.spec().MarkerName(), cluster.TXT, "below ours"),
	}
	for _, set := range theirs {
		h.Foreign(set)
	}
	marker, a := h.marker("gen=1"), h.host("etcd-aaaaaaaa", "192.0.2.1")
	apply(t, h.Zone, add(marker), add(a), add(h.service("etcd-aaaaaaaa")))
	apply(t, h.Zone, remove(a), remove(h.service("etcd-aaaaaaaa")), remove(marker))
	holds(t, h.Zone, theirs...)
}

func changeShouted(t *testing.T, h Harness) {
	theirs, next := h.shouted(), h.service("etcd-aaaaaaaa")
	apply(t, h.Zone, replace(theirs, next))
	holds(t, h.Zone, next)
}

// The server says yes, and the value it did not find under our spelling is
// still there beside the new ones. Nothing else is lost, and whoever looks
// again sees it: a second try meets what is there, not what was believed.
func changeNotShouted(t *testing.T, h Harness) {
	theirs, next := h.shouted(), h.service("etcd-aaaaaaaa", "etcd-cccccccc")
	apply(t, h.Zone, replace(theirs, next))
	both := h.service("etcd-aaaaaaaa", "etcd-bbbbbbbb", "etcd-cccccccc")
	holds(t, h.Zone, both)
	applyFails(t, t.Context(), h.Zone, dns.ErrConflict, replace(theirs, next))
	apply(t, h.Zone, replace(both, next))
	holds(t, h.Zone, both)
}

// Whoever lowered or raised the TTL, what we write has ours; and the TTL takes
// no part in a guard.
func changeTTL(t *testing.T, h Harness) {
	theirs := h.service("etcd-aaaaaaaa")
	theirs.TTL = 3600
	h.Foreign(theirs)
	holds(t, h.Zone, theirs)
	next := h.service("etcd-aaaaaaaa", "etcd-bbbbbbbb")
	apply(t, h.Zone, replace(h.service("etcd-aaaaaaaa"), next))
	holds(t, h.Zone, next)
}

func changeBad(t *testing.T, h Harness) {
	good, a, b := h.marker("gen=1"), h.host("etcd-aaaaaaaa", "192.0.2.1"), h.host("etcd-bbbbbbbb", "192.0.2.2")
	bad := func(kind cluster.RecordType, values ...string) cluster.Change {
		return add(cluster.RecordSet{Key: cluster.Key{Name: a.Name, Type: kind}, TTL: cluster.TTL, Values: values})
	}
	for name, changes := range map[string][]cluster.Change{
		"no values":          {bad(cluster.A)},
		"no TTL":             {add(cluster.RecordSet{Key: a.Key, Values: a.Values})},
		"no address":         {bad(cluster.A, "etcd")},
		"IPv6 in A":          {bad(cluster.A, "2001:db8::1")},
		"unsorted":           {bad(cluster.A, "192.0.2.2", "192.0.2.1")},
		"twice":              {bad(cluster.A, "192.0.2.1", "192.0.2.1")},
		"no target":          {bad(cluster.SRV, "0 0 2380")},
		"incomplete target":  {bad(cluster.SRV, "0 0 2380 etcd")},
		"upper-case target":  {bad(cluster.SRV, "0 0 2380 ETCD.test.")},
		"other type":         {bad("CNAME", "b.test.")},
		"another set inside": {{Key: a.Key, New: &b}},
		"one set twice":      {add(a), remove(a)},
		"upper-case name":    {add(cluster.RecordSet{Key: cluster.Key{Name: "ETCD." + h.Domain + ".", Type: cluster.A}, TTL: cluster.TTL, Values: a.Values})},
	} {
		_, err := h.Zone.Apply(t.Context(), append([]cluster.Change{add(good)}, changes...))
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		lacks(t, h.Zone, good, a, b)
	}
	applyFails(t, t.Context(), h.Zone, nil, add(good), bad(cluster.A))
}

func changeSettles(t *testing.T, h Harness) {
	receipt := apply(t, h.Zone, add(h.marker("gen=1")))
	if err := h.Zone.Settled(t.Context(), receipt); err != nil {
		t.Errorf("Settled: %v", err)
	}
	holds(t, h.Zone, h.marker("gen=1"))
}
