package edge

import (
	"net"
	"net/netip"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"github.com/pleiad-etcd/pleiad/internal/world/dns/cloudflare/cloudflaretest"
)

const zone = "a.test"

func ask(name string, kind uint16) *wire.Msg { return new(wire.Msg).SetQuestion(name, kind) }

func holding(t *testing.T, records ...cloudflaretest.Record) (*cloudflaretest.Fake, *Edge) {
	f := cloudflaretest.New(t)
	f.AddZone(cloudflaretest.Zone{Name: zone, NameServers: []string{Server(zone)}})
	for _, r := range records {
		f.Put(zone, r)
	}
	return f, &Edge{Records: Cloudflare(f, zone), Zone: zone, At: netip.MustParseAddr("127.0.0.1")}
}

// It answers over UDP and TCP with what the API holds: services with their data, proxied
// names with the proxy, and names that are not there as such.
func TestServe(t *testing.T) {
	_, e := holding(t,
		cloudflaretest.Record{Type: "A", Name: "m1." + zone, Content: "192.0.2.1", TTL: 60},
		cloudflaretest.Record{Type: "A", Name: "m2." + zone, Content: "192.0.2.2", TTL: 60, Proxied: true},
		cloudflaretest.Record{Type: "SRV", Name: "_etcd-server._tcp." + zone, TTL: 60, Data: &cloudflaretest.Service{Port: 2380, Target: "m1." + zone}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	stop := e.Serve(l, p)
	for _, network := range []string{"udp", "tcp"} {
		for _, c := range []struct {
			name string
			kind uint16
			code int
			want string
		}{
			{"m1.a.test.", wire.TypeA, wire.RcodeSuccess, "m1.a.test.\t60\tIN\tA\t192.0.2.1"},
			{"M2.a.test.", wire.TypeA, wire.RcodeSuccess, "m2.a.test.\t60\tIN\tA\t" + Proxy},
			{"_etcd-server._tcp.a.test.", wire.TypeSRV, wire.RcodeSuccess, "_etcd-server._tcp.a.test.\t60\tIN\tSRV\t0 0 2380 m1.a.test."},
			{"a.test.", wire.TypeNS, wire.RcodeSuccess, "a.test.\t60\tIN\tNS\tns1.a.test."},
			{"m1.a.test.", wire.TypeTXT, wire.RcodeSuccess, ""},
			{"m3.a.test.", wire.TypeA, wire.RcodeNameError, ""},
		} {
			got, _, err := (&wire.Client{Net: network}).Exchange(ask(c.name, c.kind), l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			text := ""
			for _, r := range got.Answer {
				text += r.String()
			}
			if text != c.want || got.Rcode != c.code || !got.Authoritative {
				t.Errorf("%s %s: %q, code %d, want %q, %d", network, c.name, text, got.Rcode, c.want, c.code)
			}
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// A change shows after the delay, and one that follows it after its own.
func TestDelay(t *testing.T) {
	f, e := holding(t)
	e.Delay = 10 * time.Second
	e.served = e.Records()
	for n, second := range []int{1, 2} { // each makes a record
		f.Put(zone, cloudflaretest.Record{Type: "A", Name: "m." + zone, Content: "192.0.2." + string(rune('1'+n)), TTL: 60})
		if got := len(e.shown(time.Unix(int64(second), 0))); got != 0 {
			t.Errorf("%d records at once", got)
		}
	}
	for _, c := range []struct{ second, want int }{{10, 0}, {11, 1}, {12, 2}} {
		if got := len(e.shown(time.Unix(int64(c.second), 0))); got != c.want {
			t.Errorf("%d records after %d s, want %d", got, c.second, c.want)
		}
	}
}
