package dnstest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

func reading() []Case {
	return []Case{
		{Name: "absent is no error", Run: readAbsent},
		{Name: "what was written is read", Run: readPresent},
		{Name: "only what was asked for is read", Run: readOnlyAsked},
		{Name: "absent beside present", Run: readAbsentBesidePresent},
		{Name: "nine members", Run: readMany},
		{Name: "texts come back as they are", Run: readTexts},
		{Name: "keys that are not canonical are errors", Run: readBadKeys},
		{Name: "foreign spelling is read in canonical form", Run: readForeignSpelling, needs: foreign},
	}
}

func readAbsent(t *testing.T, h Harness) {
	lacks(t, h.Zone, h.marker(""), h.service(), h.host("etcd-aaaaaaaa", "192.0.2.1"), h.host("etcd-aaaaaaaa", "2001:db8::1"))
	if got := read(t, h.Zone); len(got.Sets) != 0 {
		t.Errorf("no keys: %v", got)
	}
}

func readPresent(t *testing.T, h Harness) {
	sets := []cluster.RecordSet{
		h.marker("v=1 gen=1"), h.service("etcd-aaaaaaaa", "etcd-bbbbbbbb"),
		h.host("etcd-aaaaaaaa", "192.0.2.1"), h.host("etcd-aaaaaaaa", "2001:db8::1"), h.host("etcd-bbbbbbbb", "192.0.2.2"),
	}
	apply(t, h.Zone, changesTo(sets)...)
	holds(t, h.Zone, sets...)
	if h.Rival != nil {
		holds(t, h.Rival, sets...)
	}
}

func readOnlyAsked(t *testing.T, h Harness) {
	a, aaaa, marker := h.host("etcd-aaaaaaaa", "192.0.2.1"), h.host("etcd-aaaaaaaa", "2001:db8::1"), h.marker("v=1")
	apply(t, h.Zone, add(a), add(aaaa), add(marker))
	holds(t, h.Zone, a)
	holds(t, h.Zone, aaaa)
	if got := read(t, h.Zone, a.Key, a.Key); len(got.Sets) != 1 {
		t.Errorf("a key given twice: %v", got)
	}
}

// A name with records of another type, one with names below it, and one that
// nobody ever wrote are all absent.
func readAbsentBesidePresent(t *testing.T, h Harness) {
	a, srv := h.host("etcd-aaaaaaaa", "192.0.2.1"), h.service("etcd-aaaaaaaa")
	apply(t, h.Zone, add(a), add(srv))
	between := cluster.NewRecordSet("_tcp."+h.Domain+".", cluster.TXT, "")
	compare(t, h.Zone, []cluster.RecordSet{a, srv}, []cluster.RecordSet{h.host("etcd-aaaaaaaa", "2001:db8::1"), between, h.marker("")})
}

func readMany(t *testing.T, h Harness) {
	sets := nine(h)
	apply(t, h.Zone, changesTo(sets)...)
	holds(t, h.Zone, sets...)
	slices.Reverse(sets)
	holds(t, h.Zone, sets...)
}

// nine are all records of a cluster of nine members with both kinds of
// addresses and names as long as they get.
func nine(h Harness) []cluster.RecordSet {
	var labels, clients []string
	sets := []cluster.RecordSet{h.marker("v=1 gen=1 members=" + strings.Repeat("etcd-aaaaaaaaaaaa,", 9))}
	for i := range 9 {
		label := fmt.Sprintf("etcd-aaaaaaaaaa%02d", i)
		labels = append(labels, label)
		clients = append(clients, cluster.Service{Target: label + "." + h.Domain + ".", Port: 2379}.Value())
		sets = append(sets, h.host(label, fmt.Sprintf("192.0.2.%d", i+1)), h.host(label, fmt.Sprintf("2001:db8::%d", i+1)))
	}
	return append(sets, h.service(labels...), cluster.NewRecordSet(h.spec().ClientService(), cluster.SRV, clients...))
}

func readTexts(t *testing.T, h Harness) {
	for i, text := range []string{
		"", " ", `"`, `\`, `say "hello" \ twice \\ \" \000 \"`, "semi;colon", " spaces  at both ends ", "tab\tand\nnewline", "naïve 七",
		strings.Repeat("x", 254), strings.Repeat("x", 255), strings.Repeat("x", 256), strings.Repeat(`é"\ `, 300), string([]byte{0, 1, 127, 128, 255}),
	} {
		set := cluster.NewRecordSet(fmt.Sprintf("_pleiad-%d.%s.", i, h.Domain), cluster.TXT, text)
		apply(t, h.Zone, add(set))
		holds(t, h.Zone, set)
		next := cluster.NewRecordSet(set.Name, cluster.TXT, text+"!")
		apply(t, h.Zone, replace(set, next))
		holds(t, h.Zone, next)
		apply(t, h.Zone, remove(next))
		lacks(t, h.Zone, next)
	}
}

func readBadKeys(t *testing.T, h Harness) {
	good := h.host("etcd-aaaaaaaa", "192.0.2.1")
	apply(t, h.Zone, add(good))
	for _, bad := range []cluster.Key{
		{Name: strings.TrimSuffix(good.Name, "."), Type: cluster.A},
		{Name: strings.ToUpper(good.Name), Type: cluster.A},
		{Name: "", Type: cluster.A},
		{Name: "etcd aaaaaaaa." + h.Domain + ".", Type: cluster.A},
		{Name: good.Name, Type: "CNAME"},
		{Name: good.Name, Type: ""},
	} {
		if got, err := h.Zone.Read(t.Context(), []cluster.Key{good.Key, bad}); err == nil || len(got.Sets) != 0 {
			t.Errorf("%q: %v, %v; want an error and no records", bad, got, err)
		}
	}
}

func readForeignSpelling(t *testing.T, h Harness) {
	holds(t, h.Zone, h.shouted())
}

// shouted writes a service of two members, the second in upper case, as
// somebody else would, and returns it in canonical form.
func (h Harness) shouted() cluster.RecordSet {
	want := h.service("etcd-aaaaaaaa", "etcd-bbbbbbbb")
	theirs := want
	theirs.Name, theirs.Values = strings.ToUpper(want.Name), []string{strings.ToUpper(want.Values[1]), want.Values[0]}
	h.Foreign(theirs)
	return want
}
