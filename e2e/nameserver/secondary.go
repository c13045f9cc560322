package nameserver

import (
	"context"
	"fmt"
	"net/netip"

	wire "github.com/miekg/dns"
)

// Secondary is a BIND with a copy of a primary's zone. Primaries here tell
// nobody of changes, and the zone is refreshed every hour: between the two the
// copy stays as old as it is until [Secondary.CatchUp].
type Secondary struct {
	*Server
	primary *Server
}

// NewSecondary writes the files of a secondary of a primary of any kind, which
// must answer when the secondary starts. It has the primary's keys, of which
// none may change anything.
func NewSecondary(primary *Server, dir string, at netip.AddrPort) (*Secondary, error) {
	c := primary.config
	c.Kind, c.Dir, c.At = BIND, dir, at
	s := &Secondary{Server: &Server{config: c, keys: primary.keys}, primary: primary}
	if err := s.write(&primary.config.At, "key", BIND.file()); err != nil {
		return nil, fmt.Errorf("make secondary of %s: %w", primary.Addr(), err)
	}
	return s, nil
}

// CatchUp tells the secondary that its zone has changed (RFC 1996), as its
// primary would, and returns when it has the primary's serial.
func (s *Secondary) CatchUp(ctx context.Context) error {
	want, err := s.primary.Serial(ctx)
	if err == nil {
		_, err = s.ask(ctx, new(wire.Msg).SetNotify(s.config.Zone))
	}
	if err == nil {
		// Serials go round (RFC 1982).
		err = s.until(ctx, func(have uint32) bool { return int32(have-want) >= 0 })
	}
	if err != nil {
		return fmt.Errorf("catch up with %s, serial %d: %w\n%s", s.primary.Addr(), want, err, s.Log())
	}
	return nil
}
