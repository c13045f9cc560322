package embedded

import (
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/tsig"
)

// testServer is a server for dev.test without sockets, with some records.
func testServer(t testing.TB, records ...string) *server {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "dns")
	if _, err := Create(t.Context(), dir, "dev.test", netip.MustParseAddr("127.9.9.9")); err != nil {
		t.Fatal(err)
	}
	set, err := readSettings(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := openServer(dir, set, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if len(records) > 0 {
		m := new(wire.Msg).SetUpdate("dev.test.")
		m.Insert(parsed(t, records...))
		if got := signed(t, s, m); got.Rcode != wire.RcodeSuccess {
			t.Fatalf("set up: %s", wire.RcodeToString[got.Rcode])
		}
	}
	return s
}

func parsed(t testing.TB, lines ...string) []wire.RR {
	t.Helper()
	var out []wire.RR
	for _, l := range lines {
		r, err := wire.NewRR(l)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

// signed sends a message with the server's own key and checks the signature
// of the answer.
func signed(t testing.TB, s *server, m *wire.Msg) *wire.Msg {
	t.Helper()
	packed, mac, err := s.key.Sign(m, "")
	if err != nil {
		t.Fatal(err)
	}
	raw := s.respond(packed, false)
	got := unpacked(t, raw)
	if record, err := tsig.Of(got); err != nil || record == nil {
		t.Fatalf("the answer is not signed: %v, %v", record, err)
	} else if fault := s.key.Verify(raw, record, mac); fault != tsig.None && got.Rcode != wire.RcodeNotAuth {
		t.Fatalf("the answer's signature: %v", fault)
	}
	return got
}

func unpacked(t testing.TB, raw []byte) *wire.Msg {
	t.Helper()
	m := new(wire.Msg)
	if err := m.Unpack(raw); err != nil {
		t.Fatalf("answer % x: %v", raw, err)
	}
	return m
}

// ask sends a message over UDP, unsigned.
func ask(t testing.TB, s *server, m *wire.Msg) *wire.Msg {
	t.Helper()
	packed, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return unpacked(t, s.respond(packed, true))
}

func question(name string, kind, class uint16) *wire.Msg {
	m := new(wire.Msg)
	m.Id, m.RecursionDesired = wire.Id(), true
	m.Question = []wire.Question{{Name: name, Qtype: kind, Qclass: class}}
	return m
}

// summary prints an answer on one line: rcode, flags, then the sections.
func summary(m *wire.Msg) string {
	out := wire.RcodeToString[m.Rcode]
	for flag, set := range map[string]bool{" aa": m.Authoritative, " tc": m.Truncated, " ra": m.RecursionAvailable} {
		if set {
			out += flag
		}
	}
	for name, section := range map[string][]wire.RR{"answer": m.Answer, "authority": m.Ns} {
		for _, r := range section {
			out += " | " + name + " " + strings.ReplaceAll(r.String(), "\t", " ")
		}
	}
	return out
}

const denied = " | authority dev.test. 1 IN SOA ns.dev.test. hostmaster.dev.test. 2 3600 600 86400 1"

func TestQuestions(t *testing.T) {
	s := testServer(t,
		"etcd-a.dev.test. 60 IN A 127.0.0.1",
		"_etcd-server._tcp.dev.test. 60 IN SRV 0 0 2380 etcd-a.dev.test.",
		"deep.below.dev.test. 60 IN TXT \"x\"")
	for _, test := range []struct {
		name        string
		kind, class uint16
		want        string
	}{
		{"etcd-a.dev.test.", wire.TypeA, wire.ClassINET, "NOERROR aa | answer etcd-a.dev.test. 60 IN A 127.0.0.1"},
		{"EtCd-A.dEv.tEsT.", wire.TypeA, wire.ClassINET, "NOERROR aa | answer EtCd-A.dEv.tEsT. 60 IN A 127.0.0.1"},
		{"_etcd-server._tcp.dev.test.", wire.TypeSRV, wire.ClassINET, "NOERROR aa | answer _etcd-server._tcp.dev.test. 60 IN SRV 0 0 2380 etcd-a.dev.test."},
		{"dev.test.", wire.TypeSOA, wire.ClassINET, "NOERROR aa | answer dev.test. 60 IN SOA ns.dev.test. hostmaster.dev.test. 2 3600 600 86400 1"},
		{"dev.test.", wire.TypeNS, wire.ClassINET, "NOERROR aa | answer dev.test. 60 IN NS ns.dev.test."},
		{"ns.dev.test.", wire.TypeA, wire.ClassINET, "NOERROR aa | answer ns.dev.test. 60 IN A 127.9.9.9"},
		// No such type at the name, and empty non-terminals (RFC 8020).
		{"etcd-a.dev.test.", wire.TypeAAAA, wire.ClassINET, "NOERROR aa" + denied},
		{"etcd-a.dev.test.", wire.TypeMX, wire.ClassINET, "NOERROR aa" + denied},
		{"etcd-a.dev.test.", 65280, wire.ClassINET, "NOERROR aa" + denied},
		{"dev.test.", wire.TypeA, wire.ClassINET, "NOERROR aa" + denied},
		{"_tcp.dev.test.", wire.TypeSRV, wire.ClassINET, "NOERROR aa" + denied},
		{"below.dev.test.", wire.TypeTXT, wire.ClassINET, "NOERROR aa" + denied},
		// No such name.
		{"etcd-b.dev.test.", wire.TypeA, wire.ClassINET, "NXDOMAIN aa" + denied},
		{"x.etcd-a.dev.test.", wire.TypeA, wire.ClassINET, "NXDOMAIN aa" + denied},
		{"xetcd-a.dev.test.", wire.TypeANY, wire.ClassINET, "NXDOMAIN aa" + denied},
		// RFC 8482.
		{"Etcd-a.dev.test.", wire.TypeANY, wire.ClassINET, `NOERROR aa | answer Etcd-a.dev.test. 1 IN HINFO "RFC8482" ""`},
		{"_tcp.dev.test.", wire.TypeANY, wire.ClassINET, `NOERROR aa | answer _tcp.dev.test. 1 IN HINFO "RFC8482" ""`},
		// Not ours.
		{"test.", wire.TypeSOA, wire.ClassINET, "REFUSED"},
		{".", wire.TypeNS, wire.ClassINET, "REFUSED"},
		{"xdev.test.", wire.TypeA, wire.ClassINET, "REFUSED"},
		{"www.example.com.", wire.TypeA, wire.ClassINET, "REFUSED"},
		{"etcd-a.dev.test.", wire.TypeA, wire.ClassCHAOS, "REFUSED"},
		{"version.bind.", wire.TypeTXT, wire.ClassCHAOS, "REFUSED"},
		{"etcd-a.dev.test.", wire.TypeA, wire.ClassANY, "REFUSED"},
		{"dev.test.", wire.TypeAXFR, wire.ClassINET, "REFUSED"},
		{"dev.test.", wire.TypeIXFR, wire.ClassINET, "REFUSED"},
		{"dev.test.", wire.TypeMAILB, wire.ClassINET, "REFUSED"},
		// Nonsense.
		{"dev.test.", 0, wire.ClassINET, "FORMERR"},
		{"dev.test.", wire.TypeOPT, wire.ClassINET, "FORMERR"},
		{"dev.test.", wire.TypeTSIG, wire.ClassINET, "FORMERR"},
	} {
		m := question(test.name, test.kind, test.class)
		got := ask(t, s, m)
		if diff := cmp.Diff(test.want, summary(got)); diff != "" {
			t.Errorf("%s %s: %s", test.name, wire.TypeToString[test.kind], diff)
		}
		if got.Id != m.Id || !got.Response || !got.RecursionDesired || got.RecursionAvailable || !slices.Equal(got.Question, m.Question) {
			t.Errorf("%s: the header or question is not an answer's: %v", test.name, got)
		}
	}
}

func TestMessagesThatAreNoQuestions(t *testing.T) {
	s := testServer(t)
	good := question("dev.test.", wire.TypeSOA, wire.ClassINET)
	for name, test := range map[string]struct {
		spoil func(*wire.Msg)
		want  string
	}{
		"notify":             {func(m *wire.Msg) { m.Opcode = wire.OpcodeNotify }, "NOTIMP"},
		"status":             {func(m *wire.Msg) { m.Opcode = wire.OpcodeStatus }, "NOTIMP"},
		"opcode 15":          {func(m *wire.Msg) { m.Opcode = 15 }, "NOTIMP"},
		"no question":        {func(m *wire.Msg) { m.Question = nil }, "FORMERR"},
		"two questions":      {func(m *wire.Msg) { m.Question = append(m.Question, m.Question[0]) }, "FORMERR"},
		"answer in question": {func(m *wire.Msg) { m.Answer = parsed(t, "a.dev.test. A 127.0.0.1") }, "FORMERR"},
		"transfer since then": {func(m *wire.Msg) {
			m.Question[0].Qtype = wire.TypeIXFR
			m.Ns = parsed(t, "dev.test. SOA a. b. 1 1 1 1 1")
		}, "REFUSED"},
		"two OPT":        {func(m *wire.Msg) { m.SetEdns0(1232, false); m.Extra = append(m.Extra, m.Extra[0]) }, "FORMERR"},
		"OPT of a name":  {func(m *wire.Msg) { m.SetEdns0(1232, false); m.Extra[0].Header().Name = "dev.test." }, "FORMERR"},
		"EDNS version 1": {func(m *wire.Msg) { m.SetEdns0(1232, false); m.IsEdns0().SetVersion(1) }, wire.RcodeToString[wire.RcodeBadVers]},
		"TSIG not last":  {func(m *wire.Msg) { m.SetTsig("k.", wire.HmacSHA256, 300, 1); m.SetEdns0(1232, false) }, "FORMERR"},
	} {
		t.Run(name, func(t *testing.T) {
			m := good.Copy()
			test.spoil(m)
			got := ask(t, s, m)
			if summary(got) != test.want || got.Id != m.Id || got.Opcode != m.Opcode {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
	packed, err := good.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if got := unpacked(t, s.respond(packed[:len(packed)-3], true)); got.Rcode != wire.RcodeFormatError || got.Id != good.Id {
		t.Errorf("cut off: %s", got)
	}
	for name, silent := range map[string][]byte{"empty": {}, "eleven bytes": packed[:11], "an answer": append([]byte{0, 0, 0x80}, packed[3:]...)} {
		if got := s.respond(silent, true); got != nil {
			t.Errorf("%s is answered: % x", name, got)
		}
	}
}

func TestEDNS(t *testing.T) {
	s := testServer(t)
	m := question("dev.test.", wire.TypeSOA, wire.ClassINET)
	if got := ask(t, s, m); got.IsEdns0() != nil {
		t.Error("OPT in the answer to a question without")
	}
	for _, do := range []bool{false, true} {
		m := m.Copy().SetEdns0(4096, do)
		opt := ask(t, s, m).IsEdns0()
		if opt == nil || opt.UDPSize() != maxUDP || opt.Version() != 0 || opt.Do() != do {
			t.Errorf("DO %v: OPT %v", do, opt)
		}
	}
}

// An answer is whole or empty: half an SRV set would be half a cluster.
func TestTruncation(t *testing.T) {
	var lines []string
	for i := range 40 {
		lines = append(lines, fmt.Sprintf("_etcd-server._tcp.dev.test. 60 IN SRV 0 0 2380 etcd-%08d.dev.test.", i))
	}
	s := testServer(t, lines[:9]...)
	all := func(m *wire.Msg) bool { return !m.Truncated && len(m.Answer) > 0 }
	none := func(m *wire.Msg) bool { return m.Truncated && len(m.Answer)+len(m.Ns) == 0 }
	m := question("_etcd-server._tcp.dev.test.", wire.TypeSRV, wire.ClassINET)
	full := ask(t, s, m)
	if !all(full) || len(full.Answer) != 9 {
		t.Fatalf("nine members: %s", full)
	}
	size := len(mustPack(t, compressed(full)))
	if uncompressed := full.Len(); size >= uncompressed {
		t.Errorf("the answer is %d bytes, without compression %d", size, uncompressed)
	}
	s = testServer(t, lines...)
	for name, test := range map[string]struct {
		edns uint16
		udp  bool
		want func(*wire.Msg) bool
	}{
		"512 bytes":         {0, true, none},
		"EDNS says 0":       {1, true, none},
		"EDNS with 1232":    {1232, true, none},
		"EDNS with 65535":   {65535, true, none},
		"TCP":               {0, false, all},
		"TCP and EDNS 512":  {512, false, all},
		"TCP, EDNS of 1232": {1232, false, all},
	} {
		m := m.Copy()
		limit := 512
		if test.edns > 0 {
			m.SetEdns0(test.edns, false)
			limit = min(max(int(test.edns), 512), maxUDP)
		}
		raw := s.respond(mustPack(t, m), test.udp)
		if got := unpacked(t, raw); !test.want(got) || (got.IsEdns0() != nil) != (test.edns > 0) {
			t.Errorf("%s: %s", name, got)
		}
		if test.udp && len(raw) > limit {
			t.Errorf("%s: %d bytes", name, len(raw))
		}
	}
	// A signature counts as well, and is not cut off.
	s = testServer(t, lines[:26]...)
	m.SetEdns0(maxUDP, false)
	if raw := s.respond(mustPack(t, m), true); !all(unpacked(t, raw)) {
		t.Fatalf("26 members do not fit into %d bytes: %s", maxUDP, unpacked(t, raw))
	}
	packed, _, err := s.key.Sign(m, "")
	if err != nil {
		t.Fatal(err)
	}
	raw := s.respond(packed, true)
	if got := unpacked(t, raw); len(raw) > maxUDP || got.IsTsig() == nil || got.Truncated == (len(got.Answer) > 0) {
		t.Errorf("signed, %d bytes: %s", len(raw), got)
	}
}

func compressed(m *wire.Msg) *wire.Msg {
	m = m.Copy()
	m.Compress = true
	return m
}

func mustPack(t testing.TB, m *wire.Msg) []byte {
	t.Helper()
	packed, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packed
}
