package sshexectest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/pleiad-etcd/pleiad/internal/system/process/processtest"
)

// Command is a command that a client sent.
type Command struct {
	// Ctx ends when the client closes the session, or is gone.
	Ctx  context.Context
	User string
	// Line as it was sent, through sudo and all.
	Line   string
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
}

func (s *Server) authenticate(who ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	plain := key
	if c, ok := key.(*ssh.Certificate); ok {
		plain = c.Key
	}
	s.mu.Lock()
	s.logins = append(s.logins, who.User()+" "+ssh.FingerprintSHA256(plain))
	s.mu.Unlock()
	if s.options.Admits != nil {
		select {
		case <-s.options.Admits:
		case <-s.ending:
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known := slices.ContainsFunc(s.allowed, func(k ssh.PublicKey) bool { return bytes.Equal(k.Marshal(), plain.Marshal()) })
	switch {
	case !known || !slices.Contains(s.options.Users, who.User()):
		return nil, errors.New("no")
	case s.options.More:
		return nil, &ssh.PartialSuccessError{Next: ssh.ServerAuthCallbacks{
			KeyboardInteractiveCallback: func(ssh.ConnMetadata, ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
				return nil, errors.New("no")
			},
		}}
	}
	return nil, nil
}

func (s *Server) accept() {
	for {
		raw, err := s.listener.Accept()
		if err != nil {
			return // the listener was closed
		}
		g := &gated{Conn: raw, server: s, closed: make(chan struct{})}
		s.mu.Lock()
		s.dialled++
		s.conns[g] = struct{}{}
		s.mu.Unlock()
		s.serving.Go(func() {
			s.serve(g)
			g.Close()
			s.mu.Lock()
			delete(s.conns, g)
			s.mu.Unlock()
		})
	}
}

func (s *Server) serve(g *gated) {
	if s.options.Silent {
		<-g.closed
		return
	}
	if s.options.Greets != nil {
		select {
		case <-s.options.Greets:
		case <-g.closed:
		case <-s.ending:
		}
	}
	conn, channels, requests, err := ssh.NewServerConn(g, s.config)
	if err != nil {
		return // the client sees it
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.serving.Go(func() { ssh.DiscardRequests(requests) })
	for n := range channels {
		s.serving.Go(func() {
			switch n.ChannelType() {
			case "session":
				s.session(ctx, conn.User(), n)
			case "direct-tcpip":
				if s.hangsUp() {
					s.Drop()
					return
				}
				s.forward(n)
			default:
				n.Reject(ssh.UnknownChannelType, "no such thing")
			}
		})
	}
}

func (s *Server) session(ctx context.Context, user string, n ssh.NewChannel) {
	channel, requests, err := n.Accept()
	if err != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	signals, ended := make(chan signal), make(chan struct{})
	started := false
	for r := range requests {
		switch {
		case r.Type == "exec" && !started:
			started = true
			var payload struct{ Command string }
			ssh.Unmarshal(r.Payload, &payload)
			r.Reply(true, nil)
			s.serving.Go(func() {
				status := s.command(Command{Ctx: ctx, User: user, Line: payload.Command, Stdin: channel, Stdout: channel, Stderr: channel.Stderr()}, signals)
				close(ended)
				channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(status)}))
				channel.Close()
			})
		case r.Type == "signal":
			var payload struct{ Signal string }
			ssh.Unmarshal(r.Payload, &payload)
			if started { // sshd has sent it before it reads on, such as the channel's end
				s := signal{payload.Signal, make(chan struct{})}
				select {
				case signals <- s:
					<-s.sent
				case <-ended:
				}
			}
		default:
			r.Reply(false, nil)
		}
	}
}

// signal is one for a command; sent is closed when it was sent.
type signal struct {
	name string
	sent chan struct{}
}

// grace is how long a command may take to end when the test has.
const grace = 200 * time.Millisecond

