package rfc2136

import (
	"encoding/hex"
	"fmt"
	"net"
	"time"

	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/tsig"
)

// remedy adds lines to an error, what a person types or changes against it, the
// likeliest first. They speak of the key file and of settings,
// so there are none where the key came from elsewhere: then somebody else set
// this up, and knows better.
func (p *Provider) remedy(err error, lines ...string) error {
	if p.keyFile == "" {
		return err
	}
	return fault.WithRemedy(err, lines...)
}

// again is the remedy against all that the next observation settles (R12).
const again = "run the command again: it first looks at what was done"

// unknown is the error of an update that was sent and may have been made.
func (p *Provider) unknown(err error, remedies ...string) error {
	return p.remedy(fmt.Errorf("%w: %w", dns.ErrUnknownOutcome, err), append(remedies, again)...)
}

// refusal is the error of an answer that says no, nil for any other: nothing
// was done, and a person must act.
func (p *Provider) refusal(m *wire.Msg) error {
	why, remedies := "", []string(nil)
	switch m.Rcode {
	case wire.RcodeRefused, wire.RcodeNotAuth:
		why, remedies = p.explain(m)
	case wire.RcodeNotZone:
		why, remedies = "a name is not in the zone", []string{p.whichZone()}
	case wire.RcodeNotImplemented:
		why, remedies = "the server does not accept dynamic updates", []string{p.rightForKey(), p.whichServer()}
	case wire.RcodeFormatError:
		why, remedies = "the server does not understand the message", []string{p.whichServer()}
	default:
		return nil
	}
	return p.remedy(fmt.Errorf("%w (%s): %s", dns.ErrDenied, wire.RcodeToString[m.Rcode], why), remedies...)
}

// explain tells key, clock and permission apart, as far as the server does.
// Knot calls a key without the right to an update unknown; PowerDNS tells
// nothing but its own log.
func (p *Provider) explain(m *wire.Msg) (why string, remedies []string) {
	record := m.IsTsig()
	switch {
	case record == nil:
		return fmt.Sprintf("it does not say why: %s may be unknown there, have another secret or not be allowed to do this; "+
				"the clocks may differ by more than five minutes; or it does not serve the zone", p.key),
			[]string{p.readLog(), p.rightForKey(), p.sameSecret(), p.sameTime(), p.whichServer()}
	case tsig.Fault(record.Error) == tsig.BadKey:
		return fmt.Sprintf("%s: %s, or the key is not allowed to do this", p.key, tsig.BadKey),
			[]string{p.addKey(), p.rightForKey()}
	case tsig.Fault(record.Error) == tsig.BadTime:
		return fmt.Sprintf("%s: %s%s", p.key, tsig.BadTime, apart(record)), []string{p.sameTime()}
	case tsig.Fault(record.Error) == tsig.BadSignature:
		return fmt.Sprintf("%s: %s", p.key, tsig.BadSignature), []string{p.sameSecret()}
	case record.Error != 0:
		return fmt.Sprintf("%s: %s", p.key, tsig.Fault(record.Error)), []string{p.addKey()}
	case m.Opcode == wire.OpcodeQuery:
		return fmt.Sprintf("%s is known there but may not ask for this, or the server does not serve the zone", p.key),
			[]string{p.whichZone(), p.whichServer()}
	case m.Rcode == wire.RcodeNotAuth:
		return fmt.Sprintf("%s is known there but is not allowed to do this, or the server is not authoritative for the zone", p.key),
			[]string{p.rightForKey(), p.whichZone(), p.whichServer()}
	}
	return fmt.Sprintf("%s is known there but is not allowed to do this, or the zone is frozen", p.key), []string{p.rightForKey(), p.thaw()}
}

// unreachable is the error of a question that got no answer, or of an update
// that was not sent.
func (p *Provider) unreachable(err error) error {
	return p.remedy(fmt.Errorf("%w: %w", dns.ErrUnreachable, err), p.openPort())
}

// apart is how far the server's clock is from ours, if it says so: an answer
// to BADTIME carries its time in seconds, 6 bytes (RFC 8945, section 5.2.3).
// Nothing vouches for that time, so it serves to explain alone.
func apart(record *wire.TSIG) string {
	raw, err := hex.DecodeString(record.OtherData)
	if err != nil || len(raw) != 6 {
		return ""
	}
	var theirs int64
	for _, b := range raw {
		theirs = theirs<<8 | int64(b)
	}
	ahead := time.Duration(theirs-int64(record.TimeSigned)) * time.Second
	if ahead < 0 {
		return fmt.Sprintf(": the server's is %s slow", -ahead)
	}
	return fmt.Sprintf(": the server's is %s fast", ahead)
}

func (p *Provider) addKey() string {
	return fmt.Sprintf("give %s to the server, or put a key that it has into %s", p.key, p.keyFile)
}

func (p *Provider) sameSecret() string {
	return fmt.Sprintf("copy the server's secret of %s into %s", p.key, p.keyFile)
}

func (p *Provider) rightForKey() string {
	return fmt.Sprintf("let %s change A, AAAA, SRV and TXT below the cluster's domain: update-policy in BIND, "+
		"acl in Knot, dnsupdate=yes and TSIG-ALLOW-DNSUPDATE in PowerDNS", p.key)
}

// thaw is for a zone that somebody froze in BIND, to edit its file: it then refuses
// updates as it does without a right.
func (p *Provider) thaw() string {
	return "if somebody has frozen the zone in BIND, have it take updates again, on the server: rndc thaw " + p.zone
}

func (p *Provider) sameTime() string {
	return "compare the clocks of this machine and of the server, with: timedatectl"
}

func (p *Provider) whichZone() string {
	return fmt.Sprintf("put the zone that holds the domain into dns.rfc2136.zone; it is %s now", p.zone)
}

func (p *Provider) whichServer() string {
	return "put the zone's primary into dns.rfc2136.server; see what this one serves, with: " + p.dig()
}

func (p *Provider) readLog() string {
	return "see why, in the log of the name server at " + p.server
}

func (p *Provider) openPort() string {
	return fmt.Sprintf("allow TCP from here to %s; see whether it answers, with: %s", p.server, p.dig())
}

func (p *Provider) dig() string {
	host, port, _ := net.SplitHostPort(p.server) // New has joined it
	return fmt.Sprintf("dig +tcp +norecurse -p %s @%s %s SOA", port, host, p.zone)
}
