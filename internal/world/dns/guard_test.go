package dns

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"pgregory.net/rapid"
)

// ours lists, by hand and independently of [Owns], all that c1 on twindb.com
// may touch besides the addresses of its members.
var ours = []cluster.Key{
	{Name: "_pleiad-c1.twindb.com.", Type: cluster.TXT},
	{Name: "_etcd-server-c1._tcp.twindb.com.", Type: cluster.SRV},
	{Name: "_etcd-client-c1._tcp.twindb.com.", Type: cluster.SRV},
	{Name: "_etcd-server-ssl-c1._tcp.twindb.com.", Type: cluster.SRV},
	{Name: "_etcd-client-ssl-c1._tcp.twindb.com.", Type: cluster.SRV},
}

var c1 = cluster.Spec{Cluster: "c1", Domain: "twindb.com", DiscoveryName: "c1", TLS: true}

// recorder is a zone that remembers what reached it.
type recorder struct {
	Zone
	got [][]cluster.Change
}

func (r *recorder) Apply(_ context.Context, changes []cluster.Change) (Receipt, error) {
	r.got = append(r.got, changes)
	return "sent", nil
}

// R10: no change off our names ever passes, whatever stands beside it.
func TestNothingPassesTheGuardThatIsNotOurs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		foreign := change(foreignKey().Draw(t, "key"), t)
		changes := append(ourChanges(t), moveMarker())
		at := rapid.IntRange(0, len(changes)).Draw(t, "at")
		changes = slices.Insert(changes, at, foreign)
		if got, err := send(changes); err == nil || len(got) != 0 {
			t.Fatalf("a change set with %s passed: %v", foreign, changes)
		}
	})
}

// R10: the same for every near miss there is.
func TestNoNearMissPassesTheGuard(t *testing.T) {
	names := slices.Clone(near)
	for _, k := range ours {
		names = append(names, k.Name)
	}
	for _, name := range names {
		for _, kind := range kinds {
			k := cluster.Key{Name: name, Type: kind}
			set := cluster.NewRecordSet(name, kind, sample(kind))
			got, err := send([]cluster.Change{moveMarker(), {Key: k, New: &set}})
			if passed := err == nil && len(got) == 1; passed != mine(k) && k != ours[0] {
				t.Errorf("%q %s: passed %v: %v", name, kind, passed, err)
			}
		}
	}
}

// R10: the key says ours, the records inside say another's.
func TestNothingPassesTheGuardUnderABorrowedKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		foreign := cluster.RecordSet{Key: foreignKey().Draw(t, "key"), TTL: cluster.TTL, Values: []string{"192.0.2.1"}}
		changes := append(ourChanges(t), moveMarker())
		c := &changes[rapid.IntRange(0, len(changes)-1).Draw(t, "at")]
		if rapid.Bool().Draw(t, "old") {
			c.Old = &foreign
		} else {
			c.New = &foreign
		}
		if got, err := send(changes); err == nil || len(got) != 0 {
			t.Fatalf("%+v passed", c)
		}
	})
}

// R11: every change of records moves the marker.
func TestNothingPassesTheGuardWithoutMovingTheMarker(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		changes := ourChanges(t)
		if rapid.Bool().Draw(t, "guard only") {
			still := moveMarker()
			still.New = still.Old
			changes = append(changes, still)
		}
		if got, err := send(changes); err == nil || len(got) != 0 {
			t.Fatalf("%v passed", changes)
		}
	})
}

func TestWhatIsOursPassesTheGuard(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		changes := append(ourChanges(t), moveMarker())
		if got, err := send(changes); err != nil || len(got) != 1 {
			t.Fatalf("%v did not pass: %v", changes, err)
		}
	})
}

func TestGuardSaysWhichRule(t *testing.T) {
	foreign := cluster.NewRecordSet("www.twindb.com.", cluster.A, "192.0.2.1")
	for _, test := range []struct {
		changes []cluster.Change
		want    string
	}{
		{[]cluster.Change{moveMarker(), {Key: foreign.Key, New: &foreign}}, "rule R10: www.twindb.com. A is not a name of this cluster"},
		{nil, "rule R11: the change does not move the marker _pleiad-c1.twindb.com."},
	} {
		if _, err := send(test.changes); err == nil || !strings.HasSuffix(err.Error(), test.want) {
			t.Errorf("%v: %v, want %q", test.changes, err, test.want)
		}
	}
}

func send(changes []cluster.Change) ([][]cluster.Change, error) {
	r := &recorder{}
	_, err := Guard(c1, r).Apply(context.Background(), changes)
	return r.got, err
}

