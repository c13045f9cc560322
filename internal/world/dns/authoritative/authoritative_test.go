package authoritative

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/system/process/processtest"
)

func rcode(code int) func(*wire.Msg) bool {
	return func(m *wire.Msg) bool { m.Rcode, m.Answer = code, nil; return true }
}

// What one secondary shows, and what is said of it.
func TestOneServer(t *testing.T) {
	three, lines := members(3)
	gone := cluster.Key{Name: "m3.c1.twindb.test.", Type: cluster.A}
	const shouted = "_ETCD-Server-SSL._tcp.C1.TwinDB.test. 5 IN SRV 0 0 2380 "
	for name, c := range map[string]struct {
		shows   []string
		spoil   func(*wire.Msg) bool
		behind  []string
		unknown string
	}{
		"agrees":         {shows: lines},
		"other spelling": {shows: []string{shouted + "M2.c1.twindb.TEST.", shouted + "m0.C1.twindb.test.", shouted + "M1.c1.twindb.test."}},
		"lags": {shows: lines[:2], behind: []string{
			"SRV _etcd-server-ssl._tcp.c1.twindb.test. shows [0 0 2380 m0.c1.twindb.test., 0 0 2380 m1.c1.twindb.test.], want [0 0 2380 m0.c1.twindb.test., 0 0 2380 m1.c1.twindb.test., 0 0 2380 m2.c1.twindb.test.]",
		}},
		"has nothing yet": {behind: []string{
			"SRV _etcd-server-ssl._tcp.c1.twindb.test. shows nothing, want [0 0 2380 m0.c1.twindb.test., 0 0 2380 m1.c1.twindb.test., 0 0 2380 m2.c1.twindb.test.]",
		}},
		"keeps what is deleted": {shows: append([]string{"m3.c1.twindb.test. 60 IN A 192.0.2.3"}, lines...), behind: []string{
			"A m3.c1.twindb.test. shows [192.0.2.3], want nothing",
		}},
		"has an alias": {shows: append([]string{"m3.c1.twindb.test. 60 IN CNAME x.test."}, lines...), behind: []string{
			"A m3.c1.twindb.test. shows CNAME, want nothing",
		}},
		"refuses":  {shows: lines, spoil: rcode(wire.RcodeRefused), unknown: "SRV _etcd-server-ssl._tcp.c1.twindb.test.: it answers REFUSED"},
		"is ill":   {shows: lines, spoil: rcode(wire.RcodeServerFailure), unknown: "SRV _etcd-server-ssl._tcp.c1.twindb.test.: it answers SERVFAIL"},
		"is lame":  {shows: lines, spoil: func(m *wire.Msg) bool { m.Authoritative = false; return true }, unknown: "SRV _etcd-server-ssl._tcp.c1.twindb.test.: it is not authoritative: it does not serve the zone, or delegates the name to others"},
		"cuts off": {shows: lines, spoil: func(m *wire.Msg) bool { m.Truncated = true; return true }, unknown: "SRV _etcd-server-ssl._tcp.c1.twindb.test.: its answer is cut off"},
		"refuses in three words": {shows: lines, spoil: func(m *wire.Msg) bool {
			m.Question, m.Answer, m.Rcode = nil, nil, wire.RcodeRefused
			return true
		}, unknown: "SRV _etcd-server-ssl._tcp.c1.twindb.test.: it answers REFUSED"},
		"contradicts itself": {shows: lines, spoil: func(m *wire.Msg) bool { m.Rcode = wire.RcodeNameError; return true },
			unknown: "SRV _etcd-server-ssl._tcp.c1.twindb.test.: it denies the name and gives its records"},
		"answers something else":  {shows: lines, spoil: func(m *wire.Msg) bool { m.Question[0].Name = "x.test."; return true }, unknown: "its answer is to another question"},
		"gives back the question": {spoil: func(m *wire.Msg) bool { m.Response = false; return true }, unknown: "its answer is to another question"},
		"lags and refuses": {shows: lines[:2], spoil: func(m *wire.Msg) bool {
			if m.Question[0].Qtype == wire.TypeA {
				m.Rcode, m.Answer = wire.RcodeRefused, nil
			}
			return true
		}, unknown: "A m3.c1.twindb.test.: it answers REFUSED"},
	} {
		t.Run(name, func(t *testing.T) {
			secondary := serve(t, "127.0.0.1", "0", c.spoil, c.shows...)
			v, err := one(t, secondary, 0).Compare(t.Context(), []cluster.Key{three.Key, gone, three.Key}, cluster.Records{Sets: []cluster.RecordSet{three}})
			if err != nil {
				t.Fatal(err)
			}
			if len(v.Notes) > 0 || len(v.Servers) != 1 || v.Servers[0].Name != "ns.twindb.test." || v.Servers[0].Address.String() != "127.0.0.1" {
				t.Fatalf("%+v", v)
			}
			if diff := cmp.Diff(c.behind, v.Servers[0].Behind); diff != "" {
				t.Errorf("behind: %s", diff)
			}
			if v.Servers[0].Unknown != c.unknown {
				t.Errorf("unknown %q, want %q", v.Servers[0].Unknown, c.unknown)
			}
		})
	}
}

