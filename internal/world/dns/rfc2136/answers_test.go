package rfc2136_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/rfc2136"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/tsig"
)

// odd is a name server of which each answer can be bent. Left alone it serves
// an empty zone and says yes to every update.
type odd struct {
	key tsig.Key
	// bend changes the answer to a message before it is signed.
	bend func(asked, answer *wire.Msg)
	// sign replaces the server's way of signing.
	sign func(answer *wire.Msg, asked *wire.TSIG) ([]byte, error)
}

func (o odd) start(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			o.serve(conn)
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

func (o odd) serve(conn net.Conn) {
	defer conn.Close()
	for {
		length := make([]byte, 2)
		if _, err := io.ReadFull(conn, length); err != nil {
			return
		}
		raw := make([]byte, binary.BigEndian.Uint16(length))
		if _, err := io.ReadFull(conn, raw); err != nil {
			return
		}
		packed, err := o.answer(raw)
		if err != nil {
			return
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packed))), packed...)); err != nil {
			return
		}
	}
}

func (o odd) answer(raw []byte) ([]byte, error) {
	var asked wire.Msg
	if err := asked.Unpack(raw); err != nil {
		return nil, err
	}
	answer := new(wire.Msg).SetReply(&asked)
	answer.Authoritative = asked.Opcode == wire.OpcodeQuery
	if q := asked.Question[0]; asked.Opcode == wire.OpcodeQuery && q.Qtype == wire.TypeSOA {
		answer.Answer = []wire.RR{&wire.SOA{Hdr: wire.RR_Header{Name: q.Name, Rrtype: wire.TypeSOA, Class: wire.ClassINET}, Ns: "ns.", Mbox: "h."}}
	}
	if o.bend != nil {
		o.bend(&asked, answer)
	}
	if o.sign != nil {
		return o.sign(answer, asked.IsTsig())
	}
	packed, _, err := o.key.Sign(answer, asked.IsTsig().MAC)
	return packed, err
}

func unsigned(m *wire.Msg, _ *wire.TSIG) ([]byte, error) { return m.Pack() }

// faulty signs as a server does that found fault with our signature.
func faulty(k tsig.Key, f tsig.Fault) func(*wire.Msg, *wire.TSIG) ([]byte, error) {
	return func(m *wire.Msg, asked *wire.TSIG) ([]byte, error) { return k.SignFault(m, asked, f) }
}

func rcode(code int) func(_, m *wire.Msg) { return func(_, m *wire.Msg) { m.Rcode = code } }

