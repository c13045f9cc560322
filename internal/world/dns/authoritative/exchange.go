package authoritative

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	wire "github.com/miekg/dns"
)

// window is how many questions are on their way at once: few enough that
// neither side ever waits for the other to read.
const window = 32

func question(name string, kind uint16) wire.Question {
	return wire.Question{Name: name, Qtype: kind, Qclass: wire.ClassINET}
}

// exchange asks a server, host:port, over one TCP connection, and gives the
// answers in the order of the questions and the address that gave them. TCP,
// since answers come whole and are not lost, and a server that refuses it
// fails every resolver whose answer does not fit into a datagram.
func (s *Servers) exchange(ctx context.Context, server string, questions []wire.Question) (answers []*wire.Msg, from netip.Addr, err error) {
	addresses, err := s.located(ctx, server)
	if err != nil {
		return nil, from, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout, fmt.Errorf("no answer within %s", s.timeout))
	defer cancel()
	tcp, err := dial(ctx, addresses)
	if err != nil {
		return nil, from, reason(ctx, err)
	}
	defer tcp.Close()
	// Ends all reading and writing when ctx does.
	defer context.AfterFunc(ctx, func() { tcp.SetDeadline(time.Unix(1, 0)) })()
	conn := &wire.Conn{Conn: tcp}
	for part := range slices.Chunk(questions, window) {
		got, err := ask(conn, part)
		if err != nil {
			return nil, from, reason(ctx, err)
		}
		answers = append(answers, got...)
	}
	return answers, tcp.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap(), nil
}

// located are the addresses of a server, host:port, at one of which it is asked. How long
// its name takes to look up is no time of the server's.
func (s *Servers) located(ctx context.Context, server string) ([]string, error) {
	host, port, err := net.SplitHostPort(server)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return []string{server}, nil
	}
	found, err := s.lookup(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", host, err)
	}
	var out []string
	for _, a := range found {
		out = append(out, net.JoinHostPort(a.String(), port))
	}
	return out, nil
}

// dial connects to the first of some addresses that takes the connection, each within
// its share of the time.
func dial(ctx context.Context, addresses []string) (tcp net.Conn, err error) {
	for i, a := range addresses {
		d := net.Dialer{}
		if end, ok := ctx.Deadline(); ok {
			d.Timeout = time.Until(end) / time.Duration(len(addresses)-i)
		}
		conn, failed := d.DialContext(ctx, "tcp", a)
		if failed == nil {
			return conn, nil
		}
		err = cmp.Or(err, failed)
	}
	return nil, err
}

// ask sends questions and reads their answers, in whichever order the server
// gives them (RFC 7766, section 6.2.1.1). Recursion is not desired: what the
// server knows of others does not count. The questions go out at once: one after
// the other, the last answer could wait for our system to acknowledge the first,
// which takes it 40 ms (RFC 896, RFC 1122, section 4.2.3.2).
func ask(conn *wire.Conn, questions []wire.Question) ([]*wire.Msg, error) {
	first := wire.Id()
	var asked []byte
	for i, q := range questions {
		m := &wire.Msg{Question: []wire.Question{q}}
		m.Id = first + uint16(i)
		packed, err := m.Pack()
		if err != nil {
			return nil, err
		}
		asked = append(binary.BigEndian.AppendUint16(asked, uint16(len(packed))), packed...)
	}
	if _, err := conn.Conn.Write(asked); err != nil {
		return nil, err
	}
	answers := make([]*wire.Msg, len(questions))
	for range questions {
		m, err := conn.ReadMsg()
		if err != nil {
			return nil, err
		}
		i := int(m.Id - first)
		if i >= len(questions) || answers[i] != nil || !answersTo(m, questions[i]) {
			return nil, errors.New("its answer is to another question")
		}
		answers[i] = m
	}
	return answers, nil
}

// answersTo compares names without case: servers may give back the question's
// spelling or their own.
func answersTo(m *wire.Msg, q wire.Question) bool {
	if !m.Response || m.Opcode != wire.OpcodeQuery {
		return false
	}
	if len(m.Question) == 0 && m.Rcode != wire.RcodeSuccess {
		return true // some refuse without repeating the question
	}
	return len(m.Question) == 1 && strings.EqualFold(m.Question[0].Name, q.Name) && m.Question[0].Qtype == q.Qtype && m.Question[0].Qclass == q.Qclass
}

// over says whether ctx is over. A connection that has its deadline may find that it has
// passed a moment before ctx does.
func over(ctx context.Context) bool {
	if end, ok := ctx.Deadline(); ok && !time.Now().Before(end) {
		<-ctx.Done()
	}
	return ctx.Err() != nil
}

// reason is why a call ended: its context, if that is over, else err without
// the address that the reader has before them already.
func reason(ctx context.Context, err error) error {
	if over(ctx) {
		return context.Cause(ctx)
	}
	if op := new(net.OpError); errors.As(err, &op) {
		return op.Err
	}
	return err
}
