package member

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/pleiad-etcd/pleiad/internal/system/sidebyside"
)

func mustResolver(t testing.TB, server string, pins map[string]string) *resolver {
	t.Helper()
	r, err := newResolver(server, pins)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// besides is a resolver of a system that has these name servers.
func besides(t testing.TB, servers ...string) *resolver {
	t.Helper()
	r := mustResolver(t, "", nil)
	r.system = sidebyside.These(servers...)
	return r
}

var pinned = map[string]string{"etcd-a.dev.test": "127.1.2.3", "etcd-b.dev.test": "fd00::2"}

// nobody is a name server that does not exist: port 0 cannot be asked.
const nobody = "127.0.0.1:0"

// Rule R9: pinned names are answered with no name server at all.
func TestPinnedNamesNeedNoServer(t *testing.T) {
	t.Parallel()
	r := mustResolver(t, nobody, pinned).network()
	for _, tt := range []struct {
		network, name string
		want          []string
	}{
		{"ip", "etcd-a.dev.test", []string{"127.1.2.3"}},
		{"ip", "etcd-a.dev.test.", []string{"127.1.2.3"}},
		{"ip", "ETCD-A.dev.test", []string{"127.1.2.3"}},
		{"ip4", "etcd-a.dev.test", []string{"127.1.2.3"}},
		{"ip", "etcd-b.dev.test", []string{"fd00::2"}},
		{"ip6", "etcd-b.dev.test", []string{"fd00::2"}},
		{"ip6", "etcd-a.dev.test", nil},
		{"ip4", "etcd-b.dev.test", nil},
	} {
		got, err := r.LookupNetIP(t.Context(), tt.network, tt.name)
		if (tt.want == nil) != absent(err) || tt.want != nil && err != nil {
			t.Errorf("%s %s: error %v, want %v", tt.network, tt.name, err, tt.want)
		}
		if texts := addrTexts(got); !slices.Equal(texts, tt.want) {
			t.Errorf("%s %s: %v, want %v", tt.network, tt.name, texts, tt.want)
		}
	}
	// Everything else needs one, and says so.
	for _, name := range []string{"dev.test", "x.etcd-a.dev.test", "etcd-c.dev.test"} {
		if got, err := r.LookupNetIP(t.Context(), "ip", name); err == nil || absent(err) {
			t.Errorf("%s: %v, %v, want a failure that is not absence", name, got, err)
		}
	}
	if _, got, err := r.LookupSRV(t.Context(), "", "", "etcd-a.dev.test"); err == nil || absent(err) {
		t.Errorf("SRV of a pinned name: %v, %v, want a failure that is not absence", got, err)
	}
}

func addrTexts(addrs []netip.Addr) []string {
	var out []string
	for _, a := range addrs {
		out = append(out, a.Unmap().String())
	}
	return out
}

// A search list makes Go ask for etcd-a.dev.test.corp.test first where ndots is
// high. That must not wait for a name server that is gone.
func TestSearchListBehindAPinNeedsNoServer(t *testing.T) {
	t.Parallel()
	r := mustResolver(t, nobody, pinned)
	var q dns.Msg
	q.SetQuestion("etcd-a.dev.test.corp.test.", dns.TypeA)
	query, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.answer(t.Context(), "udp", nobody, query)
	if err != nil {
		t.Fatal(err)
	}
	var a dns.Msg
	if err := a.Unpack(b); err != nil || a.Rcode != dns.RcodeNameError || len(a.Answer) != 0 {
		t.Errorf("answer %v, %v, want NXDOMAIN", &a, err)
	}
}

func TestEverythingElseIsForwarded(t *testing.T) {
	t.Parallel()
	records := []string{"etcd-c.dev.test. 60 IN A 127.1.2.4", "etcd-a.dev.test. 60 IN A 127.9.9.9", `dev.test. 60 IN TXT "hello"`}
	for i := range 100 { // too much for UDP
		records = append(records, fmt.Sprintf("_big._tcp.dev.test. 60 IN SRV 0 0 %d etcd-%d.dev.test.", 1000+i, i))
	}
	s := newNameServer(t, records...)
	r := mustResolver(t, s.addr, pinned).network()
	if got, err := r.LookupNetIP(t.Context(), "ip", "etcd-c.dev.test"); err != nil || !slices.Equal(addrTexts(got), []string{"127.1.2.4"}) {
		t.Errorf("address: %v, %v", got, err)
	}
	if got, err := r.LookupTXT(t.Context(), "dev.test"); err != nil || !slices.Equal(got, []string{"hello"}) {
		t.Errorf("text: %q, %v", got, err)
	}
	if _, got, err := r.LookupSRV(t.Context(), "big", "tcp", "dev.test"); err != nil || len(got) != 100 {
		t.Errorf("a long answer: %d records, %v, want 100", len(got), err)
	}
	for _, name := range []string{"etcd-z.dev.test", "_big._tcp.dev.test"} { // NXDOMAIN, NODATA
		if got, err := r.LookupNetIP(t.Context(), "ip", name); !absent(err) {
			t.Errorf("%s: %v, %v, want absence", name, got, err)
		}
	}
	if got, err := r.LookupNetIP(t.Context(), "ip", "etcd-a.dev.test"); err != nil || !slices.Equal(addrTexts(got), []string{"127.1.2.3"}) {
		t.Errorf("pinned address: %v, %v, want the pin, not what DNS says", got, err)
	}
	if asked := s.questions(); slices.ContainsFunc(asked, func(q string) bool { return strings.HasSuffix(q, " etcd-a.dev.test.") }) {
		t.Errorf("a pinned name was asked for: %q", asked)
	}
}

// strange is a UDP server that answers each query as it likes.
func strange(t *testing.T, reply func(query []byte) [][]byte) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		b := make([]byte, 4096)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return // closed
			}
			for _, m := range reply(b[:n]) {
				_, _ = c.WriteTo(m, from)
			}
		}
	})
	t.Cleanup(func() { c.Close(); wg.Wait() })
	return c.LocalAddr().String()
}

