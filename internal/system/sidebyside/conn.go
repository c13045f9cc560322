package sidebyside

import (
	"context"
	"io"
	"net"
	"time"
)

// Answer answers one DNS message with another. network and server are what Go would
// ask, which chooses with resolv.conf's times and order before it dials. The error is
// for the net package, which reports it as a failed lookup and may ask again.
type Answer func(ctx context.Context, network, server string, query []byte) ([]byte, error)

// Dial is what a net.Resolver dials with to have its questions answered by a function.
func Dial(answer Answer) func(ctx context.Context, network, server string) (net.Conn, error) {
	return func(ctx context.Context, network, server string) (net.Conn, error) {
		ctx, cancel := context.WithCancel(ctx)
		return &conn{ctx: ctx, cancel: cancel, answer: func(ctx context.Context, query []byte) ([]byte, error) {
			return answer(ctx, network, server, query)
		}}, nil
	}
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
