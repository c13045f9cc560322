package dnstest

import (
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/system/process/processtest"
)

// Address is a loopback address for a server of a test: one of its own where
// the system has all of 127.0.0.0/8, so that tests and other users of the
// machine do not meet.
func Address() netip.Addr {
	if runtime.GOOS != "linux" {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.AddrFrom4([4]byte{127, byte(64 + rand.IntN(128)), byte(rand.IntN(256)), byte(1 + rand.IntN(254))})
}

// fault is what a [Proxy] does to a connection.
type fault int

const (
	none        fault = iota
	loseRequest       // takes the message, closes the connection
	loseAnswer        // lets the server answer, closes the connection instead of passing that on
	stall             // takes the message, says nothing
)

// Proxy passes DNS over TCP on to a server, message by message, and loses some
// on demand. Its methods fit the fields of [Harness].
type Proxy struct {
	// Addr is where it listens, host:port.
	Addr string

	target string
	ctx    context.Context
	wg     sync.WaitGroup

	mu   sync.Mutex
	next fault // of the next message
	down func()
}

// NewProxy starts a proxy in front of target, host:port. It ends with the
// test.
func NewProxy(t *testing.T, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Proxy{Addr: l.Addr().String(), target: target, ctx: ctx, down: func() {
		if err := processtest.Close(l); err != nil {
			t.Error(err)
		}
	}}
	p.wg.Go(func() { p.accept(l) })
	t.Cleanup(func() {
		cancel()
		l.Close()
		p.wg.Wait()
	})
	return p
}

// LoseRequest loses the next message before the server gets it.
func (p *Proxy) LoseRequest() { p.arm(loseRequest) }

// LoseAnswer loses the answer to the next message.
func (p *Proxy) LoseAnswer() { p.arm(loseAnswer) }

// Stall takes all further messages and answers none.
func (p *Proxy) Stall() { p.arm(stall) }

// Down refuses all further connections.
func (p *Proxy) Down() { p.down() }

func (p *Proxy) arm(f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = f
}

// take is the fault of the message at hand.
func (p *Proxy) take() fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.next
	if f != stall {
		p.next = none
	}
	return f
}

func (p *Proxy) accept(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := new(net.Dialer).DialContext(p.ctx, "tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	stop := context.AfterFunc(p.ctx, func() {
		client.SetDeadline(time.Unix(1, 0))
		server.SetDeadline(time.Unix(1, 0))
	})
	defer stop()
	for {
		question, err := message(client)
		if err != nil {
			return
		}
		f := p.take()
		switch f {
		case loseRequest:
			return
		case stall:
			<-p.ctx.Done()
			return
		}
		if _, err := server.Write(question); err != nil {
			return
		}
		answer, err := message(server)
		if err != nil || f == loseAnswer {
			return
		}
		if _, err := client.Write(answer); err != nil {
			return
		}
	}
}

// message reads one message with its length before it.
func message(r io.Reader) ([]byte, error) {
	length := make([]byte, 2)
	if _, err := io.ReadFull(r, length); err != nil {
		return nil, err
	}
	m := make([]byte, 2+int(binary.BigEndian.Uint16(length)))
	copy(m, length)
	_, err := io.ReadFull(r, m[2:])
	return m, err
}
