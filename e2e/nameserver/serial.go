package nameserver

import (
	"context"
	"fmt"
	"net"
	"time"

	wire "github.com/miekg/dns"
)

// Serial is the SOA serial of the server's copy of its zone, asked without a
// key. An answer that is not the zone's authority is an error.
func (s *Server) Serial(ctx context.Context) (uint32, error) {
	answer, err := s.ask(ctx, new(wire.Msg).SetQuestion(s.config.Zone, wire.TypeSOA))
	if err != nil {
		return 0, err
	}
	if answer.Authoritative && len(answer.Answer) == 1 {
		if soa, ok := answer.Answer[0].(*wire.SOA); ok {
			return soa.Serial, nil
		}
	}
	return 0, fmt.Errorf("%s does not serve %s", s.Addr(), s.config.Zone)
}

// until waits for a serial. Whatever goes wrong before is what a server does
// that still reads its files.
func (s *Server) until(ctx context.Context, good func(serial uint32) bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		serial, err := s.Serial(ctx)
		if err == nil && good(serial) {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("serial of %s is %d", s.config.Zone, serial)
		}
		select {
		case <-s.running.ended:
			return fmt.Errorf("it ended: %s", s.running.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// ask sends one message over TCP; an answer without success is an error.
func (s *Server) ask(ctx context.Context, m *wire.Msg) (*wire.Msg, error) {
	dial := s.config.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, "tcp", s.Addr().String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	answer, _, err := new(wire.Client).ExchangeWithConnContext(ctx, m, &wire.Conn{Conn: conn})
	if err == nil && answer.Rcode != wire.RcodeSuccess {
		err = fmt.Errorf("ask %s: %s", s.Addr(), wire.RcodeToString[answer.Rcode])
	}
	return answer, err
}
