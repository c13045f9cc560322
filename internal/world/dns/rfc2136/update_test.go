package rfc2136

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"pgregory.net/rapid"
)

func TestUpdateMessage(t *testing.T) {
	set := func(name string, kind cluster.RecordType, values ...string) *cluster.RecordSet {
		s := cluster.NewRecordSet(name, kind, values...)
		return &s
	}
	one, two := set("_pleiad.z.", cluster.TXT, "gen=1"), set("_pleiad.z.", cluster.TXT, "gen=2")
	a, aaaa, srv := set("e.z.", cluster.A, "192.0.2.1"), set("e.z.", cluster.AAAA, "2001:db8::1"), set("_s.z.", cluster.SRV, "0 0 1 e.z.")
	m, err := Update("z.", []cluster.Change{
		{Key: one.Key, Old: one, New: two},
		{Key: a.Key, New: a},
		{Key: aaaa.Key, New: aaaa},
		{Key: srv.Key, Old: srv},
		{Key: cluster.Key{Name: "gone.z.", Type: cluster.A}},
		{Key: cluster.Key{Name: "x.z.", Type: cluster.A}, Old: set("x.z.", cluster.A, "192.0.2.9"), New: set("x.z.", cluster.A, "192.0.2.9")},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := strings.TrimSpace(`
prerequisite _pleiad.z. 0 IN TXT "gen=1"
prerequisite e.z. 0 NONE A
prerequisite e.z. 0 NONE CNAME
prerequisite e.z. 0 NONE AAAA
prerequisite _s.z. 0 IN SRV 0 0 1 e.z.
prerequisite gone.z. 0 NONE A
prerequisite x.z. 0 IN A 192.0.2.9
update _pleiad.z. 0 NONE TXT "gen=1"
update _pleiad.z. 60 IN TXT "gen=2"
update e.z. 60 IN A 192.0.2.1
update e.z. 60 IN AAAA 2001:db8::1
update _s.z. 0 NONE SRV 0 0 1 e.z.`)
	if diff := cmp.Diff(want, print(m)); diff != "" {
		t.Error(diff)
	}
}

func print(m *wire.Msg) string {
	var lines []string
	for _, section := range []struct {
		name    string
		records []wire.RR
	}{{"prerequisite", m.Answer}, {"update", m.Ns}} {
		for _, r := range section.records {
			lines = append(lines, section.name+" "+strings.TrimSpace(strings.ReplaceAll(r.String(), "\t", " ")))
		}
	}
	return strings.Join(lines, "\n")
}

// No message deletes a record that the change set does not name: neither a
// whole name nor a whole record set.
func TestNothingIsDeletedUnnamed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var changes []cluster.Change
		named := map[string]bool{}
		for _, label := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,5}`), 1, 6, rapid.ID[string]).Draw(t, "labels") {
			values := rapid.SliceOfN(rapid.SampledFrom([]string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}), 1, 3)
			old := cluster.NewRecordSet(label+".z.", cluster.A, values.Draw(t, "old")...)
			c := cluster.Change{Key: old.Key, Old: &old}
			if rapid.Bool().Draw(t, "replace") {
				next := cluster.NewRecordSet(old.Name, cluster.A, values.Draw(t, "new")...)
				c.New = &next
			}
			for _, v := range old.Values {
				named[old.Name+" "+v] = true
			}
			changes = append(changes, c)
		}
		m, err := Update("z.", changes)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range m.Ns {
			h := r.Header()
			switch h.Class {
			case wire.ClassINET:
			case wire.ClassNONE:
				if !named[h.Name+" "+r.(*wire.A).A.String()] {
					t.Fatalf("%s is deleted, which no change names", r)
				}
			default:
				t.Fatalf("%s deletes more than one record", r)
			}
		}
	})
}
