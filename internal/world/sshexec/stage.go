package sshexec

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/system/shell"
)

// stage is how far a dial has come. It says why there is no connection to who stops
// waiting for one: a machine that took the connection is not unreachable, whatever it
// does with it.
type stage struct {
	r         route // empty until ssh_config was read
	behind    *line // the jump host whose own dial is awaited, nil for none
	connected bool
	trusted   bool     // its host key is good
	login     []string // the command by which a person logs in
}

// late is the error of a dial that took too long, with what else could be done about
// that.
func (s stage) late(cause error, more ...string) error {
	switch {
	case s.behind != nil:
		return fmt.Errorf("jump host %s: %w", s.behind.target.host, s.behind.reached().late(cause, more...))
	case s.r.address == "":
		return fmt.Errorf("%w: %w", ErrUnreachable, cause)
	case !s.connected:
		return unreachable(s.r, cause)
	}
	what := "sshd has not said anything"
	if s.trusted {
		what = "its host key is good"
	}
	remedy := append([]string{
		"see how long a login takes: time " + shell.Line(s.login...) + " true",
		"if it takes long: most often sshd there asks a name server that does not answer; mend /etc/resolv.conf there, or set UseDNS no in sshd_config there",
	}, more...)
	return fault.WithRemedy(&lateError{fmt.Sprintf("connected to %s, no login yet (%s): %v", s.r.address, what, cause), cause}, remedy...)
}

// lateError says that a machine was connected to and did not let anybody in within
// the time there was. Nothing was sent to it, as with [ErrUnreachable].
type lateError struct {
	text  string
	cause error
}

func (e *lateError) Error() string        { return e.text }
func (e *lateError) Is(target error) bool { return target == ErrUnreachable }
func (e *lateError) Unwrap() error        { return e.cause }

// reached is how far the dial of a line has come that is under way.
func (l *line) reached() stage {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stage
}

// reach notes how far the dial has come.
func (l *line) reach(s stage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stage = s
}

// late is the error of a call whose ctx ended while the line was dialled. A caller's
// own change of mind says nothing about the machine.
func (l *line) late(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, context.Canceled) {
		return cause
	}
	return l.reached().late(cause, "or wait longer for it: --timeout 2m")
}

// loginCommand is how a person reaches what the line goes to, word by word.
func (l *line) loginCommand() []string {
	t := l.target
	if machine, err := netip.ParseAddr(t.host); err == nil && !t.hop && l.pool.config.LoginCommand != nil {
		return l.pool.config.LoginCommand(machine)
	}
	words := []string{"ssh"}
	if t.jump != "" {
		words = append(words, "-J", t.jump)
	}
	if t.port != "" {
		words = append(words, "-p", t.port)
	}
	if t.user != "" {
		return append(words, t.user+"@"+t.host)
	}
	return append(words, t.host)
}

// hostAndPort are those of a route, for commands that people type.
func (r route) hostAndPort() (host, port string) {
	host, port, _ = net.SplitHostPort(r.address) // we made it
	return host, port
}