// Without a name server of its own it asks the one that Go has chosen from
// resolv.conf, in the way that Go has chosen; pinned names ask nobody.
func TestTheSystemsNameServerIsAsked(t *testing.T) {
	t.Parallel()
	s := newNameServer(t, "etcd-c.dev.test. 60 IN A 127.1.2.4")
	own := mustResolver(t, "", pinned)
	own.system = sidebyside.These(s.addr)
	r := own.network()
	for _, network := range []string{"udp", "tcp"} {
		for name, want := range map[string]string{"etcd-c.dev.test.": "127.1.2.4", "etcd-a.dev.test.": "127.1.2.3"} {
			c, err := r.Dial(t.Context(), network, s.addr)
			if err != nil {
				t.Fatal(err)
			}
			var q dns.Msg
			q.SetQuestion(name, dns.TypeA)
			stream := &dns.Conn{Conn: c}
			if err := stream.WriteMsg(&q); err != nil {
				t.Fatal(err)
			}
			a, err := stream.ReadMsg()
			if err != nil || a.Id != q.Id || len(a.Answer) != 1 || a.Answer[0].(*dns.A).A.String() != want {
				t.Errorf("%s over %s: %v, %v, want %s", name, network, a, err, want)
			}
			c.Close()
		}
	}
	if asked := s.questions(); !slices.Equal(asked, []string{"A etcd-c.dev.test.", "A etcd-c.dev.test."}) {
		t.Errorf("asked %q", asked)
	}
	if got, err := r.LookupNetIP(t.Context(), "ip", "etcd-a.dev.test"); err != nil || !slices.Equal(addrTexts(got), []string{"127.1.2.3"}) {
		t.Errorf("pinned: %v, %v", got, err)
	}
}

func TestStrayAnswersAreIgnored(t *testing.T) {
	t.Parallel()
	addr := strange(t, func(query []byte) [][]byte {
		var q, a dns.Msg
		if err := q.Unpack(query); err != nil {
			t.Error(err)
		}
		a.SetReply(&q)
		if q.Question[0].Qtype == dns.TypeA {
			a.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(127, 1, 2, 3)}}
		}
		right, err := a.Pack()
		if err != nil {
			t.Error(err)
		}
		late := slices.Clone(right)
		late[0] ^= 0xff
		return [][]byte{nil, {1}, query, late, right}
	})
	got, err := mustResolver(t, addr, nil).network().LookupNetIP(t.Context(), "ip4", "etcd-a.dev.test")
	if err != nil || !slices.Equal(addrTexts(got), []string{"127.1.2.3"}) {
		t.Errorf("got %v, %v", got, err)
	}
}

