package sshexec_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/world/sshexec"
	"github.com/pleiad-etcd/pleiad/internal/world/sshexec/sshexectest"
)

// waits are the two places where sshd may take long: before it says who it is, and
// before it lets anybody in.
func waits(opened <-chan struct{}) map[string]sshexectest.Options {
	return map[string]sshexectest.Options{
		"sshd has not said anything": {Address: address, Greets: opened},
		"its host key is good":       {Address: address, Admits: opened},
	}
}

// A machine that takes the connection at once and lets us in much later is not
// unreachable. Who does not wait so long is told how far it has come; the login goes
// on, and the next one who asks finds it made.
func TestSlowLogin(t *testing.T) {
	t.Parallel()
	for stage := range waits(nil) {
		t.Run(stage, func(t *testing.T) {
			t.Parallel()
			open := make(chan struct{})
			s := sshexectest.Start(t, waits(open)[stage])
			m := machine(t, s, sshexec.Config{Connect: time.Second,
				LoginCommand: func(a netip.Addr) []string { return []string{"ssh", "-p", "7", "ann@" + a.String()} }})
			impatient := errors.New("no answer within 1.5s")
			ctx, cancel := context.WithTimeoutCause(t.Context(), 1500*time.Millisecond, impatient)
			defer cancel()
			_, err := m.Run(ctx, "true", nil)
			if !errors.Is(err, sshexec.ErrUnreachable) || !errors.Is(err, impatient) || fault.Lasting(err) {
				t.Errorf("%v, want that nothing was sent, for want of time", err)
			}
			if text := err.Error(); !strings.Contains(text, "connected to "+s.Addr+", no login yet ("+stage+"): no answer within 1.5s") || strings.Contains(text, "unreachable") {
				t.Errorf("%q", text)
			}
			if r := strings.Join(fault.Remedy(err), "\n"); !strings.Contains(r, "time ssh -p 7 ann@192.0.2.1 true") || !strings.Contains(r, "--timeout") || strings.Contains(r, "nc -vz") {
				t.Errorf("remedy %q", r)
			}
			close(open)
			if out, err := m.Run(t.Context(), "echo in", nil); err != nil || string(out) != "in\n" {
				t.Errorf("afterwards: %q, %v", out, err)
			}
			if n := s.Dialled(); n != 1 {
				t.Errorf("%d connections, want the one that was under way", n)
			}
		})
	}
}

// Whose login is slow is said of a jump host too.
func TestSlowJumpHost(t *testing.T) {
	t.Parallel()
	open := make(chan struct{})
	defer close(open)
	jump := sshexectest.Start(t, sshexectest.Options{Address: bastion, Admits: open})
	target := sshexectest.Start(t, sshexectest.Options{Address: address, Jump: jump})
	m := pool(t, sshexec.Config{SSHConfig: sshexectest.Config(t, target, jump)}).Machine(addr(address))
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := m.Run(ctx, "true", nil)
	if want := "jump host " + bastion + ": connected to " + jump.Addr + ", no login yet"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
	if r := strings.Join(fault.Remedy(err), "\n"); !strings.Contains(r, "time ssh "+bastion+" true") {
		t.Errorf("remedy %q", r)
	}
}

// ConnectTimeout is until the key exchange is over, as for ssh; the login has its own
// time.
func TestConnectTimeout(t *testing.T) {
	t.Parallel()
	for stage, ends := range map[string]bool{"sshd has not said anything": true, "its host key is good": false} {
		t.Run(stage, func(t *testing.T) {
			t.Parallel()
			open := make(chan struct{})
			s := sshexectest.Start(t, waits(open)[stage])
			m := pool(t, sshexec.Config{SSHConfig: with(t, s, "ConnectTimeout 1")}).Machine(addr(address))
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			_, err := m.Run(ctx, "true", nil)
			close(open)
			if gave := err != nil && strings.Contains(err.Error(), "ConnectTimeout"); gave != ends {
				t.Errorf("%v, want that ConnectTimeout ended it: %t", err, ends)
			}
			if r := strings.Join(fault.Remedy(err), "\n"); ends && !strings.Contains(r, "raise ConnectTimeout") {
				t.Errorf("remedy %q", r)
			}
			if ends {
				m = pool(t, sshexec.Config{SSHConfig: with(t, s, "ConnectTimeout 60")}).Machine(addr(address))
			}
			if _, err := m.Run(t.Context(), "true", nil); err != nil {
				t.Errorf("after a slow login: %v", err)
			}
		})
	}
}
