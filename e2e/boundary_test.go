//go:build unix

package e2e

import (
	"bufio"
	"github.com/pleiad-etcd/pleiad/internal/system/process/processtest"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// breakpoints listens where pleiad stops before and after each step. For every
// line it calls at, and lets pleiad go on when that returns.
func breakpoints(t *testing.T, at func(line string)) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "b")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if line, err := bufio.NewReader(c).ReadString('\n'); err == nil {
				at(strings.TrimSpace(line))
				_, _ = c.Write([]byte("go\n"))
			}
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return socket
}

// killAt runs a command and kills it with SIGKILL at its nth boundary. It
// returns false if the command ended before.
func (b *bed) killAt(n int, args ...string) (killed bool, at string, r result) {
	b.Helper()
	cmd := b.command(args...)
	seen := 0
	socket := breakpoints(b.T, func(line string) {
		if seen++; seen == n {
			killed, at = true, line
			if err := processtest.Kill(cmd.Process.Pid); err != nil {
				b.Error(err)
			}
		}
	})
	cmd.Env = append(cmd.Environ(), "PLEIAD_BREAKPOINT="+socket)
	r = b.finish(cmd)
	return killed, at, r
}

// killAfter runs a command and kills it some time after its start.
func (b *bed) killAfter(d time.Duration, args ...string) (killed bool) {
	b.Helper()
	cmd := b.command(args...)
	timer := make(chan struct{})
	kill := time.AfterFunc(d, func() {
		defer close(timer)
		if cmd.Process != nil {
			killed = cmd.Process.Kill() == nil
		}
	})
	b.finish(cmd)
	if !kill.Stop() {
		<-timer
	}
	return killed
}
