package embedded

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/tsig"
)

// message makes an update from lines of records: "prereq" or "update", then
// name, TTL, class, type and data, as RFC 2136, section 2, has them on the
// wire. Without data the data is empty.
func message(t testing.TB, lines ...string) *wire.Msg {
	t.Helper()
	m := new(wire.Msg).SetUpdate("dev.test.")
	for _, l := range lines {
		section, rest, _ := strings.Cut(l, " ")
		f := strings.SplitN(rest, " ", 5)
		var r wire.RR
		if len(f) == 5 {
			r = parsed(t, fmt.Sprintf("%s %s IN %s %s", f[0], f[1], f[3], f[4]))[0]
		} else {
			r = &wire.ANY{Hdr: wire.RR_Header{Name: f[0], Rrtype: wire.StringToType[f[3]]}}
			fmt.Sscan(f[1], &r.Header().Ttl)
		}
		r.Header().Class = wire.StringToClass[f[2]]
		if section == "prereq" {
			m.Answer = append(m.Answer, r)
		} else {
			m.Ns = append(m.Ns, r)
		}
	}
	return m
}

// contents are the zone's records less its top and its own address.
func contents(s *server) []string {
	var out []string
	for _, r := range s.zone.Load().records() {
		if changeable(r.Header().Rrtype) && r.Header().Name != nameServer("dev.test.") {
			out = append(out, strings.ReplaceAll(r.String(), "\t", " "))
		}
	}
	return out
}

func before() []string {
	return []string{
		"a.dev.test. 60 IN A 127.0.0.1",
		"a.dev.test. 60 IN A 127.0.0.2",
		`a.dev.test. 60 IN TXT "Text"`,
		"b.below.dev.test. 60 IN SRV 0 0 2380 a.dev.test.",
	}
}

// The five kinds of prerequisites, met and not met (RFC 2136, section 3.2).
func TestPrerequisites(t *testing.T) {
	s := testServer(t, before()...)
	for _, test := range []struct{ lines, want string }{
		{"prereq a.dev.test. 0 ANY A", "NOERROR"}, // the set exists
		{"prereq A.DEV.test. 0 ANY A", "NOERROR"},
		{"prereq a.dev.test. 0 ANY AAAA", "NXRRSET"},
		{"prereq x.dev.test. 0 ANY A", "NXRRSET"},
		{"prereq a.dev.test. 0 IN A 127.0.0.1; prereq A.dev.test. 0 IN A 127.0.0.2", "NOERROR"}, // with these values
		{"prereq a.dev.test. 0 IN A 127.0.0.2; prereq a.dev.test. 0 IN A 127.0.0.1; prereq a.dev.test. 0 IN A 127.0.0.1", "NOERROR"},
		{"prereq a.dev.test. 0 IN A 127.0.0.1", "NXRRSET"},
		{"prereq a.dev.test. 0 IN A 127.0.0.1; prereq a.dev.test. 0 IN A 127.0.0.2; prereq a.dev.test. 0 IN A 127.0.0.3", "NXRRSET"},
		{"prereq a.dev.test. 0 IN A 127.0.0.1; prereq a.dev.test. 0 IN A 127.0.0.3", "NXRRSET"},
		{"prereq x.dev.test. 0 IN A 127.0.0.1", "NXRRSET"},
		{`prereq a.dev.test. 0 IN TXT "Text"`, "NOERROR"},
		{`prereq a.dev.test. 0 IN TXT "text"`, "NXRRSET"},
		{`prereq a.dev.test. 0 IN TXT "Te" "xt"`, "NXRRSET"},
		{"prereq b.below.dev.test. 0 IN SRV 0 0 2380 A.Dev.Test.", "NOERROR"},
		{"prereq b.below.dev.test. 0 IN SRV 0 0 2379 a.dev.test.", "NXRRSET"},
		{"prereq a.dev.test. 0 NONE AAAA", "NOERROR"}, // the set does not exist
		{"prereq x.dev.test. 0 NONE A", "NOERROR"},
		{"prereq a.dev.test. 0 NONE CNAME", "NOERROR"},
		{"prereq a.dev.test. 0 NONE A", "YXRRSET"},
		{"prereq a.dev.test. 0 ANY ANY", "NOERROR"}, // the name is in use
		{"prereq x.dev.test. 0 ANY ANY", "NXDOMAIN"},
		{"prereq below.dev.test. 0 ANY ANY", "NXDOMAIN"}, // an empty non-terminal is not
		{"prereq x.dev.test. 0 NONE ANY", "NOERROR"},     // the name is not in use
		{"prereq below.dev.test. 0 NONE ANY", "NOERROR"},
		{"prereq a.dev.test. 0 NONE ANY", "YXDOMAIN"},
		{"prereq a.dev.test. 60 ANY A", "FORMERR"},
		{"prereq a.dev.test. 60 IN A 127.0.0.1", "FORMERR"},
		{"prereq a.dev.test. 0 ANY A 127.0.0.1", "FORMERR"},
		{"prereq a.dev.test. 0 NONE A 127.0.0.1", "FORMERR"},
		{"prereq a.dev.test. 0 IN A", "FORMERR"},
		{"prereq a.dev.test. 0 CH A", "FORMERR"},
		{"prereq a.other.test. 0 ANY A", "NOTZONE"},
		{"prereq x.dev.test. 0 NONE A; prereq a.dev.test. 0 NONE A", "YXRRSET"}, // one is not met
	} {
		lines := strings.Split(test.lines, "; ")
		got := signed(t, s, message(t, lines...))
		if wire.RcodeToString[got.Rcode] != test.want {
			t.Errorf("%s: %s, want %s", test.lines, wire.RcodeToString[got.Rcode], test.want)
		}
		if test.want == "NOERROR" {
			continue
		}
		serial := s.zone.Load().serial()
		got = signed(t, s, message(t, append(lines, "update new.dev.test. 60 IN A 127.0.0.3", "update a.dev.test. 0 ANY A")...))
		if wire.RcodeToString[got.Rcode] != test.want || s.zone.Load().serial() != serial {
			t.Errorf("%s: an update behind it was carried out", test.lines)
		}
	}
	if diff := cmp.Diff(before(), contents(s)); diff != "" {
		t.Error(diff)
	}
}

