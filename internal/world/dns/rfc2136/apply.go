package rfc2136

import (
	"context"
	"fmt"

	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/rr"
)

func (p *Provider) apply(ctx context.Context, changes []cluster.Change) error {
	if err := dns.Check(changes); err != nil {
		return err
	}
	if len(changes) == 0 {
		return nil
	}
	m, err := Update(p.zone, changes)
	if err != nil {
		return err
	}
	packed, mac, err := p.key.Sign(m, "")
	if err != nil {
		return err
	}
	conn, err := p.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.close()
	// From here on the server may have the update, whatever goes wrong.
	if err := conn.send(packed); err != nil {
		return p.unknown(err)
	}
	raw, err := conn.receive()
	if err != nil {
		return p.unknown(err)
	}
	return p.outcome(raw, m.Id, mac)
}

// Update is the message that carries out a change set (RFC 2136, section 2):
//
//	Old values -> prerequisite: the RRset exists with exactly these values
//	Old nil    -> prerequisite: the RRset does not exist
//	New        -> delete each record of Old, add each record of New
//
// A server silently ignores records added to a name with a CNAME (section
// 3.4.2.2), so an added RRset also demands that there is none.
func Update(zone string, changes []cluster.Change) (*wire.Msg, error) {
	m := new(wire.Msg)
	m.SetUpdate(zone)
	aliasFree := map[string]bool{}
	for _, c := range changes {
		if !wire.IsSubDomain(zone, c.Name) {
			return nil, fmt.Errorf("%s %s is not in the zone", c.Name, c.Type)
		}
		if c.Old == nil {
			m.RRsetNotUsed([]wire.RR{empty(c.Name, rr.Type(c.Type))})
		}
		if c.Old == nil && c.New != nil && !aliasFree[c.Name] {
			aliasFree[c.Name] = true
			m.RRsetNotUsed([]wire.RR{empty(c.Name, wire.TypeCNAME)})
		}
		// Each section needs records of its own: miekg/dns sets their class.
		for _, part := range []struct {
			set  *cluster.RecordSet
			add  func([]wire.RR)
			when bool
		}{
			{c.Old, m.Used, true},
			{c.Old, m.Remove, !dns.Same(c.Old, c.New)},
			{c.New, m.Insert, !dns.Same(c.Old, c.New)},
		} {
			if part.set == nil || !part.when {
				continue
			}
			records, err := rr.Pack(*part.set)
			if err != nil {
				return nil, err
			}
			part.add(records)
		}
	}
	return m, nil
}

func empty(name string, kind uint16) wire.RR {
	return &wire.ANY{Hdr: wire.RR_Header{Name: name, Rrtype: kind}}
}

// outcome reads what became of an update from its answer. The response code
// comes first: miekg/dns calls a signed NOTAUTH a bad signature, and PowerDNS
// does not sign its refusals at all.
func (p *Provider) outcome(raw []byte, id uint16, mac string) error {
	m, signed, err := p.open(raw, id, wire.OpcodeUpdate, mac)
	if err != nil {
		return p.unknown(err)
	}
	if err := p.refusal(m); err != nil {
		return err
	}
	if !signed {
		return p.unknown(fmt.Errorf("the answer %s is not signed", wire.RcodeToString[m.Rcode]), p.whichServer())
	}
	switch m.Rcode {
	case wire.RcodeSuccess:
		return nil
	case wire.RcodeNXRrset, wire.RcodeYXRrset, wire.RcodeNameError, wire.RcodeYXDomain:
		return p.remedy(fmt.Errorf("%w (%s)", dns.ErrConflict, wire.RcodeToString[m.Rcode]), again)
	}
	// SERVFAIL among them: a server that cannot write its journal, or that
	// forwards updates and had no answer itself, does not say what was done.
	return p.unknown(fmt.Errorf("the server answered %s", wire.RcodeToString[m.Rcode]), p.readLog())
}
