package sshexec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/fault"
)

// maxOutput bounds what Run takes into memory.
const maxOutput = 4 << 20

var errOutput = fmt.Errorf("more than %d MiB of output", maxOutput>>20)

// Run runs a command as root and returns what it wrote to stdout, also beside
// an [*ExitError]. stdin may be nil; Run reads it to its end unless the command
// ends first, and waits for a Read that is under way. When ctx ends, so does Run
// at once; the command may go on, which the error says ([ErrLost]).
func (m *Machine) Run(ctx context.Context, command string, stdin io.Reader) (stdout []byte, err error) {
	defer m.traced("run "+brief(command), time.Now(), &err)
	s, err := m.start(ctx, func(mark string) string { return framed(mark, command) })
	if err != nil {
		return nil, m.wrap(err)
	}
	defer context.AfterFunc(ctx, func() { s.abandon(context.Cause(ctx)) })()
	var feeding sync.WaitGroup
	feeding.Go(func() {
		if err := feed(s.in, stdin); err != nil {
			s.abandon(fmt.Errorf("read its input: %w", err))
		}
	})
	stdout, err = io.ReadAll(io.LimitReader(s.out, maxOutput+1))
	if len(stdout) > maxOutput {
		s.abandon(errOutput)
		err = s.err
	}
	feeding.Wait()
	stdout, err = s.answer(stdout, err)
	return stdout, m.wrap(err)
}

// answer is [session.unframe], and of a command that did not end nothing else
// than the error.
func (s *session) answer(stdout []byte, err error) ([]byte, error) {
	stdout, err = s.unframe(stdout, err)
	var exit *ExitError
	if err != nil && !errors.As(err, &exit) {
		stdout = nil
	}
	return stdout, err
}

// unframe is what a framed command printed and how it ended, which the frame
// says better than the session. An answer without an end is none, unless the
// command was ended from outside, which err says.
func (s *session) unframe(stdout []byte, err error) ([]byte, error) {
	end := []byte("\n" + s.mark + " ")
	i := bytes.LastIndex(stdout, end)
	var exit *ExitError
	if err != nil && !errors.As(err, &exit) || i < 0 && err != nil {
		return stdout, err
	}
	if i < 0 {
		return nil, fault.WithRemedy(fmt.Errorf("%w: its output is cut off", ErrShell), s.conn.shellRemedy())
	}
	number, _, _ := strings.Cut(string(stdout[i+len(end):]), "\n")
	switch status, err := strconv.Atoi(number); {
	case err != nil:
		return nil, fault.WithRemedy(fmt.Errorf("%w: its output ends with %q, which is not an exit status", ErrShell, number), s.conn.shellRemedy())
	case status != 0:
		return stdout[:i], &ExitError{Status: status, Stderr: s.stderr.text()}
	}
	return stdout[:i], nil
}

// mouthful is what [Machine.Send] has under way. sshd keeps what a command has
// not read yet in one buffer, and copies all of it each time that it grows
// (OpenSSH, sshbuf_allocate): with a whole window there, 2 MiB, that took more
// of a machine than all else that a delivery did.
const mouthful = 1 << 20

// Send runs a command as root that reads data from its stdin, and sends no more
// at once than the command swallows, which costs sshd much less than Run does
// and the connection a round trip for each mouthful.
// What the command writes to stdout is dropped. ctx is as in Run.
func (m *Machine) Send(ctx context.Context, command string, data []byte) (err error) {
	defer m.traced("send "+brief(command), time.Now(), &err)
	s, err := m.start(ctx, func(string) string { return become(fed(command, len(data))) })
	if err != nil {
		return m.wrap(err)
	}
	defer context.AfterFunc(ctx, func() { s.abandon(context.Cause(ctx)) })()
	swallowed := make(chan struct{}, len(data)/mouthful)
	var feeding sync.WaitGroup
	feeding.Go(func() {
		defer s.in.Close()
		for piece := range slices.Chunk(data, mouthful) {
			if _, err := s.in.Write(piece); err != nil || len(piece) < mouthful {
				return // an error is the end of the command, which stdout tells
			}
			select {
			case <-swallowed:
			case <-s.ended:
				return
			}
		}
	})
	// To the end, whatever is under way: a command that has ended is known only
	// once all that it wrote was read.
	_, err = io.Copy(acknowledging(swallowed), s.out)
	feeding.Wait()
	return m.wrap(err)
}

