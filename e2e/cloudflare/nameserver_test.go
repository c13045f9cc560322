package cloudflare

import (
	"fmt"
	"net"
	"strings"
	"testing"

	wire "github.com/miekg/dns"

	"github.com/pleiad-etcd/pleiad/internal/world/dns/cloudflare/cloudflaretest"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/dnstest"
)

// proxy is what a proxied name answers with.
const proxy = "192.0.2.104"

// serve answers DNS queries as Cloudflare's name servers do for a zone, and as the
// resolver of members and clients. It returns its address.
func serve(t *testing.T, f *cloudflaretest.Fake) string {
	t.Helper()
	address := dnstest.Address().String()
	handler := wire.HandlerFunc(func(w wire.ResponseWriter, q *wire.Msg) {
		if err := w.WriteMsg(answer(f, address, q)); err != nil {
			t.Log(err)
		}
	})
	listen := net.JoinHostPort(address, "53")
	l, err := net.Listen("tcp", listen)
	if err != nil {
		t.Fatal(err)
	}
	p, err := net.ListenPacket("udp", listen)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*wire.Server{{Listener: l, Handler: handler}, {PacketConn: p, Handler: handler}} {
		ended := make(chan error, 1)
		go func() { ended <- s.ActivateAndServe() }()
		t.Cleanup(func() {
			if err := s.Shutdown(); err != nil {
				t.Error(err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	return address
}

func answer(f *cloudflaretest.Fake, address string, q *wire.Msg) *wire.Msg {
	m := new(wire.Msg).SetReply(q)
	m.Authoritative, m.RecursionAvailable = true, true
	asked := q.Question[0]
	soa := zone + ". 60 IN SOA ns1." + zone + ". hostmaster." + zone + ". 1 3600 600 86400 1"
	lines := []string{soa, zone + ". 60 IN NS ns1." + zone + ".", "ns1." + zone + ". 60 IN A " + address}
	for _, r := range f.Records(zone) {
		content := r.Content
		switch {
		case r.Data != nil:
			content = fmt.Sprintf("%d %d %d %s.", r.Data.Priority, r.Data.Weight, r.Data.Port, r.Data.Target)
		case r.Proxied:
			content = proxy
		}
		lines = append(lines, fmt.Sprintf("%s. %d IN %s %s", r.Name, r.TTL, r.Type, content))
	}
	exists := false
	for _, line := range lines {
		record, err := wire.NewRR(line)
		if err != nil {
			m.Rcode = wire.RcodeServerFailure
			return m
		}
		if strings.EqualFold(record.Header().Name, asked.Name) {
			exists = true
			if record.Header().Rrtype == asked.Qtype {
				m.Answer = append(m.Answer, record)
			}
		}
	}
	if len(m.Answer) == 0 {
		if record, err := wire.NewRR(soa); err == nil {
			m.Ns = append(m.Ns, record)
		}
	}
	if !exists {
		m.Rcode = wire.RcodeNameError
	}
	return m
}
