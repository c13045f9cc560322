package embedded

import (
	"slices"

	wire "github.com/miekg/dns"
)

// query answers a question from the zone: it fills the reply's response code,
// flags and sections.
func (z *zone) query(m, reply *wire.Msg) {
	if len(m.Question) != 1 {
		reply.Rcode = wire.RcodeFormatError
		return
	}
	q := m.Question[0]
	name := wire.CanonicalName(q.Name)
	switch {
	case q.Qtype == wire.TypeNone || q.Qtype == wire.TypeOPT || q.Qtype == wire.TypeTSIG:
		reply.Rcode = wire.RcodeFormatError
		return
	case q.Qclass != wire.ClassINET, !wire.IsSubDomain(z.apex, name), 128 <= q.Qtype && q.Qtype < wire.TypeANY:
		// Other classes, other zones, transfers and other meta types.
		reply.Rcode = wire.RcodeRefused
		return
	case len(m.Answer)+len(m.Ns) > 0:
		reply.Rcode = wire.RcodeFormatError
		return
	}
	reply.Authoritative = true
	reply.Answer = z.answer(name, q)
	if len(reply.Answer) == 0 {
		reply.Ns = []wire.RR{z.denial()}
	}
	if !z.names[name] {
		reply.Rcode = wire.RcodeNameError
	}
}

// answer is the record set asked for, its owner spelled as in the question, so
// that a resolver that plays with upper and lower case recognizes it.
func (z *zone) answer(name string, q wire.Question) []wire.RR {
	if q.Qtype == wire.TypeANY && z.names[name] {
		return []wire.RR{minimalAny(q.Name)}
	}
	answer := slices.Clone(z.sets[name][q.Qtype])
	for i, record := range answer {
		answer[i] = wire.Copy(record)
		answer[i].Header().Name = q.Name
	}
	return answer
}

// minimalAny answers a question for ANY (RFC 8482, section 4.2).
func minimalAny(name string) wire.RR {
	return &wire.HINFO{Hdr: wire.RR_Header{Name: name, Rrtype: wire.TypeHINFO, Class: wire.ClassINET, Ttl: negativeTTL}, Cpu: "RFC8482"}
}

// denial is the SOA record that says how long "there is none" may be
// remembered (RFC 2308, section 3).
func (z *zone) denial() wire.RR {
	soa := wire.Copy(z.soa())
	soa.Header().Ttl = min(soa.Header().Ttl, z.soa().Minttl)
	return soa
}
