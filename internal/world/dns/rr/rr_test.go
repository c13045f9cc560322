package rr

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"pgregory.net/rapid"
)

// throughTheWire packs a record set into a message as a server would and reads
// it back as a client would.
func throughTheWire(t rapid.TB, set cluster.RecordSet) cluster.RecordSet {
	t.Helper()
	records, err := Pack(set)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := (&wire.Msg{Answer: records}).Pack()
	if err != nil {
		t.Fatal(err)
	}
	var m wire.Msg
	if err := m.Unpack(packed); err != nil {
		t.Fatal(err)
	}
	got, err := Unpack(set.Key, m.Answer)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestAnyTextSurvives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOfN(rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 600), func(b []byte) string { return string(b) }), 1, 3).Draw(t, "texts")
		want := cluster.NewRecordSet("_pleiad.twindb.com.", cluster.TXT, texts...)
		if diff := cmp.Diff(want, throughTheWire(t, want)); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestRecordSetsSurvive(t *testing.T) {
	for _, want := range []cluster.RecordSet{
		cluster.NewRecordSet("a.test.", cluster.A, "192.0.2.1", "192.0.2.2"),
		cluster.NewRecordSet("a.test.", cluster.AAAA, "2001:db8::1", "::ffff:192.0.2.1"),
		cluster.NewRecordSet("_a._tcp.test.", cluster.SRV, "0 0 2380 a.test.", "65535 1 0 ."),
		cluster.NewRecordSet("a.test.", cluster.TXT, "", `\000 \" "" `, strings.Repeat("é\\", 300)),
		cluster.NewRecordSet("a.test.", cluster.TXT, strings.Repeat("x", 254), strings.Repeat("x", 255), strings.Repeat("x", 256)),
	} {
		if diff := cmp.Diff(want, throughTheWire(t, want)); diff != "" {
			t.Error(diff)
		}
	}
	largest := cluster.NewRecordSet("a.test.", cluster.TXT, strings.Repeat("x", maxText))
	records, err := Pack(largest)
	if err != nil {
		t.Fatal(err)
	}
	if n := wire.Len(records[0]) - len("a.test.") - 1 - 10; n > 65535 {
		t.Errorf("the largest text makes %d bytes of data", n)
	}
	largest.Values[0] += "x"
	if _, err := Pack(largest); err == nil {
		t.Error("a text that is too long passes")
	}
}

func TestTextIsCutAfter255Bytes(t *testing.T) {
	for n, want := range map[int][]int{0: {0}, 1: {1}, 255: {255}, 256: {255, 1}, 510: {255, 255}, 511: {255, 255, 1}} {
		var got []int
		for _, s := range split(strings.Repeat("x", n)) {
			got = append(got, len(s))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d bytes: %s", n, diff)
		}
	}
}

func TestUnpackIsCanonical(t *testing.T) {
	var records []wire.RR
	for _, line := range []string{"_A._TCP.Test. 300 IN SRV 0 0 2380 B.Test.", "_a._tcp.test. 60 IN SRV 0 0 2380 a.TEST.", "_a._tcp.test. 90 IN SRV 0 0 2380 b.test."} {
		r, err := wire.NewRR(line)
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	want := cluster.NewRecordSet("_a._tcp.test.", cluster.SRV, "0 0 2380 a.test.", "0 0 2380 b.test.")
	got, err := Unpack(want.Key, records)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNonsenseIsAnError(t *testing.T) {
	for _, set := range []cluster.RecordSet{
		cluster.NewRecordSet("a.test.", cluster.A, "2001:db8::1"),
		cluster.NewRecordSet("a.test.", cluster.AAAA, "192.0.2.1"),
		cluster.NewRecordSet("a.test.", cluster.A, "x"),
		cluster.NewRecordSet("a.test.", cluster.SRV, "0 0 2380"),
		cluster.NewRecordSet("a.test.", cluster.SRV, "0 0 -1 a.test."),
		cluster.NewRecordSet("a.test.", cluster.SRV, "0 0 1 a.test"),
		cluster.NewRecordSet("a.test.", cluster.SRV, "0 0 1 a..test."),
		cluster.NewRecordSet("a.test.", "CNAME", "b.test."),
	} {
		if _, err := Pack(set); err == nil || !strings.Contains(err.Error(), set.Name) {
			t.Errorf("%s: %v", set, err)
		}
	}
	key := cluster.Key{Name: "a.test.", Type: cluster.A}
	header := wire.RR_Header{Name: "a.test.", Rrtype: wire.TypeA, Class: wire.ClassINET}
	for name, record := range map[string]wire.RR{
		"other name":  &wire.A{Hdr: wire.RR_Header{Name: "b.test.", Rrtype: wire.TypeA, Class: wire.ClassINET}, A: []byte{1, 2, 3, 4}},
		"other class": &wire.A{Hdr: wire.RR_Header{Name: "a.test.", Rrtype: wire.TypeA, Class: wire.ClassCHAOS}, A: []byte{1, 2, 3, 4}},
		"other type":  &wire.CNAME{Hdr: wire.RR_Header{Name: "a.test.", Rrtype: wire.TypeCNAME, Class: wire.ClassINET}, Target: "b.test."},
		"no data":     &wire.A{Hdr: header},
	} {
		if _, err := Unpack(key, []wire.RR{record}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestAnyTextIsQuotedAndBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOfN(rapid.Byte(), 0, 600).Draw(t, "text"))
		quoted := Quote(text)
		for _, r := range quoted {
			if r < ' ' || r > '~' {
				t.Fatalf("%q holds %q", quoted, r)
			}
		}
		if got, err := Unquote(quoted); err != nil || got != text {
			t.Fatalf("%q became %q, %v", text, got, err)
		}
	})
}

// What people type into a form is read as it would be served.
func TestForeignQuoting(t *testing.T) {
	for content, want := range map[string]string{
		"v=spf1 -all":       "v=spf1 -all",
		`"a" "b"`:           "ab",
		`"a""b" `:           "ab",
		`"say \"hi\" \065"`: `say "hi" A`,
		"":                  "",
		`""`:                "",
	} {
		if got, err := Unquote(content); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", content, got, err, want)
		}
	}
	for _, content := range []string{`"`, `"a`, `"a\"`, `"a" b`, `"a"b"`} {
		if got, err := Unquote(content); err == nil {
			t.Errorf("%s: %q, want an error", content, got)
		}
	}
}