func moveMarker() cluster.Change {
	before := cluster.NewRecordSet(ours[0].Name, cluster.TXT, "v=1 gen=7")
	after := cluster.NewRecordSet(ours[0].Name, cluster.TXT, "v=1 gen=8")
	return cluster.Change{Key: ours[0], Old: &before, New: &after}
}

// ourChanges are up to five good changes, the marker's not among them.
func ourChanges(t *rapid.T) []cluster.Change {
	changes := rapid.SliceOfNDistinct(rapid.Custom(ourChange), 0, 5, func(c cluster.Change) cluster.Key { return c.Key }).Draw(t, "ours")
	return slices.DeleteFunc(changes, func(c cluster.Change) bool { return c.Key == ours[0] })
}

func ourChange(t *rapid.T) cluster.Change {
	member := rapid.StringMatching(`etcd-[a-z0-9]{7,12}\.twindb\.com\.`).Draw(t, "member")
	keys := append(slices.Clone(ours), cluster.Key{Name: member, Type: cluster.A}, cluster.Key{Name: member, Type: cluster.AAAA})
	return change(rapid.SampledFrom(keys).Draw(t, "key"), t)
}

func change(k cluster.Key, t *rapid.T) cluster.Change {
	set := cluster.NewRecordSet(k.Name, k.Type, sample(k.Type))
	if rapid.Bool().Draw(t, "delete") {
		return cluster.Change{Key: k, Old: &set}
	}
	return cluster.Change{Key: k, New: &set}
}

func sample(kind cluster.RecordType) string {
	return map[cluster.RecordType]string{cluster.A: "192.0.2.1", cluster.AAAA: "2001:db8::1",
		cluster.SRV: "0 0 2380 etcd-k3v9qd2m.twindb.com.", cluster.TXT: "v=1"}[kind]
}

// near are names that look as much like ours as possible.
var near = []string{
	"twindb.com.", "www.twindb.com.", "com.", ".", "", "_pleiad.twindb.com.", "_pleiad-c2.twindb.com.",
	"_pleiad-c1.twindb.com", "_pleiad-c1.twindb.com.evil.org.", "x_pleiad-c1.twindb.com.", "_PLEIAD-c1.twindb.com.",
	"sub._pleiad-c1.twindb.com.", "_etcd-server._tcp.twindb.com.", "_etcd-server-ssl._tcp.twindb.com.",
	"_etcd-server-ssl-c1._udp.twindb.com.", "_etcd-server-ssl-c1._tcp.sub.twindb.com.", "_tcp.twindb.com.",
	"etcd-k3v9qd2m.twindb.com", "etcd-k3v9qd2m.xtwindb.com.", "etcd-k3v9qd2m.sub.twindb.com.",
	"etcd-k3v9qd2m.twindb.com.org.", "etcd-.twindb.com.", "etcd-short1.twindb.com.", "etcd-main.twindb.com.",
	"etcd-k3v9qd2mmmmmm.twindb.com.", "ETCD-k3v9qd2m.twindb.com.", "etcd-k3v9qd2m\\.twindb.com.", "*.twindb.com.",
	"etcd-K3V9QD2M.twindb.com.", "etcd-k3v9qd2m.twindb.com.\n", "db-k3v9qd2m.twindb.com.", "etcd-k3v9-qd2m.twindb.com.",
	"etcd-k3v9qd2m.twindb.com.",
}

var kinds = []cluster.RecordType{cluster.A, cluster.AAAA, cluster.SRV, cluster.TXT, "CNAME", "NS", "ANY", ""}

// mine says, independently of [Owns], whether a key is one of c1's.
func mine(k cluster.Key) bool {
	label, under := strings.CutSuffix(k.Name, ".twindb.com.")
	member := under && strings.HasPrefix(label, "etcd-") && len(label) >= 12 && len(label) <= 17 &&
		strings.Trim(label[5:], "abcdefghijklmnopqrstuvwxyz0123456789") == ""
	return slices.Contains(ours, k) || member && (k.Type == cluster.A || k.Type == cluster.AAAA)
}

func foreignKey() *rapid.Generator[cluster.Key] {
	names := rapid.OneOf(rapid.SampledFrom(near), rapid.StringMatching(`[a-z0-9_.-]{0,20}\.twindb\.com\.`), rapid.String(),
		rapid.Map(rapid.SampledFrom(ours), func(k cluster.Key) string { return k.Name }))
	return rapid.Custom(func(t *rapid.T) cluster.Key {
		return cluster.Key{Name: names.Draw(t, "name"), Type: rapid.SampledFrom(kinds).Draw(t, "type")}
	}).Filter(func(k cluster.Key) bool { return !mine(k) })
}
