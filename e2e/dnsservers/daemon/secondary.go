package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/tsig"
)

// The primaries here tell nobody of changes, and the zone is refreshed every
// hour: between the two a secondary lags for as long as a test likes.
const secondaryConf = `{{range keys .}}{{printf "%s" .Encode}}{{end}}
options {
  directory "{{.Dir}}"; pid-file "named.pid"; session-keyfile "session.key"; managed-keys-directory ".";
  listen-on port {{.Port}} { {{.Addr}}; }; listen-on-v6 { none; };
  recursion no; notify no; dnssec-validation no; empty-zones-enable no;
  allow-transfer { none; }; allow-notify { 127.0.0.0/8; };
};
controls { };
zone "{{.Zone}}" {
  type secondary; file "{{.Zone}}.zone";
  primaries { PRIMARY key {{name .Key}}; };
};
`

// Secondary is a BIND with a copy of a primary's zone, which stays as old as
// it is until [Secondary.CatchUp].
type Secondary struct {
	*Server
	Primary *Server
}

// StartSecondary starts a secondary of a primary of any make, in a folder and
// on an address of its own, and returns when it has copied the zone. The key
// is one that may transfer the zone.
func StartSecondary(ctx context.Context, primary *Server, dir string, addr netip.Addr, key tsig.Key) (*Secondary, error) {
	c := Config{Place: Place{Dir: dir, Addr: addr, Port: primary.Port, Zone: primary.Zone}, Key: key}
	from := fmt.Sprintf("%s port %d", primary.Addr, primary.Port)
	if err := write(c, map[string]string{"named.conf": strings.Replace(secondaryConf, "PRIMARY", from, 1)}); err != nil {
		return nil, fmt.Errorf("set up a secondary in %s: %w", dir, err)
	}
	s, err := Run(ctx, BIND, c.Place)
	if err != nil {
		return nil, err
	}
	return &Secondary{Server: s, Primary: primary}, nil
}

// CatchUp tells the secondary that its zone has changed (RFC 1996), as its
// primary would, and returns when it has the primary's serial.
func (s *Secondary) CatchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	want, err := s.Primary.Serial(ctx)
	if err != nil {
		return fmt.Errorf("catch up with %s: %w", s.Primary.Address(), err)
	}
	m := new(wire.Msg).SetNotify(wire.Fqdn(s.Zone))
	answer, _, err := (&wire.Client{Net: "tcp"}).ExchangeContext(ctx, m, s.Address())
	if err != nil {
		return fmt.Errorf("notify %s: %w", s.Address(), err)
	}
	if answer.Rcode != wire.RcodeSuccess {
		return fmt.Errorf("notify %s: %s", s.Address(), wire.RcodeToString[answer.Rcode])
	}
	for {
		have, err := s.Serial(ctx)
		// Serials go round (RFC 1982).
		if err == nil && int32(have-want) >= 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("catch up with %s: serial is %d, want %d: %w\n%s", s.Primary.Address(), have, want, context.Cause(ctx), s.Log())
		case <-time.After(5 * time.Millisecond):
		}
	}
}
