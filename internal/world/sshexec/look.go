package sshexec

import (
	"bytes"
	"context"
	"io"
	"time"
)

// Look is Run for a command that reads nothing, and its shell waits for whatever
// comes next on this machine: another Look, or the one of the other calls that
// comes first. To become root may take 10 s and more ([Machine.Delay]), so it is
// done once for a look and for what the look leads to.
func (m *Machine) Look(ctx context.Context, command string) (stdout []byte, err error) {
	defer m.traced("run "+brief(command), time.Now(), &err)
	s := m.take()
	if s == nil {
		if s, err = m.launch(ctx, func(string) string { return patient }); err != nil {
			return nil, m.wrap(err)
		}
	}
	stdout, err = s.ask(ctx, command)
	if err == nil {
		m.leave(s)
	}
	return stdout, m.wrap(err)
}

// Delay is how long it took the last time, on the connection there is, from when a
// command was sent until it began as root; 0 if none has.
func (m *Machine) Delay() time.Duration {
	m.line.mu.Lock()
	defer m.line.mu.Unlock()
	if m.line.conn == nil {
		return 0
	}
	return time.Duration(m.line.conn.delay.Load())
}

// take is the shell that waits, for the caller alone; nil if there is none.
func (m *Machine) take() *session {
	m.mu.Lock()
	s := m.waiting
	m.waiting = nil
	m.mu.Unlock()
	if s == nil || !s.conn.usable() {
		return nil
	}
	select {
	case <-s.ended:
		return nil
	default:
		return s
	}
}

// leave lets a shell wait, or ends it where another one does.
func (m *Machine) leave(s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.waiting == nil {
		m.waiting = s
		return
	}
	s.in.Close()
}

// tell has a patient session run a script. Whether that came to anything shows
// in what it prints and how it ends.
func (s *session) tell(ctx context.Context, script string) {
	defer context.AfterFunc(ctx, func() { s.abandon(context.Cause(ctx)) })()
	io.WriteString(s.in, told(s.mark, script))
}

// ask has a patient session run a command, and returns what it printed. Only
// after success does the session go on.
func (s *session) ask(ctx context.Context, command string) (stdout []byte, err error) {
	defer context.AfterFunc(ctx, func() { s.abandon(context.Cause(ctx)) })()
	s.tell(ctx, asked(s.mark, command))
	end := []byte("\n" + s.mark + " 0\n")
	for piece := make([]byte, 4<<10); err == nil; {
		var n int
		n, err = s.out.Read(piece)
		switch stdout = append(stdout, piece[:n]...); {
		case bytes.HasSuffix(stdout, end):
			return stdout[:len(stdout)-len(end)], nil
		case len(stdout) > maxOutput:
			s.abandon(errOutput)
			err = s.err
		}
	}
	if err == io.EOF {
		err = nil
	}
	return s.answer(stdout, err)
}
