package cluster

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
	"go.uber.org/zap"
	"pgregory.net/rapid"
)

// R2 rests on IDs computed beforehand: they must be those of etcd itself.
func TestIDsAreEtcds(t *testing.T) {
	urls := []string{"https://etcd-b.dev.test:2380", "https://etcd-a.dev.test:2380", "https://etcd-c.dev.test:2390"}
	const token = Token("8f2c6a0e")
	peers := types.URLsMap{}
	var ids []MemberID
	for _, u := range urls {
		peers[u] = types.MustNewURLs([]string{u})
		ids = append(ids, BootstrapMemberID(u, token))
	}
	theirs, err := membership.NewClusterFromURLsMap(zap.NewNop(), string(token), peers)
	if err != nil {
		t.Fatal(err)
	}
	for i, u := range urls {
		if want := theirs.MemberByName(u).ID; uint64(ids[i]) != uint64(want) || ids[i].String() != want.String() {
			t.Errorf("member ID of %s is %s, etcd's is %s", u, ids[i], want)
		}
	}
	if got := BootstrapID(ids); uint64(got) != uint64(theirs.ID()) {
		t.Errorf("cluster ID is %s, etcd's is %s", got, theirs.ID())
	}
}

func TestQuorum(t *testing.T) {
	for n, want := range map[int][2]int{1: {1, 0}, 2: {2, 0}, 3: {2, 1}, 4: {3, 1}, 5: {3, 2}, 7: {4, 3}, 9: {5, 4}} {
		if Quorum(n) != want[0] || Tolerance(n) != want[1] {
			t.Errorf("of %d voters: quorum %d, tolerance %d, want %v", n, Quorum(n), Tolerance(n), want)
		}
	}
	if got := Arithmetic(1, 3); got != "1 of 3 voters alive < quorum 2" {
		t.Error(got)
	}
}

func TestMarkerComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[a-z0-9-]{1,20}`)
		m := Marker{Cluster: Name(word.Draw(t, "cluster")), Owner: Owner(word.Draw(t, "owner")), Token: Token(word.Draw(t, "token")),
			Generation: rapid.Uint64().Draw(t, "generation"), ID: ID(rapid.Uint64().Draw(t, "id")),
			Phase: rapid.SampledFrom([]Phase{Bootstrapping, Sealed, Destroying}).Draw(t, "phase")}
		for _, n := range rapid.SliceOfNDistinct(word, 1, 9, rapid.ID).Draw(t, "members") {
			m.Members = append(m.Members, MemberName(n))
			if id := rapid.Uint64().Draw(t, "its ID"); id != 0 {
				if m.IDs == nil {
					m.IDs = map[MemberName]MemberID{}
				}
				m.IDs[MemberName(n)] = MemberID(id)
			}
		}
		slices.Sort(m.Members)
		if len(m.Members) > 0 && rapid.Bool().Draw(t, "an operation") {
			m.Op = Operation{Kind: rapid.SampledFrom([]OperationKind{Restart, Add, Remove}).Draw(t, "kind"), Member: rapid.SampledFrom(m.Members).Draw(t, "member")}
			if m.Op.Kind == Add && rapid.Bool().Draw(t, "exchange") {
				m.Op.For = rapid.SampledFrom(m.Members).Draw(t, "for")
			}
			if m.Op.Kind == Restart && rapid.Bool().Draw(t, "digest") {
				m.Op.With = "0a1b2c3d"
			}
		}
		for _, n := range rapid.SliceOfNDistinct(word, 0, 3, rapid.ID).Draw(t, "left") {
			m.Left = append(m.Left, MemberName(n))
		}
		slices.Sort(m.Left)
		m.Changes = rapid.Uint64().Draw(t, "changes")
		got, err := ParseMarker(m.String())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

// What is no marker of ours is an error, so that it is left alone (rule R10).
func TestForeignMarkers(t *testing.T) {
	good := Marker{Cluster: "c", Owner: "o", Token: "t", Generation: 1, Phase: Sealed, Members: []MemberName{"a"}}.String()
	for _, text := range []string{"", "hello", strings.Replace(good, "v=1", "v=2", 1), strings.Replace(good, "gen=1", "gen=x", 1),
		strings.Replace(good, "owner=o", "owner=", 1), strings.Replace(good, "sealed", "asleep", 1), good + " owner=p", good + " id=zz", good + " later=x",
		good + " op=restart", good + " op=restart:", good + " op=later:a", good + " op=restart:a:", good + " op=remove:a:b", good + " op=add:a:", good + " changes=x",
		strings.Replace(good, "members=a", "members=a:", 1), strings.Replace(good, "members=a", "members=a:zz", 1),
		strings.Replace(good, "members=a", "members=a:0", 1), strings.Replace(good, "members=a", "members=:1", 1)} {
		if m, err := ParseMarker(text); err == nil {
			t.Errorf("%q is read as %+v", text, m)
		}
	}
}

// A marker's record set holds the marker and nothing else.
func TestReadMarker(t *testing.T) {
	spec := Spec{Cluster: "c", Domain: "dev.test"}
	good := Marker{Cluster: "c", Owner: "o", Token: "t", Generation: 1, Phase: Sealed, Members: []MemberName{"a"}}
	for _, c := range []struct {
		name   string
		values []string
		found  bool
		err    string
	}{
		{name: "none"},
		{name: "one", values: []string{good.String()}, found: true},
		{name: "beside another value", values: []string{good.String(), "v=spf1 -all"}, err: "holds 2 values"},
		{name: "two", values: []string{good.String(), good.Next(func(*Marker) {}).String()}, err: "holds 2 values"},
		{name: "of a later version", values: []string{good.String() + " later=x"}, err: `does not know the field "later"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r Records
			if c.values != nil {
				r.Sets = []RecordSet{NewRecordSet(spec.MarkerName(), TXT, c.values...)}
			}
			m, found, err := spec.Marker(r)
			if found != c.found || found && !cmp.Equal(m, good) || c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("%+v, %v, %v", m, found, err)
			}
			if many := len(c.values) > 1; errors.Is(err, ErrManyValues) != many {
				t.Errorf("many values: %v", err)
			}
		})
	}
}

func TestIDsKeepEveryDigitInJSON(t *testing.T) {
	in := Data{Member: 0xfedcba9876543210, Cluster: 0x8000000000000001}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out Data
	if err := json.Unmarshal(b, &out); err != nil || out != in {
		t.Errorf("%s comes back as %+v, %v", b, out, err)
	}
	if !strings.Contains(string(b), `"fedcba9876543210"`) {
		t.Errorf("%s does not hold the ID as etcd prints it", b)
	}
}

func TestRecords(t *testing.T) {
	a := NewRecordSet("M1.Dev.test.", A, "10.0.0.2", "10.0.0.1", "10.0.0.2")
	if a.Name != "m1.dev.test." || !slices.Equal(a.Values, []string{"10.0.0.1", "10.0.0.2"}) {
		t.Errorf("not canonical: %v", a)
	}
	r := Records{}.With([]Change{{Key: a.Key, New: &a}})
	if got, ok := r.Get(a.Key); !ok || !got.Equal(a) {
		t.Errorf("after adding: %v", r)
	}
	if r = r.With([]Change{{Key: a.Key, Old: &a}}); len(r.Sets) != 0 {
		t.Errorf("after deleting: %v", r)
	}
	if s, err := ParseService("0 0 2380 M1.dev.test."); err != nil || s != (Service{Target: "m1.dev.test.", Port: 2380}) {
		t.Errorf("%v, %v", s, err)
	}
	for _, bad := range []string{"", "0 0 2380", "0 0 70000 m1.", "0 0 x m1."} {
		if s, err := ParseService(bad); err == nil {
			t.Errorf("%q is read as %v", bad, s)
		}
	}
}