// Dials of a dead peer resolve over and over, while DNS may be silent: each
// lookup ends with its context, and leaves nothing behind.
func TestLookupsEndWithTheirContextAndLeaveNothing(t *testing.T) {
	silent := strange(t, func([]byte) [][]byte { return nil })
	r := mustResolver(t, silent, pinned).network()
	before := runtime.NumGoroutine()
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			began := time.Now()
			// Different names: Go joins equal lookups into one.
			if got, err := r.LookupNetIP(ctx, "ip", fmt.Sprintf("etcd-%d.dev.test", i)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("silent server: %v, %v, want the deadline's error", got, err)
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("a lookup of 20 ms took %s", took)
			}
			if _, err := r.LookupNetIP(t.Context(), "ip", "etcd-a.dev.test"); err != nil {
				t.Errorf("pinned name: %v", err)
			}
		})
	}
	wg.Wait()
	until(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}

func TestCancelInterruptsAnExchange(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 1)
	silent := strange(t, func([]byte) [][]byte { asked <- struct{}{}; return nil })
	ctx, cancel := context.WithCancel(t.Context())
	c, err := mustResolver(t, silent, nil).network().Dial(ctx, "udp", "")
	if err != nil {
		t.Fatal(err)
	}
	var q dns.Msg
	q.SetQuestion("etcd-a.dev.test.", dns.TypeA)
	if err := (&dns.Conn{Conn: c}).WriteMsg(&q); err != nil {
		t.Fatal(err)
	}
	go func() {
		<-asked
		cancel()
	}()
	if n, err := c.Read(make([]byte, 100)); err == nil {
		t.Errorf("read %d bytes from a silent server", n)
	}
}

func TestResolverSettings(t *testing.T) {
	for _, tt := range []struct {
		server string
		pins   map[string]string
		says   string
	}{
		{"127.0.0.1:53", pinned, ""},
		{"[::1]:53", nil, ""},
		{"dns.dev.test:53", nil, "want IP address and port"}, // it would look itself up for ever
		{"127.0.0.1", nil, "want IP address and port"},
		{"127.0.0.1:53", map[string]string{"etcd-a.dev.test": "etcd-b"}, "pin etcd-a.dev.test"},
	} {
		_, err := newResolver(tt.server, tt.pins)
		if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s %v: %v, want %q", tt.server, tt.pins, err, tt.says)
		}
	}
}

func FuzzPinned(f *testing.F) {
	for _, name := range []string{"etcd-a.dev.test.", "etcd-a.dev.test.corp.test.", "dev.test."} {
		for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV} {
			var q dns.Msg
			q.SetQuestion(name, kind)
			q.SetEdns0(1232, false)
			b, err := q.Pack()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	r := mustResolver(f, nobody, pinned)
	f.Fuzz(func(t *testing.T, query []byte) {
		b, err := r.pinned(query)
		if err != nil || b == nil {
			return
		}
		var q, a dns.Msg
		if err := q.Unpack(query); err != nil {
			t.Fatalf("answered %x, which is no message: %v", query, err)
		}
		if err := a.Unpack(b); err != nil {
			t.Fatalf("answer %x to %x: %v", b, query, err)
		}
		if a.Id != q.Id || !a.Response || len(a.Question) != 1 || a.Question[0] != q.Question[0] || len(a.Answer) > 1 {
			t.Errorf("query %v answered with %v", &q, &a)
		}
	})
}

func BenchmarkPinnedLookup(b *testing.B) {
	r := mustResolver(b, nobody, pinned).network()
	for b.Loop() {
		if _, err := r.LookupNetIP(b.Context(), "ip", "etcd-a.dev.test"); err != nil {
			b.Fatal(err)
		}
	}
}
