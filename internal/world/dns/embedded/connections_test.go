package embedded

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	wire "github.com/miekg/dns"
)

// serving is a server with sockets of its own until the test ends.
func serving(t *testing.T) (s *server, address string) {
	t.Helper()
	s = testServer(t, "m1.dev.test. 60 IN A 127.1.2.3")
	at, err := bind(t.Context(), "127.0.0.1:0")
	if err == nil { // two of the same number
		at.udp.Close()
		at.udp, err = net.ListenPacket("udp", at.tcp.Addr().String())
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	at.serve(ctx, &wg, s)
	t.Cleanup(func() {
		stop()
		wg.Wait()
	})
	return s, at.tcp.Addr().String()
}

// connect opens connections and does something on each.
func connect(t *testing.T, address string, n int, do func(net.Conn) error) (all []net.Conn) {
	t.Helper()
	for range n {
		c, err := net.Dial("tcp", address)
		if err == nil {
			err = do(c)
		}
		// The one before may have had to go already.
		if err != nil && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		all = append(all, c)
	}
	return all
}

// framedQuestion is a question as TCP carries it: RFC 1035, section 4.2.2.
func framedQuestion(t *testing.T) []byte {
	t.Helper()
	framed := append([]byte{0, 0}, mustPack(t, question("m1.dev.test.", wire.TypeA, wire.ClassINET))...)
	framed[1] = byte(len(framed) - 2)
	return framed
}

// Whatever others do with their connections, a question is answered, signed or
// not, and over UDP as well.
func TestIdleConnectionsShutNobodyOut(t *testing.T) {
	framed := framedQuestion(t)
	for name, do := range map[string]func(net.Conn) error{
		"say nothing": func(net.Conn) error { return nil },
		"begin to ask": func(c net.Conn) error {
			_, err := c.Write(framed[:5])
			return err
		},
		"do not read the answer": func(c net.Conn) error {
			_, err := c.Write(framed)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, address := serving(t)
			connect(t, address, 1000, do)
			for range 20 {
				for network, client := range map[string]*wire.Client{"tcp": {Net: "tcp"}, "udp": {Net: "udp"}} {
					got, _, err := client.Exchange(question("m1.dev.test.", wire.TypeA, wire.ClassINET), address)
					if err != nil || got.Rcode != wire.RcodeSuccess || len(got.Answer) != 1 {
						t.Fatalf("over %s: %v, %v", network, got, err)
					}
				}
				packed, _, err := s.key.Sign(question("m1.dev.test.", wire.TypeA, wire.ClassINET), "")
				if err != nil {
					t.Fatal(err)
				}
				conn, err := wire.Dial("tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				_, err = conn.Write(packed)
				if err == nil {
					_, err = conn.ReadMsgHeader(nil)
				}
				if err != nil {
					t.Fatalf("signed: %v", err)
				}
				conn.Close()
			}
		})
	}
}

// Who asks all the time keeps a connection that others, who do not, lose.
func TestLongestIdleConnectionGoes(t *testing.T) {
	_, address := serving(t)
	busy, err := wire.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	framed := framedQuestion(t)
	// Each asks once, since only an answer shows that the server has taken the
	// connection: without it, more than it keeps could wait to be taken, and the
	// busy one would be the longest idle when they are.
	askOnce := func(c net.Conn) error {
		_, err := c.Write(framed)
		if err == nil {
			_, err = c.Read(make([]byte, 1))
		}
		return err
	}
	var idlers []net.Conn
	for range 3 * maxConnections / 10 {
		idlers = append(idlers, connect(t, address, 10, askOnce)...)
		if err := busy.WriteMsg(question("m1.dev.test.", wire.TypeA, wire.ClassINET)); err != nil {
			t.Fatal(err)
		}
		if _, err := busy.ReadMsg(); err != nil {
			t.Fatalf("after %d others: %v", len(idlers), err)
		}
	}
	// The first had to go long before it was idle for too long.
	began := time.Now()
	if _, err := io.Copy(io.Discard, idlers[0]); time.Since(began) > idle/2 {
		t.Errorf("the first is still open: %v", err)
	}
}

// A connection whose answer is being found stays, even if all others are newer.
func TestAnswerIsNotCutOff(t *testing.T) {
	var all connections
	ours, theirs := net.Pipe()
	defer theirs.Close()
	first := all.admit(ours)
	got := all.answer(first, func() []byte {
		for range 2 * maxConnections {
			c, _ := net.Pipe()
			if all.admit(c) == nil {
				t.Error("a new connection is not taken while others are idle")
			}
		}
		return []byte("x")
	})
	if string(got) != "x" || len(all.open) != maxConnections {
		t.Errorf("%q, %d open", got, len(all.open))
	}
	c, _ := net.Pipe()
	all.admit(c)
	if all.answer(first, func() []byte { return []byte("x") }) != nil {
		t.Error("it was answered after it had to go")
	}
	all.leave(first)
}