// A set that fits into no datagram comes whole, and so do more keys than are
// asked at once.
func TestLargeSets(t *testing.T) {
	large, lines := members(200)
	keys, want := []cluster.Key{large.Key}, cluster.Records{Sets: []cluster.RecordSet{large}}
	for i := range 3 * window {
		address := cluster.NewRecordSet("m"+strings.Repeat("1", i%50+1)+strings.Repeat("0", i/50)+".c1.twindb.test.", cluster.A, "192.0.2.1")
		keys, want.Sets = append(keys, address.Key), append(want.Sets, address)
		lines = append(lines, address.Name+" 60 IN A 192.0.2.1")
	}
	v, err := one(t, serve(t, "127.0.0.1", "0", nil, lines...), 0).Compare(t.Context(), keys, want)
	if err != nil || len(v.Servers) != 1 || len(v.Behind())+len(v.Unknown()) > 0 {
		t.Fatalf("%+v, %v", v, err)
	}
}

func TestSilentServerIsUnknown(t *testing.T) {
	set, _ := members(3)
	silent := serve(t, "127.0.0.1", "0", func(*wire.Msg) bool { return false })
	v, err := one(t, silent, time.Second).Compare(t.Context(), []cluster.Key{set.Key}, cluster.Records{Sets: []cluster.RecordSet{set}})
	if err != nil || len(v.Servers) != 1 || v.Servers[0].Unknown != "no answer within 1s" {
		t.Fatalf("%+v, %v", v, err)
	}
}

// Nothing outlives the caller's patience, whatever a server would be granted.
func TestComparisonEndsWithItsContext(t *testing.T) {
	set, _ := members(3)
	ctx, cancel := context.WithCancel(t.Context())
	silent := serve(t, "127.0.0.1", "0", func(*wire.Msg) bool { cancel(); return false })
	v, err := one(t, silent, time.Hour).Compare(ctx, []cluster.Key{set.Key}, cluster.Records{})
	if !errors.Is(err, context.Canceled) || len(v.Servers) > 0 {
		t.Fatalf("%+v, %v", v, err)
	}
}

// A server nobody listens at is unknown, and its address is said once.
func TestClosedPortIsUnknown(t *testing.T) {
	set, _ := members(3)
	listener, datagrams := listen(t, "127.0.0.1", "0")
	if err := processtest.Close(listener); err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()
	_, port, _ := strings.Cut(datagrams.LocalAddr().String(), ":")
	v, err := one(t, &server{port: port}, 0).Compare(t.Context(), []cluster.Key{set.Key}, cluster.Records{})
	if err != nil || len(v.Servers) != 1 || v.Servers[0].Unknown == "" || strings.Contains(v.Servers[0].Unknown, "127.0.0.1") {
		t.Fatalf("%+v, %v", v, err)
	}
}