// acknowledging is a writer each of whose bytes stands for a mouthful.
type acknowledging chan<- struct{}

func (a acknowledging) Write(b []byte) (int, error) {
	for range b {
		select {
		case a <- struct{}{}:
		default: // more than was sent: a login shell may have something to say
		}
	}
	return len(b), nil
}

// Follow runs a command as root and copies its stdout to w until it ends or
// ctx does, which then is no error: the command is ended too, with all that it
// started.
func (m *Machine) Follow(ctx context.Context, command string, w io.Writer) (err error) {
	defer m.traced("follow "+brief(command), time.Now(), &err)
	s, err := m.start(ctx, func(string) string { return become(tied(command)) })
	if err == nil {
		stop := context.AfterFunc(ctx, func() { s.out.CloseWithError(context.Cause(ctx)) })
		_, err = io.Copy(w, s.out)
		stop()
		grace, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), m.pool.config.Keepalive, errStubborn)
		defer cancel()
		s.out.Close()
		ended := s.hangUp(grace)
		if err == nil {
			err = ended
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return m.wrap(err)
}

// errStubborn is why a session is given up whose command does not end.
var errStubborn = errors.New("the command does not end")

// Open starts a command as root and returns its stdin and stdout as a stream.
// ctx bounds the opening alone. A Read after the command's end returns io.EOF if
// it succeeded, else the error. Close ends stdin, waits for the command, for two
// [Config.Keepalive] at most, and says how it ended; it may be called while
// others read and write, which ends them.
func (m *Machine) Open(ctx context.Context, command string) (_ io.ReadWriteCloser, err error) {
	defer m.traced("open "+brief(command), time.Now(), &err)
	s, err := m.start(ctx, func(string) string { return become(command) })
	if err != nil {
		return nil, m.wrap(err)
	}
	return &stream{machine: m, session: s}, nil
}

type stream struct {
	machine *Machine
	session *session
}

func (s *stream) Read(b []byte) (int, error) {
	n, err := s.session.out.Read(b)
	if err != nil && err != io.EOF && err != io.ErrClosedPipe {
		err = s.machine.wrap(err)
	}
	return n, err
}

func (s *stream) Write(b []byte) (int, error) {
	n, err := s.session.in.Write(b)
	if err != nil && err != io.ErrClosedPipe {
		err = s.machine.wrap(err)
	}
	return n, err
}

func (s *stream) Close() error {
	s.session.out.Close()
	ctx, cancel := context.WithTimeoutCause(context.Background(), 2*s.machine.pool.config.Keepalive, errStubborn)
	defer cancel()
	return s.machine.wrap(s.session.hangUp(ctx))
}

// start has the shell that waits run a script; else it sends it, by a new
// connection if the one at hand turns out to have been lost before it was sent.
func (m *Machine) start(ctx context.Context, script func(mark string) string) (*session, error) {
	if s := m.take(); s != nil {
		s.tell(ctx, script(s.mark))
		return s, nil
	}
	return m.launch(ctx, script)
}

func (m *Machine) launch(ctx context.Context, script func(mark string) string) (*session, error) {
	for {
		c, fresh, err := m.line.connect(ctx)
		if err != nil {
			return nil, err
		}
		s, err := c.start(ctx, script)
		var lost *unsentError
		if !errors.As(err, &lost) || fresh {
			return s, err
		}
		c.kill(err)
	}
}

// wrap names the machine in an error.
func (m *Machine) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("host %s: %w", m.name, err)
}

func (m *Machine) traced(what string, began time.Time, err *error) {
	m.pool.trace(what, "host "+m.name, began, *err)
}

// brief is a command on one short line.
func brief(command string) string {
	const most = 120
	line := strings.Join(strings.Fields(command), " ")
	if len(line) > most {
		line = line[:most] + "…"
	}
	return line
}

// feed copies a command's input and closes it. The error is of reading alone:
// that a command takes no more shows in how it ends.
func feed(in *io.PipeWriter, stdin io.Reader) error {
	if stdin == nil {
		return in.Close()
	}
	from := &source{Reader: stdin}
	io.Copy(in, from)
	if from.err != nil {
		return from.err
	}
	return in.Close()
}

// source remembers why reading ended; nil at the end of input.
type source struct {
	io.Reader
	err error
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}