// What updates do, and what they may not (RFC 2136, section 3.4).
func TestUpdates(t *testing.T) {
	none, all := []string{}, before()
	for name, test := range map[string]struct {
		lines []string
		want  string
		add   []string // what the zone then has more
		lose  []string // and less
	}{
		"add a record":            {[]string{"update a.dev.test. 60 IN A 127.0.0.3"}, "NOERROR", []string{"a.dev.test. 60 IN A 127.0.0.3"}, none},
		"add a name":              {[]string{"update New.Dev.Test. 60 IN AAAA ::1"}, "NOERROR", []string{"new.dev.test. 60 IN AAAA ::1"}, none},
		"add the same":            {[]string{"update A.dev.test. 60 IN A 127.0.0.1"}, "NOERROR", none, none},
		"add another TTL":         {[]string{"update a.dev.test. 90 IN A 127.0.0.1"}, "NOERROR", []string{"a.dev.test. 90 IN A 127.0.0.1", "a.dev.test. 90 IN A 127.0.0.2"}, all[:2]},
		"delete a record":         {[]string{"update a.dev.test. 0 NONE A 127.0.0.1"}, "NOERROR", none, all[:1]},
		"delete in other case":    {[]string{"update B.below.dev.test. 0 NONE SRV 0 0 2380 A.DEV.test."}, "NOERROR", none, all[3:]},
		"delete what is not":      {[]string{"update a.dev.test. 0 NONE A 127.0.0.9", "update x.dev.test. 0 ANY A"}, "NOERROR", none, none},
		"delete a set":            {[]string{"update a.dev.test. 0 ANY A"}, "NOERROR", none, all[:2]},
		"delete a name":           {[]string{"update a.dev.test. 0 ANY ANY"}, "NOERROR", none, all[:3]},
		"delete, then add":        {[]string{"update a.dev.test. 0 ANY A", "update a.dev.test. 60 IN A 127.0.0.3"}, "NOERROR", []string{"a.dev.test. 60 IN A 127.0.0.3"}, all[:2]},
		"add, then delete":        {[]string{"update a.dev.test. 60 IN A 127.0.0.3", "update a.dev.test. 0 ANY A"}, "NOERROR", none, all[:2]},
		"the apex keeps its top":  {[]string{"update dev.test. 60 IN TXT x", "update dev.test. 0 ANY ANY"}, "NOERROR", none, none},
		"good and outside":        {[]string{"update a.dev.test. 0 ANY A", "update a.other.test. 60 IN A 127.0.0.1"}, "NOTZONE", none, none},
		"good and forbidden type": {[]string{"update a.dev.test. 0 ANY A", "update b.dev.test. 60 IN CNAME a.dev.test."}, "REFUSED", none, none},
		"MX":                      {[]string{"update dev.test. 60 IN MX 10 a.dev.test."}, "REFUSED", none, none},
		"NS":                      {[]string{"update dev.test. 60 IN NS a.dev.test."}, "REFUSED", none, none},
		"delegation":              {[]string{"update sub.dev.test. 60 IN NS a.dev.test."}, "REFUSED", none, none},
		"SOA":                     {[]string{"update dev.test. 60 IN SOA a. b. 99 1 1 1 1"}, "REFUSED", none, none},
		"delete the SOA":          {[]string{"update dev.test. 0 ANY SOA"}, "REFUSED", none, none},
		"delete the NS":           {[]string{"update dev.test. 0 NONE NS ns.dev.test."}, "REFUSED", none, none},
		"the server's address":    {[]string{"update NS.dev.test. 60 IN A 127.0.0.1"}, "REFUSED", none, none},
		"delete the server":       {[]string{"update ns.dev.test. 0 ANY ANY"}, "REFUSED", none, none},
		"wildcard":                {[]string{"update *.dev.test. 60 IN A 127.0.0.1"}, "REFUSED", none, none},
		"unknown type":            {[]string{`update a.dev.test. 60 IN TYPE65280 \# 1 00`}, "REFUSED", none, none},
		"add without data":        {[]string{"update a.dev.test. 60 IN A"}, "FORMERR", none, none},
		"add ANY":                 {[]string{"update a.dev.test. 60 IN ANY"}, "FORMERR", none, none},
		"delete set with TTL":     {[]string{"update a.dev.test. 60 ANY A"}, "FORMERR", none, none},
		"delete set with data":    {[]string{"update a.dev.test. 0 ANY A 127.0.0.1"}, "FORMERR", none, none},
		"delete set AXFR":         {[]string{"update a.dev.test. 0 ANY AXFR"}, "FORMERR", none, none},
		"delete with TTL":         {[]string{"update a.dev.test. 60 NONE A 127.0.0.1"}, "FORMERR", none, none},
		"delete without data":     {[]string{"update a.dev.test. 0 NONE A"}, "FORMERR", none, none},
		"delete ANY exactly":      {[]string{"update a.dev.test. 0 NONE ANY"}, "FORMERR", none, none},
		"other class":             {[]string{"update a.dev.test. 60 CH A 127.0.0.1"}, "FORMERR", none, none},
	} {
		t.Run(name, func(t *testing.T) {
			s := testServer(t, before()...)
			serial := s.zone.Load().serial()
			got := signed(t, s, message(t, test.lines...))
			if wire.RcodeToString[got.Rcode] != test.want {
				t.Errorf("%s, want %s", wire.RcodeToString[got.Rcode], test.want)
			}
			want := slices.DeleteFunc(append(before(), test.add...), func(l string) bool { return slices.Contains(test.lose, l) })
			slices.Sort(want)
			have := contents(s)
			slices.Sort(have)
			if diff := cmp.Diff(want, have); diff != "" {
				t.Error(diff)
			}
			// A change that ends where it began may move the serial too.
			moved := s.zone.Load().serial() != serial
			if changed := len(test.add)+len(test.lose) > 0; changed != moved && name != "the apex keeps its top" {
				t.Errorf("changed %v, the serial moved %v", changed, moved)
			}
			back, err := loadZone(s.dir)
			if err != nil || !slices.EqualFunc(back.records(), s.zone.Load().records(), same) {
				t.Errorf("the file holds another zone: %v", err)
			}
		})
	}
}