func TestUnlearnedServersAreAnError(t *testing.T) {
	set, _ := members(1)
	for name, c := range map[string]struct {
		spoil func(*wire.Msg) bool
		lines []string
		want  string
	}{
		"primary refuses":     {spoil: rcode(wire.RcodeRefused), want: "NS records: it answers REFUSED"},
		"primary is none":     {lines: []string{"twindb.test. 60 IN NS ns.twindb.test."}, spoil: func(m *wire.Msg) bool { m.Authoritative = false; return true }, want: "it is not authoritative"},
		"no NS records":       {lines: []string{"twindb.test. 60 IN A 192.0.2.1"}, want: "has no NS records of the zone"},
		"no server's address": {lines: []string{"twindb.test. 60 IN NS ns.twindb.test."}, want: "name server ns.twindb.test. has no address"},
	} {
		t.Run(name, func(t *testing.T) {
			primary := serve(t, "127.0.0.1", "0", c.spoil, c.lines...)
			resolver := serve(t, "127.0.0.1", "0", nil)
			_, err := comparer(t, Config{Primary: "127.0.0.1:" + primary.port, Resolver: "127.0.0.1:" + resolver.port}).Compare(t.Context(), []cluster.Key{set.Key}, cluster.Records{})
			if err == nil || !strings.HasPrefix(err.Error(), "compare the name servers of zone twindb.test.: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if asked := resolver.questions(); len(asked) > 0 {
				t.Errorf("the resolver was asked %q", asked)
			}
		})
	}
}

// What a resolver takes to look the primary up is no time of the primary's; nor does
// what it says of the zone hold up a caller who has little time.
func TestSlowResolver(t *testing.T) {
	set, lines := members(1)
	primary := serve(t, "127.0.0.1", "0", nil, append(lines, "twindb.test. 60 IN NS ns.twindb.test.", "ns.twindb.test. 60 IN A 127.0.0.1")...)
	const limit = time.Second
	resolver := serve(t, "127.0.0.1", "0", func(m *wire.Msg) bool {
		if m.Question[0].Qtype == wire.TypeNS {
			return false
		}
		time.Sleep(limit * 3 / 2) // is slow
		return true
	}, "ns.elsewhere.test. 60 IN A 127.0.0.1")
	s := comparer(t, Config{Primary: "ns.elsewhere.test:" + primary.port, Port: primary.port, Resolver: "127.0.0.1:" + resolver.port, Timeout: limit, Lookup: patience})
	ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
	defer cancel()
	v, err := s.Compare(ctx, []cluster.Key{set.Key}, cluster.Records{Sets: []cluster.RecordSet{set}})
	if err != nil || len(v.Servers) != 1 || len(v.Behind())+len(v.Unknown()) > 0 || len(v.Notes) > 0 {
		t.Errorf("%+v, %v, want that the one name server agrees, and nothing of the resolver", v, err)
	}
}

// A zone cannot make us ask thousands of servers.
func TestServersAreBounded(t *testing.T) {
	set, _ := members(1)
	var names, addresses []string
	for i := range 65 {
		names = append(names, fmt.Sprintf("twindb.test. 60 IN NS ns%d.twindb.test.", i))
		addresses = append(addresses, fmt.Sprintf("ns.twindb.test. 60 IN A 192.0.2.%d", i+1))
	}
	for want, lines := range map[string][]string{"65 name servers": names, "more than 64 addresses": append(addresses, "twindb.test. 60 IN NS ns.twindb.test.")} {
		primary := serve(t, "127.0.0.1", "0", nil, lines...)
		_, err := comparer(t, Config{Primary: "127.0.0.1:" + primary.port, Resolver: "127.0.0.1:" + primary.port}).Compare(t.Context(), []cluster.Key{set.Key}, cluster.Records{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestNonsenseIsAnError(t *testing.T) {
	for _, c := range []Config{{Zone: "", Primary: "x"}, {Zone: "a..b", Primary: "x"}, {Zone: zone}, {Zone: zone, Primary: ":53"}} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v: no error", c)
		}
	}
	s := comparer(t, Config{Primary: "127.0.0.1:1"})
	for _, keys := range [][]cluster.Key{nil, {{Name: "A.twindb.test.", Type: cluster.A}}, {{Name: "a.test.", Type: cluster.A}}, {{Name: "a.twindb.test.", Type: "CNAME"}}} {
		if _, err := s.Compare(t.Context(), keys, cluster.Records{}); err == nil || strings.Contains(err.Error(), "primary") {
			t.Errorf("%v: %v", keys, err)
		}
	}
}
