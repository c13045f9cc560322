package member

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// resolver answers Go's own DNS client inside the process: pinned names from
// memory, everything else from a name server. etcd looks up everything through
// net.DefaultResolver (peers, its gRPC client), so that replacing that once,
// before etcd starts, is enough; the operating system's configuration stays as
// it is.
//
// Go reads a hosts file before it asks any name server. On a machine of its own
// the member has one of its own (node.Node.Hosts); elsewhere a wrong line there
// wins over a pin, which [misled] finds. The search list of resolv.conf still
// applies to names without a final dot.
type resolver struct {
	// server is asked for what is not pinned; the zero value leaves the choice
	// to Go, which reads resolv.conf.
	server netip.AddrPort
	// system are the name servers of the operating system.
	system func() []string
	// silent are those of them that do not answer.
	silent silence
	// pins are answered without it.
	pins pins
}

// newResolver checks server, host:port with an IP address (a name would be
// looked up through the very resolver) or empty for those of the system, and
// the pins of a node.
func newResolver(server string, pins map[string]string) (*resolver, error) {
	r := &resolver{system: systemServers}
	var err error
	if server != "" {
		if r.server, err = netip.ParseAddrPort(server); err != nil {
			return nil, fmt.Errorf("resolver %q: want IP address and port: %w", server, err)
		}
	}
	if r.pins.at, err = parsePins(pins); err != nil {
		return nil, err
	}
	return r, nil
}

// network is the resolver as the net package takes it, which chooses a name
// server, with resolv.conf's times and order, before it dials. Where that is one
// of the system's and it does not answer soon, the others are asked beside it.
func (r *resolver) network() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, chosen string) (net.Conn, error) {
		server := chosen
		if r.server.IsValid() {
			network, server = "udp", r.server.String()
		}
		ctx, cancel := context.WithCancel(ctx)
		return &conn{ctx: ctx, cancel: cancel, answer: func(ctx context.Context, query []byte) ([]byte, error) {
			return r.answer(ctx, network, server, query)
		}}, nil
	}}
}

// answer answers one DNS message with another. The error is for the net
// package, which reports it as a failed lookup and may ask again.
func (r *resolver) answer(ctx context.Context, network, server string, query []byte) ([]byte, error) {
	local, err := r.pinned(query)
	if err != nil || local != nil {
		return local, err
	}
	if r.server.IsValid() {
		return exchangeWhole(ctx, network, server, query)
	}
	return r.askAll(ctx, network, r.order(server), query)
}

// misled are the pinned names for which r, in which the pins are, says something
// else: only the operating system's hosts file comes before them.
func misled(ctx context.Context, r *net.Resolver, pins map[string]string) []string {
	ctx, cancel := context.WithTimeout(ctx, gateRound)
	defer cancel()
	var out []string
	for _, name := range slices.Sorted(maps.Keys(pins)) {
		if bad := checkAddress(name, pins[name], askAddresses(ctx, r, "", name)); bad != "" {
			out = append(out, bad)
		}
	}
	return out
}

// pinned answers an address query for a pinned name, and nil for everything
// else. A name that continues behind a pinned one can only come from a search
// list: it does not exist, and to ask for it would make a member depend on DNS
// wherever ndots is high.
func (r *resolver) pinned(query []byte) ([]byte, error) {
	var q dns.Msg
	if err := q.Unpack(query); err != nil {
		return nil, fmt.Errorf("read DNS query: %w", err)
	}
	if len(q.Question) != 1 || q.Question[0].Qclass != dns.ClassINET {
		return nil, nil
	}
	question := q.Question[0]
	if question.Qtype != dns.TypeA && question.Qtype != dns.TypeAAAA {
		return nil, nil
	}
	name := dns.CanonicalName(question.Name)
	at := r.pins.now()
	addr, ok := at[name]
	if !ok && !continuesPin(at, name) {
		return nil, nil
	}
	var a dns.Msg
	a.SetReply(&q)
	a.RecursionAvailable = true
	header := dns.RR_Header{Name: question.Name, Rrtype: question.Qtype, Class: dns.ClassINET}
	switch {
	case !ok:
		a.Rcode = dns.RcodeNameError
	case question.Qtype == dns.TypeA && addr.Is4():
		a.Answer = []dns.RR{&dns.A{Hdr: header, A: addr.AsSlice()}}
	case question.Qtype == dns.TypeAAAA && addr.Is6():
		a.Answer = []dns.RR{&dns.AAAA{Hdr: header, AAAA: addr.AsSlice()}}
	}
	return a.Pack()
}

