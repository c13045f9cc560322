// Package processtest does things to processes and sockets in tests, and
// returns when they are done.
//
// The system calls return earlier: a signal is only queued when kill returns,
// so that a killed process may still answer, hold its locks and ports, and a
// stopped one may still answer. A closed socket stays open in a child that
// another goroutine is just starting, until that child executes its program; so does
// a file, and none that is open for writing can be run.
// A test that goes on at once passes on an idle machine only.
package processtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

// patience is when a function gives up; none waits for it to pass.
const patience = 30 * time.Second

// Close closes a listener, of TCP or UDP, and returns when its address refuses
// whoever comes. Holding [syscall.ForkLock] is not enough for that: on Linux it
// is given back a moment before the child's copies are closed.
func Close(l io.Closer) error {
	var addr net.Addr
	switch l := l.(type) {
	case net.Listener:
		addr = l.Addr()
	case net.PacketConn:
		addr = l.LocalAddr()
	default:
		return fmt.Errorf("close: %T has no address", l)
	}
	if err := l.Close(); err != nil {
		return err
	}
	return until(fmt.Sprintf("nobody listens on %s", addr), func() (bool, error) { return refuses(addr) })
}

// refuses says whether nobody listens on an address. UDP tells it to whoever
// sends a second time.
func refuses(addr net.Addr) (bool, error) {
	c, err := net.Dial(addr.Network(), addr.String())
	if err == nil {
		defer c.Close()
		_, err = c.Write([]byte{0})
		if _, udp := c.(*net.UDPConn); udp && err == nil {
			_, err = c.Write([]byte{0})
		}
	}
	switch {
	case err == nil, errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return false, nil
	case errors.Is(err, syscall.ECONNREFUSED):
		return true, nil
	}
	return false, err
}

// until polls: nobody is told of the end of a process that is not its child,
// nor of the last thread that stops.
func until(what string, ok func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if done, err := ok(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not within %s: %s", patience, what)
		case <-tick.C:
		}
	}
}