func generate(t *testing.T) tsig.Key {
	t.Helper()
	k, err := tsig.Generate("etcd")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// What BIND, Knot and PowerDNS were seen to answer, and what each of it means.
func TestWhatAnUpdatesAnswerMeans(t *testing.T) {
	key, stranger := generate(t), generate(t)
	for name, test := range map[string]struct {
		server odd
		want   error  // nil for success
		text   string // part of the error
	}{
		"yes":                       {odd{}, nil, ""},
		"NXRRSET":                   {odd{bend: rcode(wire.RcodeNXRrset)}, dns.ErrConflict, "NXRRSET"},
		"YXRRSET":                   {odd{bend: rcode(wire.RcodeYXRrset)}, dns.ErrConflict, "YXRRSET"},
		"NXDOMAIN":                  {odd{bend: rcode(wire.RcodeNameError)}, dns.ErrConflict, "NXDOMAIN"},
		"YXDOMAIN":                  {odd{bend: rcode(wire.RcodeYXDomain)}, dns.ErrConflict, "YXDOMAIN"},
		"BIND: not granted":         {odd{bend: rcode(wire.RcodeRefused)}, dns.ErrDenied, "is known there but is not allowed to do this"},
		"Knot: not granted":         {odd{bend: rcode(wire.RcodeNotAuth)}, dns.ErrDenied, "is known there but is not allowed to do this"},
		"PowerDNS: any reason":      {odd{bend: rcode(wire.RcodeRefused), sign: unsigned}, dns.ErrDenied, "it does not say why"},
		"Knot: zone is not its own": {odd{bend: rcode(wire.RcodeNotAuth), sign: unsigned}, dns.ErrDenied, "or it does not serve the zone"},
		"wrong secret":              {odd{bend: rcode(wire.RcodeNotAuth), sign: faulty(key, tsig.BadSignature)}, dns.ErrDenied, "BADSIG"},
		"unknown key":               {odd{bend: rcode(wire.RcodeNotAuth), sign: faulty(key, tsig.BadKey)}, dns.ErrDenied, "BADKEY), or the key is not allowed"},
		"clocks apart":              {odd{bend: rcode(wire.RcodeNotAuth), sign: faulty(key, tsig.BadTime)}, dns.ErrDenied, "clocks"},
		"name not in the zone":      {odd{bend: rcode(wire.RcodeNotZone)}, dns.ErrDenied, "not in the zone"},
		"no updates":                {odd{bend: rcode(wire.RcodeNotImplemented)}, dns.ErrDenied, "does not accept dynamic updates"},
		"not understood":            {odd{bend: rcode(wire.RcodeFormatError)}, dns.ErrDenied, "FORMERR"},
		"server failure":            {odd{bend: rcode(wire.RcodeServerFailure)}, dns.ErrUnknownOutcome, "SERVFAIL"},
		"yes, unsigned":             {odd{sign: unsigned}, dns.ErrUnknownOutcome, "not signed"},
		"conflict, unsigned":        {odd{bend: rcode(wire.RcodeNXRrset), sign: unsigned}, dns.ErrUnknownOutcome, "not signed"},
		"yes, signed by another":    {odd{key: stranger}, dns.ErrUnknownOutcome, "signature"},
		"to another message":        {odd{bend: func(_, m *wire.Msg) { m.Id++ }}, dns.ErrUnknownOutcome, "another message"},
		"no answer at all":          {odd{bend: func(_, m *wire.Msg) { m.Response = false }}, dns.ErrUnknownOutcome, "another message"},
		"to a question":             {odd{bend: func(_, m *wire.Msg) { m.Opcode = wire.OpcodeQuery }}, dns.ErrUnknownOutcome, "another message"},
		"nonsense":                  {odd{sign: func(*wire.Msg, *wire.TSIG) ([]byte, error) { return []byte("nonsense it is"), nil }}, dns.ErrUnknownOutcome, ""},
		"hangs up":                  {odd{sign: func(*wire.Msg, *wire.TSIG) ([]byte, error) { return nil, io.EOF }}, dns.ErrUnknownOutcome, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.server.key == (tsig.Key{}) {
				test.server.key = key
			}
			set := cluster.NewRecordSet("_pleiad."+zone+".", cluster.TXT, "v=1")
			_, err := client(t, test.server.start(t), key).Apply(t.Context(), []cluster.Change{{Key: set.Key, New: &set}})
			if test.want == nil {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			for _, kind := range []error{dns.ErrConflict, dns.ErrDenied, dns.ErrUnknownOutcome, dns.ErrUnreachable} {
				if errors.Is(err, kind) != (kind == test.want) {
					t.Errorf("%v; want only %v", err, test.want)
				}
			}
			if err != nil && !strings.Contains(err.Error(), test.text) {
				t.Errorf("%v; want %q in it", err, test.text)
			}
		})
	}
}

// Whatever is not a clear answer of the authority is an error, never absence.
func TestWhatAQuestionsAnswerMeans(t *testing.T) {
	key, stranger := generate(t), generate(t)
	name := "etcd-k3v9qd2m." + zone + "."
	with := func(lines ...string) func(asked, m *wire.Msg) {
		return func(asked, m *wire.Msg) {
			if asked.Question[0].Qtype != wire.TypeA {
				return
			}
			for _, l := range lines {
				r, err := wire.NewRR(l)
				if err != nil {
					panic(err)
				}
				m.Answer = append(m.Answer, r)
			}
		}
	}
	both := func(f, g func(_, m *wire.Msg)) func(_, m *wire.Msg) {
		return func(asked, m *wire.Msg) { f(asked, m); g(asked, m) }
	}
	onlyA := func(f func(m *wire.Msg)) func(asked, m *wire.Msg) {
		return func(asked, m *wire.Msg) {
			if asked.Question[0].Qtype == wire.TypeA {
				f(m)
			}
		}
	}
	for label, test := range map[string]struct {
		server odd
		want   string // the value, "" for absence, or part of an error behind a "!"
	}{
		"a record":             {odd{bend: with(name + " 60 IN A 192.0.2.1")}, "192.0.2.1"},
		"case":                 {odd{bend: with(strings.ToUpper(name) + " 60 IN A 192.0.2.1")}, "192.0.2.1"},
		"no such type":         {odd{}, ""},
		"no such name":         {odd{bend: onlyA(func(m *wire.Msg) { m.Rcode = wire.RcodeNameError })}, ""},
		"server failure":       {odd{bend: rcode(wire.RcodeServerFailure)}, "!SERVFAIL"},
		"refused":              {odd{bend: rcode(wire.RcodeRefused), sign: unsigned}, "!refused (REFUSED)"},
		"not its zone":         {odd{bend: onlyA(func(m *wire.Msg) { m.Authoritative = false })}, "!not authoritative"},
		"no zone at all":       {odd{bend: func(_, m *wire.Msg) { m.Answer = nil }}, "!no SOA record"},
		"cut off":              {odd{bend: onlyA(func(m *wire.Msg) { m.Truncated = true })}, "!cut off"},
		"alias":                {odd{bend: with(name+" 60 IN CNAME www."+zone+".", "www."+zone+". 60 IN A 192.0.2.1")}, "!belongs to somebody else"},
		"another name":         {odd{bend: with("www." + zone + ". 60 IN A 192.0.2.1")}, "!belongs to somebody else"},
		"denied and given":     {odd{bend: both(with(name+" 60 IN A 192.0.2.1"), onlyA(func(m *wire.Msg) { m.Rcode = wire.RcodeNameError }))}, "!denies a name"},
		"to another question":  {odd{bend: onlyA(func(m *wire.Msg) { m.Question[0].Name = "www." + zone + "." })}, "!another question"},
		"to another message":   {odd{bend: onlyA(func(m *wire.Msg) { m.Id += 1000 })}, "!was not asked"},
		"unsigned":             {odd{sign: unsigned}, "!not signed"},
		"signed by another":    {odd{key: stranger}, "!signature"},
		"wrong secret":         {odd{bend: rcode(wire.RcodeNotAuth), sign: faulty(key, tsig.BadSignature)}, "!BADSIG"},
		"hangs up":             {odd{sign: func(*wire.Msg, *wire.TSIG) ([]byte, error) { return nil, io.EOF }}, "!unreachable"},
		"less than a header":   {odd{sign: func(*wire.Msg, *wire.TSIG) ([]byte, error) { return []byte{1}, nil }}, "!short"},
		"the same answer only": {odd{bend: func(_, m *wire.Msg) { m.Id = 7 }}, "!was not asked"},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			if test.server.key == (tsig.Key{}) {
				test.server.key = key
			}
			got, err := client(t, test.server.start(t), key).Read(t.Context(), []cluster.Key{{Name: name, Type: cluster.A}})
			why, fails := strings.CutPrefix(test.want, "!")
			switch {
			case fails && (err == nil || len(got.Sets) > 0 || !strings.Contains(err.Error(), why)):
				t.Errorf("%v, %v; want an error with %q and no records", got, err, why)
			case !fails && err != nil:
				t.Error(err)
			case !fails && (test.want == "" && len(got.Sets) > 0 || test.want != "" && (len(got.Sets) != 1 || got.Sets[0].Values[0] != test.want)):
				t.Errorf("%v, want %q", got, test.want)
			}
		})
	}
}

