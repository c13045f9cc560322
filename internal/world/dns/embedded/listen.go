package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/world/dns"
)

// How long a TCP connection may be idle and an answer may take to be read
// (RFC 7766, section 6.2.3), and how many connections there may be at once.
const (
	idle           = 5 * time.Second
	maxConnections = 100
)

// sockets are the two listeners of one address.
type sockets struct {
	udp net.PacketConn
	tcp net.Listener
}

// bind listens on an address, host:port, over UDP and TCP.
func bind(ctx context.Context, address string) (sockets, error) {
	tcp, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return sockets{}, occupied(address, err)
	}
	udp, err := new(net.ListenConfig).ListenPacket(ctx, "udp", address)
	if err != nil {
		return sockets{}, errors.Join(occupied(address, err), tcp.Close())
	}
	return sockets{udp: udp, tcp: tcp}, nil
}

// occupied tells [dns.ErrOccupied] from other errors of listening.
func occupied(address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("listen on %s: %w: another process listens there; stop it and try again", address, dns.ErrOccupied)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("listen on %s: this machine does not have the address", address)
	}
	return fmt.Errorf("listen on %s: %w", address, err)
}

// bindStandard also listens on port 53 of an address's IP, so that tools that
// know no other port can be pointed at it. It is a convenience: whoever may
// not, or finds the port taken, goes without.
func bindStandard(ctx context.Context, address string, log *slog.Logger) (sockets, bool) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "53" || runtime.GOOS != "linux" || os.Geteuid() != 0 {
		return sockets{}, port == "53"
	}
	s, err := bind(ctx, net.JoinHostPort(host, "53"))
	if err != nil {
		log.Info("not on port 53", "reason", err)
		return sockets{}, false
	}
	return s, true
}

func (s sockets) close() error {
	if s.udp == nil {
		return nil
	}
	return errors.Join(s.udp.Close(), s.tcp.Close())
}

// serve answers on both sockets until ctx ends, then closes them. What is
// being answered then is answered first.
func (s sockets) serve(ctx context.Context, wg *sync.WaitGroup, srv *server) {
	if s.udp == nil {
		return
	}
	wg.Go(func() { srv.serveUDP(ctx, s.udp) })
	wg.Go(func() { srv.serveTCP(ctx, s.tcp) })
	wg.Go(func() {
		<-ctx.Done()
		s.tcp.Close()
		s.udp.SetReadDeadline(time.Unix(1, 0)) // closed by its reader, after the last answer
	})
}

// serveUDP answers one message after the other: an answer is computed in
// microseconds, and an update, which waits for the disk, belongs on TCP.
func (s *server) serveUDP(ctx context.Context, conn net.PacketConn) {
	defer conn.Close()
	buf := make([]byte, 1<<16)
	for {
		n, from, err := conn.ReadFrom(buf)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.trouble(ctx, "read UDP", err)
			continue
		}
		if answer := s.respond(buf[:n], true); answer != nil {
			_, _ = conn.WriteTo(answer, from) // an answer may get lost, so may this one
		}
	}
}

func (s *server) serveTCP(ctx context.Context, l net.Listener) {
	var wg sync.WaitGroup
	defer wg.Wait()
	var all connections
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return
		}
		if err != nil {
			s.trouble(ctx, "accept TCP", err)
			continue
		}
		k := all.admit(conn)
		if k == nil {
			conn.Close()
			continue
		}
		wg.Go(func() {
			defer all.leave(k)
			s.serveConn(ctx, k, all.answer)
		})
	}
}

// trouble is for errors that pass, such as too many open files: it waits a
// little, so that the loop does not spin.
func (s *server) trouble(ctx context.Context, doing string, err error) {
	s.log.Error(doing, "error", err)
	select {
	case <-ctx.Done():
	case <-time.After(100 * time.Millisecond):
	}
}

// serveConn answers the messages of one connection in their order.
func (s *server) serveConn(ctx context.Context, conn *connection, answering func(*connection, func() []byte) []byte) {
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	length := make([]byte, 2)
	for {
		conn.SetDeadline(time.Now().Add(idle))
		if ctx.Err() != nil { // asked after the deadline is set, so that neither wins over the other unseen
			return
		}
		if _, err := io.ReadFull(conn, length); err != nil {
			return
		}
		packet := make([]byte, binary.BigEndian.Uint16(length))
		if _, err := io.ReadFull(conn, packet); err != nil {
			return
		}
		answer := answering(conn, func() []byte { return s.respond(packet, false) })
		if answer == nil {
			return
		}
		framed := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(answer)), uint16(len(answer)))
		if _, err := conn.Write(append(framed, answer...)); err != nil {
			return
		}
	}
}
