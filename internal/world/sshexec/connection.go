package sshexec

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/fault"
	"golang.org/x/crypto/ssh"
)

// maxSessions bounds the commands at once on one connection; sshd takes 10
// (sshd_config(5), MaxSessions) and counts one until its last process is gone.
const maxSessions = 8

// connection is one SSH connection, logged in.
type connection struct {
	pool   *Pool
	client *ssh.Client
	user   string
	login  []string // the command by which a person logs in
	heard  *listening
	slots  chan struct{} // one for each session
	lost   chan struct{} // closed when the connection has ended or is given up
	// asked is when the keepalive was sent that is not answered yet, nil for none.
	asked atomic.Pointer[time.Time]
	// delay is how long the command that began last took to begin, in nanoseconds.
	delay atomic.Int64

	mu    sync.Mutex // guards what follows
	cause error      // why it ended or is about to; nil while it is good
	users int        // how much is outstanding
	quiet func()     // ends the watch; nil while nothing is outstanding
}

func (p *Pool) newConnection(client *ssh.Client, user string, login []string, heard *listening) (*connection, error) {
	c := &connection{pool: p, client: client, user: user, login: login, heard: heard, slots: make(chan struct{}, maxSessions), lost: make(chan struct{})}
	stop := context.AfterFunc(p.life, func() { c.kill(errClosed) })
	started := p.run(func() {
		err := client.Wait()
		stop()
		c.kill(fmt.Errorf("the connection ended: %w", err))
	})
	if !started {
		client.Close()
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, errClosed)
	}
	return c, nil
}

// kill ends the connection; the first cause stays. It tells everybody by lost
// rather than leave it to the library to notice: where the connection goes
// through a jump host, closing it is a question that may stay unanswered.
func (c *connection) kill(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return
	}
	c.cause = cause
	close(c.lost)
	if hangUp := func() { c.client.Close() }; !c.pool.run(hangUp) {
		go hangUp() // while Close waits for the goroutine of client.Wait, which this ends
	}
}

// why is the reason why the connection ended, nil while it is good.
func (c *connection) why() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// usable says whether to try this connection before dialling another.
func (c *connection) usable() bool {
	if c.silent() {
		c.kill(c.silence())
	}
	return c.why() == nil
}

// use keeps watch over the connection until the function that it returns is
// called: while anything is outstanding, the other side must give signs of life.
func (c *connection) use() (release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users++; c.users == 1 {
		ctx, cancel := context.WithCancel(c.pool.life)
		c.quiet = cancel
		c.pool.run(func() { c.watch(ctx) })
	}
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.users--; c.users == 0 {
			c.quiet()
		}
	})
}

// watch asks for a sign of life now and then, and ends a connection without.
// It asks at once where nothing was heard for long, so that a connection that
// broke while idle costs its next user two intervals, not three.
func (c *connection) watch(ctx context.Context) {
	interval := c.pool.config.Keepalive
	if c.heard.ago() > interval {
		c.ask()
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.lost:
			return
		case <-tick.C:
		}
		if c.silent() {
			c.kill(c.silence())
			return
		}
		c.ask()
	}
}

// ask sends a keepalive unless one is under way. The goroutine ends with the
// answer, or with the connection.
func (c *connection) ask() {
	now := time.Now()
	if !c.asked.CompareAndSwap(nil, &now) {
		return
	}
	c.pool.run(func() {
		c.client.SendRequest("keepalive@openssh.com", true, nil) // any answer will do, none shows in asked
		c.asked.Store(nil)
	})
}

// silent says whether the other side owes an answer for two intervals and sent
// nothing else meanwhile. Other data counts, because an answer may have to wait
// behind it; what we send does not, because the kernel takes it for a host that
// was paused.
func (c *connection) silent() bool {
	asked := c.asked.Load()
	limit := 2*c.pool.config.Keepalive - c.pool.config.Keepalive/10 // the ticker may be early
	return asked != nil && time.Since(*asked) >= limit && c.heard.ago() >= limit
}

func (c *connection) silence() error {
	return fmt.Errorf("no response for %s", c.heard.ago().Round(100*time.Millisecond))
}

// slot waits until the machine has room for one more session.
func (c *connection) slot(ctx context.Context) (release func(), err error) {
	select {
	case c.slots <- struct{}{}:
		return sync.OnceFunc(func() { <-c.slots }), nil
	case <-c.lost:
		return nil, &unsentError{fmt.Errorf("%w: %w", ErrUnreachable, c.why())}
	case <-ctx.Done():
		return nil, unsent(ctx)
	}
}

// start sends a command: what script makes of the mark that shows where its
// output begins. An error says whether the command may have begun; the
// session, if there is one, is the caller's to end.
func (c *connection) start(ctx context.Context, script func(mark string) string) (*session, error) {
	unslot, err := c.slot(ctx)
	if err != nil {
		return nil, err
	}
	unuse := c.use()
	release := func() { unslot(); unuse() }
	type result struct {
		s   *session
		err error
	}
	results := make(chan result) // nobody takes it once ctx is over
	var sent atomic.Bool
	running := c.pool.run(func() {
		s, err := c.open(script, &sent, release)
		select {
		case results <- result{s, err}:
		case <-ctx.Done():
			if s != nil {
				s.abandon(context.Cause(ctx))
			}
		}
		if s == nil {
			release()
		}
	})
	if !running {
		release()
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, errClosed)
	}
	select {
	case r := <-results:
		return r.s, r.err
	case <-ctx.Done():
		if sent.Load() {
			return nil, fmt.Errorf("%w: %w", ErrLost, context.Cause(ctx))
		}
		return nil, unsent(ctx)
	}
}

// open opens a session and has it run a command. sent is set before the command
// leaves.
func (c *connection) open(script func(mark string) string, sent *atomic.Bool, release func()) (*session, error) {
	channel, requests, err := c.client.OpenChannel("session", nil)
	var refused *ssh.OpenChannelError
	if errors.As(err, &refused) {
		return nil, fault.WithRemedy(fmt.Errorf("%w: sshd opens no more sessions: %w", ErrUnreachable, err), "raise MaxSessions in sshd_config there to 10, its default")
	}
	if err != nil {
		return nil, &unsentError{fmt.Errorf("%w: %w", ErrUnreachable, orError(c.why(), err))}
	}
	mark := "pleiad-" + rand.Text()
	command := loginLine(c.user, begun(mark, script(mark)))
	began := time.Now()
	sent.Store(true)
	ok, err := channel.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{command}))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLost, orError(c.why(), err))
	}
	if !ok {
		channel.Close()
		return nil, fault.WithRemedy(fmt.Errorf("%w: sshd runs no commands for %q", ErrDenied, c.user), "see ForceCommand in sshd_config there, and options in the user's authorized_keys")
	}
	return c.session(channel, requests, mark, began, release), nil
}

func orError(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// unsentError marks the failure of a connection that was lost before it was
// asked for anything, so that another one may be tried.
type unsentError struct{ error }

func (e *unsentError) Unwrap() error { return e.error }

// listening is a net.Conn that remembers when something was last read; last is
// never nil.
type listening struct {
	net.Conn
	last atomic.Pointer[time.Time]
}

func listen(conn net.Conn) *listening {
	l, now := &listening{Conn: conn}, time.Now()
	l.last.Store(&now)
	return l
}

func (l *listening) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if n > 0 {
		now := time.Now()
		l.last.Store(&now)
	}
	return n, err
}

// ago is how long nothing was read.
func (l *listening) ago() time.Duration { return time.Since(*l.last.Load()) }
