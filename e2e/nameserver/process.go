package nameserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// patience bounds how long a server may take until it answers, has caught up,
// or has ended; each takes about a second on a busy machine.
const patience = 30 * time.Second

// process is one run of a server.
type process struct {
	cmd   *exec.Cmd
	back  func() error  // returns the address that was lent to it
	ended chan struct{} // closed when it is gone and cmd knows how
}

// Start runs the server and waits until it answers for its zone. A server that
// runs already is an error.
func (s *Server) Start(ctx context.Context) error {
	if s.running != nil {
		return fmt.Errorf("start %s: it runs already", s.config.Kind)
	}
	p, err := s.launch(ctx)
	if err != nil {
		return fmt.Errorf("start %s: %w", s.config.Kind, err)
	}
	s.running = p
	if err := s.until(ctx, func(uint32) bool { return true }); err != nil {
		return errors.Join(fmt.Errorf("start %s: %w\n%s", s.config.Kind, err, s.Log()), s.end(syscall.SIGKILL))
	}
	return nil
}

func (s *Server) launch(ctx context.Context) (*process, error) {
	command, back := s.config.Command, func() error { return nil }
	if command == nil {
		var err error
		if back, err = lend(ctx, s.config.At.Addr()); err != nil {
			return nil, err
		}
		command = exec.CommandContext
	}
	log, err := os.OpenFile(s.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, errors.Join(err, back())
	}
	defer log.Close()
	argv := s.argv()
	// It lives until it is stopped, not as long as whoever started it waits.
	p := &process{cmd: command(context.WithoutCancel(ctx), argv[0], argv[1:]...), back: back, ended: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = s.config.Dir, log, log
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(err, back())
	}
	go func() {
		_ = p.cmd.Wait() // what it returns is in ProcessState as well
		close(p.ended)
	}()
	return p, nil
}

// argv overrides what a configuration made for a machine says about daemons.
func (s *Server) argv() []string {
	switch s.config.Kind {
	case BIND:
		return []string{"named", "-g", "-4", "-n", "1", "-c", s.path(BIND.file())}
	case Knot:
		return []string{"knotd", "-c", s.path(Knot.file())}
	}
	return []string{"pdns_server", "--config-dir=" + s.config.Dir, "--socket-dir=" + s.config.Dir,
		"--daemon=no", "--guardian=no", "--disable-syslog", "--write-pid=no"}
}

// Stop ends the server in order; its zone stays. It does nothing if the server
// does not run.
func (s *Server) Stop() error { return s.end(syscall.SIGTERM) }

// Kill ends it as a power cut would.
func (s *Server) Kill() {
	// All that can be left is an address on loopback.
	_ = s.end(syscall.SIGKILL)
}

func (s *Server) end(signal syscall.Signal) error {
	p := s.running
	if p == nil {
		return nil
	}
	s.running = nil
	// Fails only if it is gone, which is what is wanted.
	_ = p.cmd.Process.Signal(signal)
	var late error
	select {
	case <-p.ended:
	case <-time.After(patience):
		late = fmt.Errorf("stop %s: it did not end within %s", s.config.Kind, patience)
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	return errors.Join(late, p.back())
}

// Log is what the server has said, without its keys.
func (s *Server) Log() string {
	raw, err := os.ReadFile(s.path("log"))
	if err != nil {
		return err.Error()
	}
	text := string(raw)
	for _, k := range s.keys {
		text = strings.ReplaceAll(text, secret(k), "SECRET")
	}
	return text
}
