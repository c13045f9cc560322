package embedded

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/tsig"
)

// hostile are packets that others sent to name servers to bring them down,
// and the seeds from which the fuzzer grows more.
func hostile(t testing.TB) [][]byte {
	t.Helper()
	plain := mustPack(t, question("a.dev.test.", wire.TypeA, wire.ClassINET))
	header := func(counts ...uint16) []byte {
		out := []byte{0, 1, 0, 0}
		for _, c := range counts {
			out = binary.BigEndian.AppendUint16(out, c)
		}
		return out
	}
	edns := question("a.dev.test.", wire.TypeANY, wire.ClassINET)
	edns.SetEdns0(1, true)
	edns.IsEdns0().Option = []wire.EDNS0{&wire.EDNS0_LOCAL{Code: 65001, Data: make([]byte, 100)}}
	update := message(t, "prereq a.dev.test. 0 NONE ANY", "update a.dev.test. 60 IN A 127.0.0.1", "update a.dev.test. 0 ANY ANY")
	update.SetTsig("pleiad.dev.test.", wire.HmacSHA256, 300, 1)
	return [][]byte{
		plain, mustPack(t, edns), mustPack(t, message(t, "update a.dev.test. 60 IN A 127.0.0.1")), mustPack(t, update.Copy()),
		nil, plain[:12], plain[:len(plain)-1], append(slices.Clone(plain), 0, 1, 2, 3),
		append(header(1, 0, 0, 0), 0xc0, 12, 0, 1, 0, 1),                                           // a name that points at itself
		append(header(1, 0, 0, 0), 0xc0, 14, 0xc0, 12, 0, 1, 0, 1),                                 // two that point at each other
		append(header(1, 0, 0, 0), slices.Concat(slices.Repeat([]byte{63}, 300), []byte{0, 1})...), // labels past the end
		append(header(1, 0, 0, 0), append([]byte(strings.Repeat("\x01a", 200)), 0, 0, 1, 0, 1)...), // a name of 401 bytes
		append(header(0xffff, 0xffff, 0xffff, 0xffff), plain[12:]...),                              // more counted than there is
		append(header(0, 0, 0, 1), 0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 0),                            // TSIG without data
		append(header(0, 0, 0, 1), 0, 0, 41, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 9),                   // OPT option past the end
		append(header(0, 0, 1, 0), 0, 0, 1, 0, 1, 0, 0, 0, 0, 0xff, 0xff),                          // data past the end
	}
}

// Whatever comes in: no panic, an answer only to what is not one itself, of
// the right size, with the header of an answer, and no change without the key.
func FuzzRespond(f *testing.F) {
	for _, packet := range hostile(f) {
		f.Add(packet, true)
		f.Add(packet, false)
	}
	s := testServer(f, before()...)
	s.log = nil // a panic that respond catches would log, and so panic again
	zone := s.zone.Load()
	f.Fuzz(func(t *testing.T, packet []byte, udp bool) {
		sent := slices.Clone(packet)
		answer := s.respond(packet, udp)
		if !slices.Equal(sent, packet) {
			t.Error("the packet was changed")
		}
		if s.zone.Load() != zone {
			t.Fatal("an unsigned packet changed the zone")
		}
		if silent := len(packet) < 12 || packet[2]&0x80 != 0; silent != (answer == nil) {
			t.Fatalf("answered %v", answer != nil)
		}
		if answer != nil {
			checkAnswer(t, packet, answer, udp)
		}
	})
}

func checkAnswer(t *testing.T, packet, answer []byte, udp bool) {
	t.Helper()
	if limit := map[bool]int{true: maxUDP, false: wire.MaxMsgSize - 1}[udp]; len(answer) > limit {
		t.Errorf("%d bytes, at most %d are allowed", len(answer), limit)
	}
	m := unpacked(t, answer)
	asked := binary.BigEndian.Uint16(packet)
	if m.Id != asked || !m.Response || m.RecursionAvailable || m.Opcode != int(packet[2]>>3&0xf) {
		t.Errorf("not the header of an answer: %s", m)
	}
	if len(m.Answer) > 0 && (m.Rcode != wire.RcodeSuccess || !m.Authoritative) {
		t.Errorf("records in an answer that is none: %s", m)
	}
	if m.Truncated && len(m.Answer)+len(m.Ns) > 0 {
		t.Errorf("half an answer: %s", m)
	}
	if _, err := tsig.Of(m); err != nil {
		t.Error(err)
	}
}

