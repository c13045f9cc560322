package sidebyside_test

import (
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/pleiad-etcd/pleiad/internal/system/sidebyside"
)

// server is a name server that answers each question for an address with 127.1.2.3;
// one that is mute only listens.
func server(t *testing.T, mute bool) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		b := make([]byte, 4096)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return // closed
			}
			var q, a dns.Msg
			if mute || q.Unpack(b[:n]) != nil {
				continue
			}
			a.SetReply(&q)
			if q.Question[0].Qtype == dns.TypeA {
				a.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(127, 1, 2, 3)}}
			}
			if answer, err := a.Pack(); err == nil {
				_, _ = c.WriteTo(answer, from)
			}
		}
	})
	t.Cleanup(func() { c.Close(); serving.Wait() })
	return c.LocalAddr().String()
}

// A mute name server costs no lookup the five seconds that Go waits for one, wherever it
// stands, and is named.
func TestMuteNameServer(t *testing.T) {
	t.Parallel()
	mute, good := server(t, true), server(t, false)
	for _, order := range [][]string{{mute, good}, {mute, mute, good}} {
		servers := sidebyside.These(order...)
		r := &net.Resolver{PreferGo: true, Dial: sidebyside.Dial(servers.Ask)}
		began := time.Now()
		got, err := r.LookupHost(t.Context(), "api.example.test.")
		if err != nil || !slices.Equal(got, []string{"127.1.2.3"}) {
			t.Errorf("%v: %v, %v", order, got, err)
		}
		if took := time.Since(began); took >= 5*time.Second {
			t.Errorf("%v: a lookup took %s", order, took)
		}
		if silent := servers.Silent(); !slices.Contains(silent, mute) || slices.Contains(silent, good) {
			t.Errorf("%v: silent are %q, want %s", order, silent, mute)
		}
	}
}
