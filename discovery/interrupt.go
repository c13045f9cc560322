package discovery

import (
	"context"
	"net"
	"sync"
)

// interruptible returns a resolver that asks as r does, but whose questions end
// with ctx, until release is called. Go's resolver knows ctx's deadline, but
// waits for an answer up to 5 seconds after ctx has been cancelled; that would
// hold up everybody who waits for a Watch to end.
func interruptible(ctx context.Context, r *net.Resolver) (resolver *net.Resolver, release func()) {
	dial := r.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext // what net does by itself
	}
	var open connections
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		open.closeAll()
	})
	release = func() {
		if !stop() {
			<-interrupted
		}
	}
	return &net.Resolver{
		PreferGo:     r.PreferGo,
		StrictErrors: r.StrictErrors,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			if err == nil {
				open.add(conn)
			}
			return conn, err
		},
	}, release
}

// connections are those opened for the questions of one lookup: a handful, so
// those that are done with need not be taken out.
type connections struct {
	mu     sync.Mutex
	conns  []net.Conn
	closed bool
}

func (c *connections) add(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns = append(c.conns, conn)
	if c.closed {
		_ = conn.Close()
	}
}

// closeAll makes those who read from the connections fail. To close is the one
// way: net sets a deadline of its own after dialling.
func (c *connections) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, conn := range c.conns {
		_ = conn.Close() // the second time for those that are done with
	}
}