// The same with packets that the server has reason to trust: signed with its
// key, so that the fuzzer reaches behind the signature. What is acknowledged
// is in the file, and what is in the file can be read.
func FuzzUpdate(f *testing.F) {
	for _, packet := range hostile(f) {
		f.Add(packet)
	}
	for _, lines := range [][]string{
		{`update a\.b\032\"\;\@\(.dev.test. 60 IN TXT "\000\200\"\\" ""`}, {"update \\000.dev.test. 4294967295 IN SRV 1 2 3 ."},
		{"update dev.test. 60 IN TXT \"$GENERATE 1-2 a A 127.0.0.$\""}, {"update $ttl.dev.test. 60 IN A 127.0.0.1"},
		{"prereq a.dev.test. 0 NONE A", "update a.dev.test. 0 ANY ANY", "update @.dev.test. 60 IN AAAA ::ffff:127.0.0.1"},
	} {
		f.Add(mustPack(f, message(f, lines...)))
	}
	s := testServer(f)
	empty := s.zone.Load()
	f.Fuzz(func(t *testing.T, packet []byte) {
		m := new(wire.Msg)
		if m.Unpack(packet) != nil || m.Response {
			return
		}
		if record, err := tsig.Of(m); err != nil {
			return
		} else if record != nil {
			m.Extra = m.Extra[:len(m.Extra)-1]
		}
		packed, _, err := s.key.Sign(m, "")
		if err != nil {
			return
		}
		s.zone.Store(empty)
		answer := unpacked(t, s.respond(packed, false))
		after := s.zone.Load()
		if answer.Rcode != wire.RcodeSuccess && after != empty {
			t.Errorf("answered %s and changed the zone", wire.RcodeToString[answer.Rcode])
		}
		if after == empty {
			return
		}
		if m.Opcode != wire.OpcodeUpdate || after.serial() != empty.serial()+1 {
			t.Errorf("opcode %d moved the serial to %d", m.Opcode, after.serial())
		}
		back, err := loadZone(s.dir)
		if err != nil || !slices.EqualFunc(back.records(), after.records(), same) {
			t.Errorf("the file holds another zone: %v", err)
		}
		if _, err := Load(s.dir); err != nil {
			t.Error(err)
		}
	})
}

// A zone file is read as what it is or not at all. The fuzzer writes the body;
// the checksum is made right for it every other time.
func FuzzZoneFile(f *testing.F) {
	good := string(testServer(f, before()...).zone.Load().encode())
	_, body, _ := strings.Cut(good, "\n")
	for _, seed := range []string{
		body, "", "\n", body + body, body[:len(body)-5], strings.ReplaceAll(body, "\n", "\r\n"),
		"$INCLUDE /etc/passwd\n" + body, body + "$INCLUDE /etc/passwd\n", body + "$GENERATE 1-65535 a$ A 127.0.0.1\n", body + "$TTL 5\n",
		body + "a.dev.test. 60 IN A 127.0.0.1 ; comment\n", body + "a.dev.test. 60 IN TXT ( \"a\"\n", body + "a.dev.test. 60 IN TXT \"open\n",
		body + "\t60 IN A 127.0.0.1\n", body + "a 60 IN A 127.0.0.1\n", body + "a.dev.test. 60 CH A 127.0.0.1\n", body + "a.dev.test. 60 IN CNAME b.dev.test.\n",
		body + "sub.dev.test. 60 IN NS ns.dev.test.\n", body + "a.other.test. 60 IN A 127.0.0.1\n", body + "a.dev.test. 60 IN A\n", body + `a.dev.test. 60 IN A \# 0` + "\n",
		strings.Replace(body, "SOA", "soa", 1), strings.Repeat("x", 70000),
	} {
		f.Add(seed, true)
	}
	f.Add(good, false)
	f.Add(strings.Replace(good, "127.0.0.1", "127.0.0.3", 1), false)
	f.Fuzz(func(t *testing.T, text string, sum bool) {
		if sum {
			text = heading + checksum(text) + "\n" + text
		}
		z, err := decode([]byte(text))
		if err != nil {
			return
		}
		again, err := decode(z.encode())
		if err != nil {
			t.Fatalf("read once, but not again: %v\n%s", err, z.encode())
		}
		if !slices.EqualFunc(again.records(), z.records(), same) || again.apex != z.apex {
			t.Errorf("written and read again it is another zone:\n%s\n%s", z.encode(), again.encode())
		}
	})
}
