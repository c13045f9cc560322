package authoritative

import (
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// patience is for servers that answer: no test waits that long.
const patience = 30 * time.Second

const zone = "twindb.test."

// server is a small name server on TCP and UDP that keeps what it was asked.
type server struct {
	t       *testing.T
	port    string
	records []wire.RR
	// spoil, if set, changes each answer before it is sent; false sends none.
	spoil func(answer *wire.Msg) bool

	mu    sync.Mutex
	asked []string // name and type, in lower case
}

// serve runs a server at host until the test ends, on any port if that is "0".
// lines are records as in a zone file.
func serve(t *testing.T, host, port string, spoil func(*wire.Msg) bool, lines ...string) *server {
	t.Helper()
	s := &server{t: t, spoil: spoil}
	for _, line := range lines {
		record, err := wire.NewRR(line)
		if err != nil {
			t.Fatal(err)
		}
		s.records = append(s.records, record)
	}
	listener, datagrams := listen(t, host, port)
	_, s.port, _ = net.SplitHostPort(listener.Addr().String())
	for _, w := range []*wire.Server{{Listener: listener, Handler: s}, {PacketConn: datagrams, Handler: s}} {
		started, ended := make(chan struct{}), make(chan error, 1)
		w.NotifyStartedFunc = func() { close(started) }
		go func() { ended <- w.ActivateAndServe() }()
		<-started
		t.Cleanup(func() {
			if err := w.Shutdown(); err != nil {
				t.Error(err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	return s
}

// listen takes one port for TCP and UDP; if any will do, one that both have free.
func listen(t *testing.T, host, port string) (net.Listener, net.PacketConn) {
	t.Helper()
	for {
		tcp, err := net.Listen("tcp", net.JoinHostPort(host, port))
		if err != nil {
			t.Fatal(err)
		}
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		if err == nil {
			return tcp, udp
		}
		tcp.Close()
		if port != "0" {
			t.Fatal(err)
		}
	}
}

// ServeDNS answers from the records, as an authority.
func (s *server) ServeDNS(w wire.ResponseWriter, m *wire.Msg) {
	q := m.Question[0]
	s.mu.Lock()
	s.asked = append(s.asked, strings.ToLower(q.Name)+" "+wire.TypeToString[q.Qtype])
	s.mu.Unlock()
	answer := new(wire.Msg).SetReply(m)
	answer.Authoritative, answer.Compress = !m.RecursionDesired, true
	answer.Rcode = wire.RcodeNameError
	for _, r := range s.records {
		if !strings.EqualFold(r.Header().Name, q.Name) {
			continue
		}
		answer.Rcode = wire.RcodeSuccess
		if r.Header().Rrtype == q.Qtype || r.Header().Rrtype == wire.TypeCNAME {
			answer.Answer = append(answer.Answer, r)
		}
	}
	if s.spoil == nil || s.spoil(answer) {
		if err := w.WriteMsg(answer); err != nil {
			s.t.Logf("answer %s: %v", q.Name, err)
		}
	}
}

func (s *server) questions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// members is the SRV record set of n members, with the lines of its zone file.
func members(n int) (set cluster.RecordSet, lines []string) {
	var values []string
	for i := range n {
		value := "0 0 2380 m" + strconv.Itoa(i) + ".c1.twindb.test."
		values = append(values, value)
		lines = append(lines, "_etcd-server-ssl._tcp.c1.twindb.test. 60 IN SRV "+value)
	}
	return cluster.NewRecordSet("_etcd-server-ssl._tcp.c1.twindb.test.", cluster.SRV, values...), lines
}

func comparer(t *testing.T, c Config) *Servers {
	t.Helper()
	c.Zone = zone
	if c.Timeout == 0 {
		c.Timeout = patience
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// one is a zone with one secondary, at ns.twindb.test and the port it is given,
// and a resolver that says the same of the zone as its primary.
func one(t *testing.T, secondary *server, timeout time.Duration) *Servers {
	t.Helper()
	glue := []string{"twindb.test. 60 IN NS NS.twindb.test.", "ns.twindb.test. 60 IN A 127.0.0.1"}
	primary := serve(t, "127.0.0.1", "0", nil, glue...)
	resolver := serve(t, "127.0.0.1", "0", nil, glue...)
	return comparer(t, Config{
		Primary: "127.0.0.1:" + primary.port, Resolver: "127.0.0.1:" + resolver.port,
		Port: secondary.port, Timeout: timeout,
	})
}
