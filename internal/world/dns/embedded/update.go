package embedded

import (
	"slices"

	wire "github.com/miekg/dns"
)

// update carries out an update message, whose signature was verified, on a
// copy of the zone (RFC 2136, section 3). It returns the changed zone, or the
// same zone if nothing changes, and a response code: with any other than
// NOERROR nothing has changed.
func (z *zone) update(m *wire.Msg) (*zone, int) {
	if len(m.Question) != 1 || m.Question[0].Qtype != wire.TypeSOA {
		return z, wire.RcodeFormatError
	}
	if q := m.Question[0]; q.Qclass != wire.ClassINET || wire.CanonicalName(q.Name) != z.apex {
		return z, wire.RcodeNotAuth
	}
	if code := z.prerequisites(m.Answer); code != wire.RcodeSuccess {
		return z, code
	}
	for _, record := range m.Ns {
		if code := z.scan(record); code != wire.RcodeSuccess {
			return z, code
		}
	}
	next, changed := z.clone(), false
	for _, record := range m.Ns {
		if next.change(record) {
			changed = true
		}
	}
	if !changed {
		return z, wire.RcodeSuccess
	}
	next.bump()
	next.index()
	return next, wire.RcodeSuccess
}

// prerequisites checks the prerequisite section (section 3.2).
func (z *zone) prerequisites(records []wire.RR) int {
	type key struct {
		name string
		kind uint16
	}
	exact := map[key][]wire.RR{} // the sets that must exist with these values
	for _, record := range records {
		h := record.Header()
		name := wire.CanonicalName(h.Name)
		set := z.sets[name][h.Rrtype]
		switch {
		case h.Ttl != 0:
			return wire.RcodeFormatError
		case !wire.IsSubDomain(z.apex, name):
			return wire.RcodeNotZone
		case h.Class == wire.ClassINET && h.Rdlength > 0:
			exact[key{name, h.Rrtype}] = append(exact[key{name, h.Rrtype}], record)
		case h.Rdlength > 0:
			return wire.RcodeFormatError
		case h.Class == wire.ClassANY && h.Rrtype == wire.TypeANY:
			if len(z.sets[name]) == 0 {
				return wire.RcodeNameError
			}
		case h.Class == wire.ClassANY:
			if len(set) == 0 {
				return wire.RcodeNXRrset
			}
		case h.Class == wire.ClassNONE && h.Rrtype == wire.TypeANY:
			if len(z.sets[name]) > 0 {
				return wire.RcodeYXDomain
			}
		case h.Class == wire.ClassNONE:
			if len(set) > 0 {
				return wire.RcodeYXRrset
			}
		default:
			return wire.RcodeFormatError
		}
	}
	for k, want := range exact {
		if !equalSets(z.sets[k.name][k.kind], want) {
			return wire.RcodeNXRrset
		}
	}
	return wire.RcodeSuccess
}

// equalSets compares record sets, TTLs and order aside. A record that is given
// twice counts once.
func equalSets(a, b []wire.RR) bool {
	within := func(a, b []wire.RR) bool {
		for _, record := range a {
			if !slices.ContainsFunc(b, func(o wire.RR) bool { return wire.IsDuplicate(record, o) }) {
				return false
			}
		}
		return true
	}
	return within(a, b) && within(b, a)
}

// scan checks one record of the update section before any is carried out
// (section 3.4.1), form first, then what this server allows.
func (z *zone) scan(record wire.RR) int {
	h := record.Header()
	meta := h.Rrtype == wire.TypeNone || h.Rrtype == wire.TypeOPT || 128 <= h.Rrtype && h.Rrtype <= 255
	switch {
	case !wire.IsSubDomain(z.apex, h.Name):
		return wire.RcodeNotZone
	case h.Class == wire.ClassINET:
		if meta || h.Rdlength == 0 {
			return wire.RcodeFormatError
		}
	case h.Class == wire.ClassANY:
		if h.Ttl != 0 || h.Rdlength > 0 || meta && h.Rrtype != wire.TypeANY {
			return wire.RcodeFormatError
		}
	case h.Class == wire.ClassNONE:
		if h.Ttl != 0 || h.Rdlength == 0 || meta {
			return wire.RcodeFormatError
		}
	default:
		return wire.RcodeFormatError
	}
	if code := z.permit(h); code != wire.RcodeSuccess || h.Rdlength == 0 {
		return code
	}
	if _, err := normal(record); err != nil {
		return wire.RcodeFormatError
	}
	return wire.RcodeSuccess
}

// permit refuses changes that are not for updates: other types than the four
// of a cluster, the server's own address, and wildcards, which would have to
// be expanded in answers.
func (z *zone) permit(h *wire.RR_Header) int {
	name := wire.CanonicalName(h.Name)
	wildcard := len(name) > 1 && name[0] == '*' && name[1] == '.'
	if name == nameServer(z.apex) || wildcard || !changeable(h.Rrtype) && h.Rrtype != wire.TypeANY {
		return wire.RcodeRefused
	}
	return wire.RcodeSuccess
}

// change carries out one record of the update section (section 3.4.2) and says
// whether it changed anything.
func (z *zone) change(record wire.RR) bool {
	h := record.Header()
	name := wire.CanonicalName(h.Name)
	set := z.sets[name][h.Rrtype]
	switch {
	case h.Class == wire.ClassANY && h.Rrtype == wire.TypeANY:
		changed := false
		for kind := range z.sets[name] {
			if changeable(kind) {
				z.set(name, kind, nil)
				changed = true
			}
		}
		return changed
	case h.Class == wire.ClassANY:
		z.set(name, h.Rrtype, nil)
		return len(set) > 0
	}
	record, err := normal(record)
	if err != nil {
		return false // cannot be: scan has tried it
	}
	ttl := record.Header().Ttl
	record.Header().Class = wire.ClassINET
	rest := slices.DeleteFunc(slices.Clone(set), func(o wire.RR) bool { return wire.IsDuplicate(o, record) })
	if h.Class == wire.ClassNONE {
		z.set(name, h.Rrtype, rest)
		return len(rest) < len(set)
	}
	// All records of a set have one TTL, the newest (RFC 2181, section 5.2).
	if len(rest) < len(set) && set[0].Header().Ttl == ttl {
		return false
	}
	for i, o := range rest {
		rest[i] = wire.Copy(o)
		rest[i].Header().Ttl = ttl
	}
	z.set(name, h.Rrtype, append(rest, record))
	return true
}

// set replaces a record set; none if records is empty.
func (z *zone) set(name string, kind uint16, records []wire.RR) {
	if len(records) == 0 {
		delete(z.sets[name], kind)
		if len(z.sets[name]) == 0 {
			delete(z.sets, name)
		}
		return
	}
	if z.sets[name] == nil {
		z.sets[name] = map[uint16][]wire.RR{}
	}
	z.sets[name][kind] = records
}

// bump moves the serial on; 0 is skipped (RFC 2136, section 7.11).
func (z *zone) bump() {
	soa := wire.Copy(z.soa()).(*wire.SOA)
	soa.Serial++
	if soa.Serial == 0 {
		soa.Serial = 1
	}
	z.sets[z.apex][wire.TypeSOA] = []wire.RR{soa}
}
