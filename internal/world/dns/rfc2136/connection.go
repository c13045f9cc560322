package rfc2136

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/tsig"
)

// connection is one TCP connection that lives for one call, not longer than
// the call's context and the provider's timeout.
type connection struct {
	conn   *wire.Conn // messages stand behind their length (RFC 1035, section 4.2.2)
	ctx    context.Context
	cancel func()
}

func (p *Provider) dial(ctx context.Context) (*connection, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.timeout, fmt.Errorf("no answer within %s", p.timeout))
	tcp, err := new(net.Dialer).DialContext(ctx, "tcp", p.server)
	if err == nil && ctx.Err() != nil {
		tcp.Close()
		err = ctx.Err()
	}
	if err != nil {
		err = reason(ctx, err)
		cancel()
		return nil, p.unreachable(err)
	}
	// Ends all reading and writing when ctx does.
	stop := context.AfterFunc(ctx, func() { tcp.SetDeadline(time.Unix(1, 0)) })
	return &connection{conn: &wire.Conn{Conn: tcp}, ctx: ctx, cancel: func() { stop(); cancel() }}, nil
}

func (c *connection) close() {
	c.cancel()
	c.conn.Close()
}

// send sends messages at once. One after the other, the last could wait for our
// system to acknowledge an answer to the first, which takes it 40 ms (RFC 896,
// RFC 1122, section 4.2.3.2).
func (c *connection) send(packed ...[]byte) error {
	var all []byte
	for _, m := range packed {
		if len(m) > wire.MaxMsgSize {
			return fmt.Errorf("a message of %d bytes: DNS allows %d", len(m), wire.MaxMsgSize)
		}
		all = append(binary.BigEndian.AppendUint16(all, uint16(len(m))), m...)
	}
	_, err := c.conn.Conn.Write(all)
	return reason(c.ctx, err)
}

func (c *connection) receive() ([]byte, error) {
	raw, err := c.conn.ReadMsgHeader(nil)
	return raw, reason(c.ctx, err)
}

// reason is why a call ended: its context, if that is over, else err.
func reason(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// idOf is a message's ID; ReadMsgHeader vouches for its length.
func idOf(raw []byte) uint16 { return binary.BigEndian.Uint16(raw) }

// open unpacks an answer and verifies its signature. signed is false for an
// answer without one; an answer with a wrong one is an error, except that a
// NOTAUTH carries its reason in a signature that need not verify.
func (p *Provider) open(raw []byte, id uint16, opcode int, mac string) (m *wire.Msg, signed bool, err error) {
	m = new(wire.Msg)
	if err := m.Unpack(raw); err != nil {
		return nil, false, fmt.Errorf("the answer is malformed: %w", err)
	}
	if !m.Response || m.Id != id || m.Opcode != opcode {
		return nil, false, errors.New("the answer is to another message")
	}
	record, err := tsig.Of(m)
	if err != nil {
		return nil, false, fmt.Errorf("the answer is malformed: %w", err)
	}
	if record == nil || m.Rcode == wire.RcodeNotAuth {
		return m, false, nil
	}
	if fault := p.key.Verify(raw, record, mac); fault != tsig.None {
		return nil, false, fmt.Errorf("the answer's signature: %s", fault)
	}
	return m, true, nil
}