func continuesPin(at map[string]netip.Addr, name string) bool {
	for pin := range at {
		if strings.HasPrefix(name, pin) {
			return true
		}
	}
	return false
}

// maxDatagram is more than any name server sends over UDP: the net package
// offers 1232 bytes.
const maxDatagram = 4096

// headerSize is that of a DNS message; the TC bit is in its third byte
// (RFC 1035, section 4.1.1).
const headerSize = 12

func truncated(message []byte) bool { return message[2]&0x02 != 0 }

// answers says whether message is a response to query: same ID, QR bit set.
// The net package compares the question.
func answers(message, query []byte) bool {
	return len(message) >= headerSize && message[0] == query[0] && message[1] == query[1] && message[2]&0x80 != 0
}

// exchange asks the name server once, over a socket of its own as the net
// package would; ctx bounds it.
func exchange(ctx context.Context, network, server string, query []byte) ([]byte, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(deadline); err != nil {
			return nil, err
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if strings.HasPrefix(network, "tcp") {
		if _, err := c.Write(frame(query)); err != nil {
			return nil, err
		}
		return readFrame(c, query)
	}
	if _, err := c.Write(query); err != nil {
		return nil, err
	}
	b := make([]byte, maxDatagram)
	for {
		n, err := c.Read(b)
		if err != nil {
			return nil, err
		}
		if answers(b[:n], query) {
			return b[:n], nil
		}
	}
}

// frame puts a message's length before it, as DNS over a stream wants (RFC
// 1035, section 4.2.2).
func frame(message []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...)
}

// unframe cuts the first whole message from a stream.
func unframe(b []byte) (message, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, b, false
	}
	n := 2 + int(binary.BigEndian.Uint16(b))
	if len(b) < n {
		return nil, b, false
	}
	return b[2:n], b[n:], true
}

func readFrame(c net.Conn, query []byte) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(c, b); err != nil {
		return nil, err
	}
	if !answers(b, query) {
		return nil, errors.New("name server sent something other than an answer")
	}
	return b, nil
}

// conn is a connection to a name server that is this very process. It needs no
// goroutine: the net package writes a query, then reads, and the answer is
// sought during that read. It is no net.PacketConn, so that the net package
// speaks DNS over a stream to it. Like any DNS client, it uses one conn from
// one goroutine; only Close may come from another.
type conn struct {
	ctx      context.Context // of the dial, which the net package bounds by its timeout
	cancel   context.CancelFunc
	deadline time.Time
	answer   func(ctx context.Context, query []byte) ([]byte, error)
	in, out  []byte // stream bytes: written and not yet answered, answered and not yet read
}

func (c *conn) Write(b []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, net.ErrClosed
	}
	c.in = append(c.in, b...)
	return len(b), nil
}

func (c *conn) Read(b []byte) (int, error) {
	if len(c.out) == 0 {
		query, rest, ok := unframe(c.in)
		if !ok {
			return 0, io.EOF // nothing was asked, so nothing will come
		}
		c.in = rest
		ctx := c.ctx
		if !c.deadline.IsZero() {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, c.deadline)
			defer cancel()
		}
		message, err := c.answer(ctx, query)
		if err != nil {
			return 0, err
		}
		c.out = frame(message)
	}
	n := copy(b, c.out)
	c.out = c.out[n:]
	return n, nil
}

func (c *conn) Close() error                       { c.cancel(); return nil }
func (c *conn) SetDeadline(t time.Time) error      { c.deadline = t; return nil }
func (c *conn) SetReadDeadline(t time.Time) error  { c.deadline = t; return nil }
func (c *conn) SetWriteDeadline(t time.Time) error { return nil }
func (c *conn) LocalAddr() net.Addr                { return inProcess{} }
func (c *conn) RemoteAddr() net.Addr               { return inProcess{} }

// inProcess is the address of both ends of a [conn].
type inProcess struct{}

func (inProcess) Network() string { return "in-process" }
func (inProcess) String() string  { return "in-process" }