// command runs a command and returns its status.
func (s *Server) command(c Command, signals <-chan signal) int {
	s.mu.Lock()
	s.lines = append(s.lines, c.Line)
	s.mu.Unlock()
	if status, handled := s.handle(c, signals); handled {
		return status
	}
	line := c.Line
	if s.options.Rewrite != nil {
		line = s.options.Rewrite(c.User, line)
	}
	if s.options.Login != "" {
		line = s.options.Login + "\n" + line
	}
	cmd := exec.Command(cmp.Or(s.options.Shell, "sh"), "-c", line)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(s.folder, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
	cmd.Env = append(cmd.Env, s.options.Env...)
	cmd.Stdout, cmd.Stderr = c.Stdout, c.Stderr
	cmd.WaitDelay = 10 * time.Second // what outlives the command longer than this is left alone
	ownGroup(cmd)
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(c.Stderr, err)
		return 127
	}
	s.serving.Go(func() {
		io.Copy(stdin, c.Stdin) // ends with the client's input, session or connection
		stdin.Close()
	})
	ended := make(chan struct{})
	s.serving.Go(func() {
		for {
			select {
			case sig := <-signals:
				signalGroup(cmd, sig.name)
				close(sig.sent)
			case <-s.ending:
				// What heeds the end of its input ends all that it started.
				select {
				case <-ended:
				case <-time.After(grace):
					signalGroup(cmd, "KILL")
				}
				return
			case <-ended:
				return
			}
		}
	})
	cmd.Wait() // the status tells
	close(ended)
	return exitStatus(cmd.ProcessState)
}

// handle leaves a command to the test, which knows no signals.
func (s *Server) handle(c Command, signals <-chan signal) (status int, handled bool) {
	if s.options.Handle == nil {
		return 0, false
	}
	over := make(chan struct{})
	defer close(over)
	s.serving.Go(func() {
		for {
			select {
			case sig := <-signals:
				close(sig.sent)
			case <-over:
				return
			}
		}
	})
	return s.options.Handle(c)
}

func (s *Server) forward(n ssh.NewChannel) {
	var where struct {
		Host     string
		Port     uint32
		FromHost string
		FromPort uint32
	}
	if err := ssh.Unmarshal(n.ExtraData(), &where); err != nil || s.options.NoForwarding {
		n.Reject(ssh.Prohibited, "administratively prohibited")
		return
	}
	to, err := net.Dial("tcp", net.JoinHostPort(where.Host, fmt.Sprint(where.Port)))
	if err != nil {
		n.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	channel, requests, err := n.Accept()
	if err != nil {
		to.Close()
		return
	}
	s.serving.Go(func() { ssh.DiscardRequests(requests) })
	var both sync.WaitGroup
	both.Go(func() { io.Copy(to, channel); to.Close() })
	both.Go(func() { io.Copy(channel, to); channel.Close() })
	both.Wait()
}

// writeSudo puts a sudo on the commands' PATH.
func (s *Server) writeSudo(t *testing.T) {
	t.Helper()
	script := `while [ "$1" != -- ]; do shift; done; shift; SUDO_USER=tester exec "$@"`
	switch s.options.Sudo {
	case "password":
		script = `echo "sudo: a password is required" >&2; exit 1`
	case "missing":
		script = `echo "env: 'sudo': No such file or directory" >&2; exit 127`
	case "terminal":
		script = `echo "sudo: sorry, you must have a tty to run sudo" >&2; exit 1`
	case "nobody":
		script = `echo "admin is not in the sudoers file." >&2; exit 1`
	case "broken":
		script = `echo "sudo: /usr/bin/sudo must be owned by uid 0 and have the setuid bit set" >&2; exit 1`
	}
	bin := filepath.Join(s.folder, "bin")
	err := os.Mkdir(bin, 0o700)
	if err == nil {
		err = processtest.Program(filepath.Join(bin, "sudo"), "#!/bin/sh\n"+script+"\n")
	}
	if err != nil {
		t.Fatal(err)
	}
}
