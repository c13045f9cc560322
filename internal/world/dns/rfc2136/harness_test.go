package rfc2136_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/dnstest"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/embedded"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/rfc2136"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/rr"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/tsig"
)

const zone = "twindb.test"

// serve runs an embedded server in this process until the test ends.
func serve(t *testing.T) (address string, key tsig.Key) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "dns")
	address, err := embedded.Create(t.Context(), dir, zone, dnstest.Address())
	if err != nil {
		t.Fatal(err)
	}
	key, err = tsig.ReadFile(t.Context(), filepath.Join(dir, "tsig.key"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- embedded.Serve(ctx, dir, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	up(t, address, ended)
	return address, key
}

// up waits until a server answers at an address.
func up(t *testing.T, address string, ended <-chan error) {
	t.Helper()
	m := new(wire.Msg).SetQuestion(zone+".", wire.TypeSOA)
	for {
		if _, _, err := (&wire.Client{Net: "tcp"}).Exchange(m, address); err == nil {
			return
		}
		select {
		case err := <-ended:
			t.Fatalf("the server ended: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
}

func client(t *testing.T, server string, key tsig.Key) *rfc2136.Provider {
	t.Helper()
	p, err := rfc2136.New(rfc2136.Config{Server: server, Zone: zone, Key: key, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// foreign writes to a server as nsupdate would: no guards, no canonical form.
func foreign(t *testing.T, server string, key tsig.Key) func(cluster.RecordSet) {
	return func(set cluster.RecordSet) {
		t.Helper()
		records, err := rr.Pack(set)
		if err != nil {
			t.Fatal(err)
		}
		m := new(wire.Msg).SetUpdate(zone + ".")
		m.Insert(records)
		if rcode := send(t, server, key, m); rcode != wire.RcodeSuccess {
			t.Fatalf("write %s: %s", set, wire.RcodeToString[rcode])
		}
	}
}

func send(t *testing.T, server string, key tsig.Key, m *wire.Msg) int {
	t.Helper()
	packed, _, err := key.Sign(m, "")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := wire.Dial("tcp", server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(packed); err != nil {
		t.Fatal(err)
	}
	raw, err := conn.ReadMsgHeader(nil)
	if err != nil {
		t.Fatal(err)
	}
	var answer wire.Msg
	if err := answer.Unpack(raw); err != nil {
		t.Fatal(err)
	}
	return answer.Rcode
}

// A network provider meets its server through a proxy that loses messages.
func harness(t *testing.T, address string, key tsig.Key) dnstest.Harness {
	t.Helper()
	proxy := dnstest.NewProxy(t, address)
	namesake, err := tsig.Generate(key.Name())
	if err != nil {
		t.Fatal(err)
	}
	unknown, err := tsig.Generate("unknown")
	if err != nil {
		t.Fatal(err)
	}
	return dnstest.Harness{
		Zone:   client(t, proxy.Addr, key),
		Domain: strings.ToLower("c1." + zone),
		Rival:  client(t, address, key),
		Denied: map[string]dns.Zone{
			"another secret":    client(t, address, namesake),
			"an unknown key":    client(t, address, unknown),
			"a clock that lags": dnstest.Late(t, client(t, address, key), time.Hour),
		},
		Foreign:     foreign(t, address, key),
		LoseAnswer:  proxy.LoseAnswer,
		LoseRequest: proxy.LoseRequest,
		Stall:       proxy.Stall,
		Down:        proxy.Down,
	}
}

func TestConformance(t *testing.T) {
	dnstest.Run(t, func(t *testing.T) dnstest.Harness {
		address, key := serve(t)
		return harness(t, address, key)
	})
}
