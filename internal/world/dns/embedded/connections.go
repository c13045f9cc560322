package embedded

import (
	"net"
	"sync"
)

// connections are the TCP connections of a server. Everybody on this machine
// may open some and say nothing. So that nobody is shut out by that, a new one
// takes the place of the one that has not asked for longest.
type connections struct {
	mu   sync.Mutex
	open map[*connection]struct{} // at most maxConnections
	now  uint64                   // counts what happens
}

// connection is one of them.
type connection struct {
	net.Conn
	asked     uint64 // when it was opened or asked last
	answering bool   // its answer is being found, and a change may be under way
}

// admit makes room for a new connection. It is nil if an answer is being found
// for every other.
func (c *connections) admit(conn net.Conn) *connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) >= maxConnections {
		oldest := c.oldest()
		if oldest == nil {
			return nil
		}
		delete(c.open, oldest)
		oldest.Close() // its reader or writer ends
	}
	c.now++
	k := &connection{Conn: conn, asked: c.now}
	if c.open == nil {
		c.open = map[*connection]struct{}{}
	}
	c.open[k] = struct{}{}
	return k
}

func (c *connections) oldest() (oldest *connection) {
	for k := range c.open {
		if !k.answering && (oldest == nil || k.asked < oldest.asked) {
			oldest = k
		}
	}
	return oldest
}

// answer finds an answer, and the connection stays until it is found. What is
// asked on one that had to go is not answered.
func (c *connections) answer(k *connection, find func() []byte) []byte {
	c.mu.Lock()
	_, open := c.open[k]
	c.now++
	k.asked, k.answering = c.now, open
	c.mu.Unlock()
	if !open {
		return nil
	}
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		k.answering = false
	}()
	return find()
}

func (c *connections) leave(k *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, k)
	k.Close()
}