// A slow server costs the provider's own timeout, however patient the caller.
func TestTimeout(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts, by its backlog, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, err := rfc2136.New(rfc2136.Config{Server: l.Addr().String(), Zone: zone, Key: generate(t), Timeout: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	set := cluster.NewRecordSet("_pleiad."+zone+".", cluster.TXT, "v=1")
	_, err = p.Apply(context.Background(), []cluster.Change{{Key: set.Key, New: &set}})
	if !errors.Is(err, dns.ErrUnknownOutcome) || !strings.Contains(err.Error(), "no answer within 500ms") {
		t.Error(err)
	}
	_, err = p.Read(context.Background(), []cluster.Key{set.Key})
	if !errors.Is(err, dns.ErrUnreachable) || !strings.Contains(err.Error(), "no answer within 500ms") {
		t.Error(err)
	}
}

// A server that sends without end costs one message, not the timeout.
func TestEndlessServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				for err := error(nil); err == nil; {
					_, err = conn.Write(bytes.Repeat([]byte{0xff}, 1<<16))
				}
			})
		}
	})
	defer serving.Wait()
	defer l.Close()
	p, err := rfc2136.New(rfc2136.Config{Server: l.Addr().String(), Zone: zone, Key: generate(t), Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	set := cluster.NewRecordSet("_pleiad."+zone+".", cluster.TXT, "v=1")
	if _, err := p.Read(t.Context(), []cluster.Key{set.Key}); err == nil || strings.Contains(err.Error(), "within") {
		t.Errorf("Read: %v, want what is wrong with the answer", err)
	}
	if _, err = p.Apply(t.Context(), []cluster.Change{{Key: set.Key, New: &set}}); err == nil || strings.Contains(err.Error(), "within") {
		t.Errorf("Apply: %v, want what is wrong with the answer", err)
	}
}

func TestNew(t *testing.T) {
	key := generate(t)
	for server, want := range map[string]string{
		"192.0.2.1": "192.0.2.1:53", "192.0.2.1:5300": "192.0.2.1:5300", "ns1.test": "ns1.test:53",
		"2001:db8::1": "[2001:db8::1]:53", "[2001:db8::1]": "[2001:db8::1]:53", "[2001:db8::1]:54": "[2001:db8::1]:54",
	} {
		p, err := rfc2136.New(rfc2136.Config{Server: server, Zone: "Twindb.Test", Key: key})
		if err != nil {
			t.Errorf("%s: %v", server, err)
			continue
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = p.Read(ctx, []cluster.Key{{Name: "a.twindb.test.", Type: cluster.A}})
		if err == nil || !strings.Contains(err.Error(), "read zone twindb.test. at "+want+": ") {
			t.Errorf("%s: %v, want %s in it", server, err, want)
		}
	}
	for name, c := range map[string]rfc2136.Config{
		"no server": {Zone: zone, Key: key}, "no host": {Server: ":53", Zone: zone, Key: key}, "no port": {Server: "a:", Zone: zone, Key: key},
		"no zone": {Server: "a", Key: key}, "bad zone": {Server: "a", Zone: "a..b", Key: key}, "no key": {Server: "a", Zone: zone},
	} {
		if _, err := rfc2136.New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := rfc2136.Open(rfc2136.Config{Server: "a", Zone: zone}, "file"); err == nil {
		t.Error("Open without a key: no error")
	}
}

func TestNamesOutsideTheZone(t *testing.T) {
	p := client(t, "127.0.0.1:1", generate(t))
	set := cluster.NewRecordSet("_pleiad.other.test.", cluster.TXT, "v=1")
	if _, err := p.Apply(t.Context(), []cluster.Change{{Key: set.Key, New: &set}}); err == nil || !strings.Contains(err.Error(), "not in the zone") {
		t.Errorf("Apply: %v", err)
	}
	if _, err := p.Read(t.Context(), []cluster.Key{set.Key}); err == nil || !strings.Contains(err.Error(), "not in the zone") {
		t.Errorf("Read: %v", err)
	}
}

// All questions are in one piece, so that no answer waits for our system to
// acknowledge another.
func TestQuestionsAtOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan int, 1)
	go func() {
		defer close(got)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		piece := make([]byte, 64<<10)
		n, err := conn.Read(piece)
		questions := 0
		for rest := piece[:n]; err == nil && len(rest) >= 2; questions++ {
			rest = rest[min(len(rest), 2+int(binary.BigEndian.Uint16(rest))):]
		}
		got <- questions
	}()
	key := generate(t)
	p, err := rfc2136.New(rfc2136.Config{Server: l.Addr().String(), Zone: "dev.test", Key: key})
	if err != nil {
		t.Fatal(err)
	}
	var keys []cluster.Key
	for i := range 10 {
		keys = append(keys, cluster.Key{Name: fmt.Sprintf("etcd-%d.dev.test.", i), Type: cluster.A})
	}
	if _, err := p.Read(t.Context(), keys); err == nil {
		t.Error("Read: nil, want an error: nobody answered")
	}
	if n := <-got; n != len(keys)+2 { // and the serial before and after
		t.Errorf("%d questions in the first piece, want %d", n, len(keys)+2)
	}
}
