package sshexec

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/fault"
	"golang.org/x/crypto/ssh"
)

// session is one command that was sent. Its streams are pipes of ours, so that
// a caller can be let go while the other side still holds the channel.
type session struct {
	conn    *connection
	channel ssh.Channel
	in      *io.PipeWriter // the command's stdin
	out     *io.PipeReader // its stdout; ends with EOF after success, else with the error
	mark    string         // printed where the command begins, on both streams
	stderr  tail
	release func()
	begun   bool // the mark was seen; settled before ended is closed

	once  sync.Once
	ended chan struct{} // closed by finish; then err holds
	err   error         // how it ended, nil for success
}

// session takes up a channel on which a command was started.
func (c *connection) session(channel ssh.Channel, requests <-chan *ssh.Request, mark string, began time.Time, release func()) *session {
	s := &session{conn: c, channel: channel, mark: mark, stderr: tail{mark: mark}, release: release, ended: make(chan struct{})}
	inside, in := io.Pipe()
	out, outside := io.Pipe()
	s.in, s.out = in, out
	statuses, saidAll := make(chan int, 1), make(chan struct{})
	// The caller is a goroutine of the pool, so these are waited for too.
	c.pool.running.Go(func() {
		io.Copy(channel, inside) // an error is the end of the session, which shows below
		channel.CloseWrite()
	})
	c.pool.running.Go(func() {
		io.Copy(&s.stderr, channel.Stderr()) // its end is all that matters
		close(saidAll)
	})
	c.pool.running.Go(func() { s.awaitStatus(requests, statuses) })
	c.pool.running.Go(func() {
		from := bufio.NewReader(channel)
		var noise error
		if s.begun, noise = skipTo(from, mark); noise != nil {
			s.abandon(fault.WithRemedy(noise, c.shellRemedy()))
		}
		if s.begun {
			c.delay.Store(int64(time.Since(began)))
			io.Copy(outside, from)
		}
		io.Copy(io.Discard, channel) // if nobody reads any more, let the command end
		<-saidAll
		status, ok := <-statuses
		s.finish(s.outcome(status, ok))
	})
	c.pool.running.Go(func() {
		select {
		case <-s.ended:
		case <-c.lost:
			s.finish(fmt.Errorf("%w: %w", ErrLost, c.why()))
		}
		outside.CloseWithError(orError(s.err, io.EOF))
		inside.CloseWithError(orError(s.err, io.ErrClosedPipe))
	})
	return s
}

// maxNoise bounds what a login may print before the command begins.
const maxNoise = 256 << 10

// skipTo reads up to the line that is the mark. Without one, at the end of what
// was printed, it says false.
func skipTo(from *bufio.Reader, mark string) (found bool, err error) {
	for skipped := 0; skipped <= maxNoise; {
		line, err := from.ReadSlice('\n')
		if string(line) == mark+"\n" {
			return true, nil
		}
		if err != nil && err != bufio.ErrBufferFull {
			return false, nil // how the session ended says more
		}
		skipped += len(line)
	}
	return false, fmt.Errorf("%w: it prints more than %d KiB before the command begins", ErrShell, maxNoise>>10)
}

// finish settles how the session ended; the first word counts.
func (s *session) finish(err error) {
	s.once.Do(func() {
		s.err = err
		close(s.ended)
		s.release()
	})
}

// awaitStatus passes on the exit status, if there is one, when the channel is
// closed.
func (s *session) awaitStatus(requests <-chan *ssh.Request, statuses chan<- int) {
	defer close(statuses)
	for r := range requests {
		switch r.Type {
		case "exit-status":
			if len(r.Payload) == 4 && len(statuses) == 0 {
				statuses <- int(binary.BigEndian.Uint32(r.Payload))
			}
		case "exit-signal":
			var payload struct {
				Signal     string
				CoreDumped bool
				Message    string
				Language   string
			}
			if ssh.Unmarshal(r.Payload, &payload) == nil && len(statuses) == 0 {
				statuses <- 128 + signalNumber(payload.Signal)
			}
		}
		if r.WantReply {
			r.Reply(false, nil)
		}
	}
}

// signalNumber of the signals that RFC 4254, section 6.10, names and whose
// number is the same everywhere; 0 for others.
func signalNumber(name string) int {
	return map[string]int{"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "ABRT": 6, "FPE": 8, "KILL": 9, "SEGV": 11, "PIPE": 13, "ALRM": 14, "TERM": 15}[name]
}

func (s *session) outcome(status int, known bool) error {
	said := s.stderr.text()
	switch {
	case !known:
		return fmt.Errorf("%w: %w", ErrLost, orError(s.conn.why(), errors.New("the session ended without an exit status")))
	case !s.begun:
		return s.conn.notBegun(status, said)
	case status == 0:
		return nil
	}
	return &ExitError{Status: status, Stderr: said}
}

// abandon lets go of a session whose end nobody waits for any more. sshd
// reports the end of a channel only when the command has ended, so this must
// not wait for it.
func (s *session) abandon(cause error) {
	s.finish(fmt.Errorf("%w: %w", ErrLost, cause))
	s.conn.pool.run(func() {
		s.channel.SendRequest("signal", false, ssh.Marshal(struct{ Signal string }{"TERM"}))
		s.channel.Close() // errors mean that it is gone already
	})
}

// hangUp ends the command's stdin and waits until the command has ended, not
// longer than ctx.
func (s *session) hangUp(ctx context.Context) error {
	s.in.Close()
	select {
	case <-s.ended:
	case <-ctx.Done():
		s.abandon(context.Cause(ctx))
		<-s.ended
	}
	return s.err
}

// maxStderr is how much of a command's last words is kept.
const maxStderr = 4 << 10

// tail keeps the end of what is written to it after the last mark, or of all of
// it while there is none.
type tail struct {
	mark string

	mu   sync.Mutex // guards what follows
	kept []byte
}

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b...)
	if i := bytes.LastIndex(t.kept, []byte(t.mark+"\n")); i >= 0 {
		t.kept = t.kept[i+len(t.mark)+1:]
	}
	if extra := len(t.kept) - maxStderr; extra > 0 {
		t.kept = append([]byte{}, t.kept[extra:]...)
	}
	return len(b), nil
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.kept)
}