func TestUpdateOfAnotherZone(t *testing.T) {
	s := testServer(t)
	for want, spoil := range map[int]func(*wire.Msg){
		wire.RcodeNotAuth:     func(m *wire.Msg) { m.Question[0].Name = "sub.dev.test." },
		wire.RcodeFormatError: func(m *wire.Msg) { m.Question[0].Qtype = wire.TypeA },
	} {
		m := message(t, "update a.dev.test. 60 IN A 127.0.0.1")
		spoil(m)
		if got := signed(t, s, m); got.Rcode != want {
			t.Errorf("%s, want %s", wire.RcodeToString[got.Rcode], wire.RcodeToString[want])
		}
	}
	m := message(t, "update a.dev.test. 60 IN A 127.0.0.1")
	m.Question[0].Qclass = wire.ClassCHAOS
	if got := signed(t, s, m); got.Rcode != wire.RcodeNotAuth {
		t.Errorf("CHAOS: %s", wire.RcodeToString[got.Rcode])
	}
	m.Question = append(m.Question, m.Question[0])
	if got := signed(t, s, m); got.Rcode != wire.RcodeFormatError {
		t.Errorf("two zones: %s", wire.RcodeToString[got.Rcode])
	}
	if got := contents(s); len(got) > 0 {
		t.Errorf("it changed %v", got)
	}
}

