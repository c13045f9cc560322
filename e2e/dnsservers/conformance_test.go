package dnsservers

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/e2e/nameserver"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/dnstest"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/rfc2136"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/rr"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/tsig"
)

// bed is one server, and the key that may change its zone.
type bed struct {
	*testing.T
	nameserver.Config
	*nameserver.Server
	ours tsig.Key
}

func config(t *testing.T, kind nameserver.Kind, zone string) nameserver.Config {
	return nameserver.Config{Kind: kind, Dir: t.TempDir(), At: netip.AddrPortFrom(dnstest.Address(), 53), Zone: zone}
}

// newBed is a server of which our key may change what is at and below Domain,
// and the one it knows beside ours may not.
func newBed(t *testing.T, kind nameserver.Kind) *bed {
	t.Helper()
	c := config(t, kind, "twindb.test")
	c.Domain, c.Clients, c.Known = "clusters.twindb.test", netip.MustParsePrefix("127.0.0.0/8"), []tsig.Key{generate(t, "known")}
	s, err := nameserver.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return start(t, c, s, s.Key())
}

// start starts a server for as long as its test takes.
func start(t *testing.T, c nameserver.Config, s *nameserver.Server, ours tsig.Key) *bed {
	t.Helper()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(s.Log())
		}
	})
	return &bed{T: t, Config: c, Server: s, ours: ours}
}

func generate(t *testing.T, name string) tsig.Key {
	t.Helper()
	k, err := tsig.Generate(name)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func client(t *testing.T, server string, key tsig.Key) *rfc2136.Provider {
	t.Helper()
	p, err := rfc2136.New(rfc2136.Config{Server: server, Zone: "twindb.test", Key: key, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// denied are clients that may not write here, by what is wrong with them.
func (b *bed) denied(t *testing.T) map[string]dns.Zone {
	return map[string]dns.Zone{
		"another secret":          client(t, b.Addr().String(), generate(t, "pleiad")),
		"an unknown key":          client(t, b.Addr().String(), generate(t, "unknown")),
		"a key without the right": client(t, b.Addr().String(), b.Known[0]),
		"a clock an hour slow":    dnstest.Late(t, client(t, b.Addr().String(), b.ours), time.Hour),
	}
}

// harness gives a case a domain of its own in the server's one zone, so that
// the cases disturb each other no more than clusters do.
func (b *bed) harness(t *testing.T, domain string) dnstest.Harness {
	proxy := dnstest.NewProxy(t, b.Addr().String())
	return dnstest.Harness{
		Zone:        client(t, proxy.Addr, b.ours),
		Domain:      domain,
		Rival:       client(t, b.Addr().String(), b.ours),
		Denied:      b.denied(t),
		Foreign:     func(set cluster.RecordSet) { b.foreign(t, set) },
		CaseMatters: b.Kind == nameserver.PowerDNS,
		LoseAnswer:  proxy.LoseAnswer,
		LoseRequest: proxy.LoseRequest,
		Stall:       proxy.Stall,
		Down:        proxy.Down,
	}
}

// foreign writes as nsupdate would: no guards, no canonical form.
func (b *bed) foreign(t *testing.T, set cluster.RecordSet) {
	t.Helper()
	if rcode := b.write(t, b.ours, b.Zone, set); rcode != wire.RcodeSuccess {
		t.Fatalf("write %s: %s", set, wire.RcodeToString[rcode])
	}
}

// write adds a record set, unsigned for the zero key, and returns what the
// server says.
func (b *bed) write(t *testing.T, key tsig.Key, zone string, set cluster.RecordSet) (rcode int) {
	t.Helper()
	records, err := rr.Pack(set)
	if err != nil {
		t.Fatal(err)
	}
	m := new(wire.Msg).SetUpdate(wire.Fqdn(zone))
	m.Insert(records)
	return send(t, b.Addr().String(), key, m).Rcode
}

// lookUp asks for addresses as any resolver would.
func (b *bed) lookUp(t *testing.T, network, name string) []wire.RR {
	t.Helper()
	m := new(wire.Msg).SetQuestion(name, wire.TypeA)
	answer, _, err := (&wire.Client{Net: network, Timeout: 20 * time.Second}).ExchangeContext(t.Context(), m, b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if !answer.Authoritative {
		t.Errorf("look up %s: %v", name, answer)
	}
	return answer.Answer
}

// send sends a message signed with a key, or unsigned for the zero key. The
// answer's signature is not looked at.
func send(t *testing.T, server string, key tsig.Key, m *wire.Msg) *wire.Msg {
	t.Helper()
	packed, err := m.Pack()
	if key != (tsig.Key{}) {
		packed, _, err = key.Sign(m, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	conn, err := wire.DialTimeout("tcp", server, 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Write(packed); err != nil {
		t.Fatal(err)
	}
	raw, err := conn.ReadMsgHeader(nil)
	if err != nil {
		t.Fatal(err)
	}
	answer := new(wire.Msg)
	if err := answer.Unpack(raw); err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestConformance(t *testing.T) {
	for _, kind := range nameserver.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			b := newBed(t, kind)
			var domains atomic.Int64
			dnstest.Run(t, func(t *testing.T) dnstest.Harness {
				return b.harness(t, fmt.Sprintf("c%d.%s", domains.Add(1), b.Domain))
			})
		})
	}
}
