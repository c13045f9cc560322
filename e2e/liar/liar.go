// Package liar is a resolver that does not tell the truth, for tests of
// whoever believes it: hosts are pointed at it, and see a list that is stale,
// short, doubled, or leads elsewhere.
//
// [Start] starts one in the test's own process. It passes every question on
// to the truth, and bends the answers to names that it was told to lie about
// with [Liar.Tell], from one question to the next, until [Liar.Repent].
package liar

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	wire "github.com/miekg/dns"
)

// askLimit bounds one question to the truth.
const askLimit = 5 * time.Second

// Config says where a liar listens and whom it knows the truth from.
type Config struct {
	UDP   net.PacketConn
	TCP   net.Listener
	Truth netip.AddrPort
	// Dial connects to Truth.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Liar is one running resolver. Its methods may be called from several
// goroutines.
type Liar struct {
	config  Config
	servers []*wire.Server
	done    sync.WaitGroup

	mu   sync.Mutex
	lies map[wire.Question]Lie
	told int
}

// Start starts a liar, which is honest until told otherwise, and has it
// closed by Close.
func Start(c Config) *Liar {
	l := &Liar{config: c, lies: map[wire.Question]Lie{}}
	handler := wire.HandlerFunc(l.answer)
	l.servers = []*wire.Server{{PacketConn: c.UDP, Handler: handler}, {Listener: c.TCP, Handler: handler}}
	for _, s := range l.servers {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		l.done.Go(func() {
			// It ends by Shutdown and with nothing to say.
			_ = s.ActivateAndServe()
		})
		// A server that has not started cannot be shut down.
		<-started
	}
	return l
}

// Close ends the liar and its listeners.
func (l *Liar) Close() error {
	for _, s := range l.servers {
		if err := s.Shutdown(); err != nil {
			return fmt.Errorf("close liar: %w", err)
		}
	}
	l.done.Wait()
	return nil
}

// Tell has it lie about the records of one name and type from now on.
func (l *Liar) Tell(name string, rrtype uint16, lie Lie) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lies[question(name, rrtype)] = lie
}

// Freeze has it answer for a name and type what is true now, for ever: a stale
// cache.
func (l *Liar) Freeze(ctx context.Context, name string, rrtype uint16) error {
	q := question(name, rrtype)
	truth, err := l.ask(ctx, q)
	if err != nil {
		return fmt.Errorf("freeze %s: %w", name, err)
	}
	l.Tell(name, rrtype, func(*wire.Msg) *wire.Msg { return truth.Copy() })
	return nil
}

// Repent makes it honest about everything.
func (l *Liar) Repent() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.lies)
}

// Told is how many lies it has told so far.
func (l *Liar) Told() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.told
}

// question is the key of a lie: resolvers may spell names as they like.
func question(name string, rrtype uint16) wire.Question {
	return wire.Question{Name: wire.CanonicalName(name), Qtype: rrtype, Qclass: wire.ClassINET}
}

func (l *Liar) answer(w wire.ResponseWriter, asked *wire.Msg) {
	q := question(asked.Question[0].Name, asked.Question[0].Qtype)
	said, err := l.ask(context.Background(), q)
	if err != nil {
		said = &wire.Msg{MsgHdr: wire.MsgHdr{Rcode: wire.RcodeServerFailure}}
	}
	l.mu.Lock()
	if lie, ok := l.lies[q]; ok {
		l.told++
		said = lie(said)
	}
	l.mu.Unlock()
	if said == nil {
		return
	}
	reply := new(wire.Msg).SetReply(asked)
	reply.RecursionAvailable, reply.Rcode = true, said.Rcode
	reply.Answer, reply.Ns = said.Answer, said.Ns
	if w.RemoteAddr().Network() == "udp" {
		size := wire.MinMsgSize
		if opt := asked.IsEdns0(); opt != nil {
			size = int(opt.UDPSize())
		}
		reply.Truncate(size)
	}
	// The asker may be gone.
	_ = w.WriteMsg(reply)
}

func (l *Liar) ask(ctx context.Context, q wire.Question) (*wire.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	conn, err := l.config.Dial(ctx, "tcp", l.config.Truth.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	c := &wire.Conn{Conn: conn}
	if err := c.WriteMsg(new(wire.Msg).SetQuestion(q.Name, q.Qtype)); err != nil {
		return nil, err
	}
	return c.ReadMsg()
}