// Only whoever holds the key may change anything (RFC 8945, section 5.2).
func TestUpdatesNeedTheKey(t *testing.T) {
	s := testServer(t)
	update := func() *wire.Msg { return message(t, "update a.dev.test. 60 IN A 127.0.0.1") }
	if got := ask(t, s, update()); got.Rcode != wire.RcodeRefused {
		t.Errorf("unsigned: %s", got)
	}
	namesake, err := tsig.Generate(s.key.Name())
	if err != nil {
		t.Fatal(err)
	}
	other, err := tsig.Generate("other")
	if err != nil {
		t.Fatal(err)
	}
	for want, key := range map[tsig.Fault]tsig.Key{tsig.BadSignature: namesake, tsig.BadKey: other} {
		packed, _, err := key.Sign(update(), "")
		if err != nil {
			t.Fatal(err)
		}
		got := unpacked(t, s.respond(packed, false))
		if record := got.IsTsig(); got.Rcode != wire.RcodeNotAuth || record == nil || tsig.Fault(record.Error) != want {
			t.Errorf("%s: %s", want, got)
		}
	}
	packed, _, err := s.key.Sign(update(), "")
	if err != nil {
		t.Fatal(err)
	}
	for i := range packed { // any change of a signed message voids it
		spoiled := slices.Clone(packed)
		spoiled[i] ^= 0x20
		s.respond(spoiled, false)
	}
	if got := contents(s); len(got) > 1 || len(got) == 1 && got[0] != "a.dev.test. 60 IN A 127.0.0.1" {
		t.Errorf("somebody without the key made %v", got)
	}
}

// A record whose data ends too early has no form as text: it would be
// acknowledged and make the zone file unreadable.
func TestRecordWithHalfItsData(t *testing.T) {
	s := testServer(t)
	m := message(t, "update a.dev.test. 60 IN A 127.0.0.1")
	m.Ns = append(m.Ns, &wire.SRV{Hdr: wire.RR_Header{Name: "s.dev.test.", Rrtype: wire.TypeSRV, Class: wire.ClassINET, Ttl: 60}})
	if got := signed(t, s, m); got.Rcode != wire.RcodeFormatError || len(contents(s)) > 0 {
		t.Errorf("%s, want FORMERR; the zone holds %v", wire.RcodeToString[got.Rcode], contents(s))
	}
}

func TestSerialMovesOnPastZero(t *testing.T) {
	s := testServer(t)
	z := s.zone.Load().clone()
	z.soa().Serial = 1<<32 - 1
	z.bump()
	if got := z.serial(); got != 1 {
		t.Errorf("after 4294967295 comes %d, want 1", got)
	}
}

// Where the disk fails, nothing is acknowledged, and what is served stays what
// is stored.
func TestUpdateThatCannotBeStored(t *testing.T) {
	s := testServer(t, before()...)
	obstacle := filepath.Join(s.dir, zoneFile+".new", "in the way")
	if err := os.MkdirAll(obstacle, 0o700); err != nil {
		t.Fatal(err)
	}
	if got := signed(t, s, message(t, "update new.dev.test. 60 IN A 127.0.0.3")); got.Rcode != wire.RcodeServerFailure {
		t.Errorf("%s, want SERVFAIL", wire.RcodeToString[got.Rcode])
	}
	if diff := cmp.Diff(before(), contents(s)); diff != "" {
		t.Error(diff)
	}
	if err := os.RemoveAll(filepath.Dir(obstacle)); err != nil {
		t.Fatal(err)
	}
	if got := signed(t, s, message(t, "update new.dev.test. 60 IN A 127.0.0.3")); got.Rcode != wire.RcodeSuccess {
		t.Errorf("%s after the disk is well again", wire.RcodeToString[got.Rcode])
	}
}

// What could not be read back is refused before it is written.
func TestZoneThatBecomesTooLarge(t *testing.T) {
	s := testServer(t, before()...)
	big := s.zone.Load().clone()
	text := strings.TrimSpace(strings.Repeat(`"`+strings.Repeat("x", 255)+`" `, 200))
	for i := 0; len(big.encode()) < maxStore; i++ {
		big.add(parsed(t, fmt.Sprintf("t%d.dev.test. 60 IN TXT %s", i, text))[0])
	}
	s.zone.Store(big)
	if got := signed(t, s, message(t, "update a.dev.test. 60 IN A 127.0.0.3")); got.Rcode != wire.RcodeRefused || s.zone.Load() != big {
		t.Errorf("%s, want REFUSED", wire.RcodeToString[got.Rcode])
	}
	z, err := loadZone(s.dir)
	if err != nil || z.serial() != 2 {
		t.Errorf("the file: %v", err)
	}
}
