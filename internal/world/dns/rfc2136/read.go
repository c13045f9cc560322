package rfc2136

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/rr"
)

// attempts is how often our records may change under a reading, and window
// how many questions are on their way at once: few enough that neither side
// ever waits for the other to read.
const (
	attempts = 20
	window   = 32
)

// read asks for all keys over one connection. The zone's serial is asked
// before and after them: if it stood still, the answers are the records of one
// moment. If it moved, two readings that agree are as good: others may write
// to the zone all the time.
func (p *Provider) read(ctx context.Context, keys []cluster.Key) (cluster.Records, error) {
	if err := dns.CheckKeys(keys); err != nil {
		return cluster.Records{}, err
	}
	for _, k := range keys {
		if !wire.IsSubDomain(p.zone, k.Name) {
			return cluster.Records{}, fmt.Errorf("%s %s is not in the zone", k.Name, k.Type)
		}
	}
	if len(keys) == 0 {
		return cluster.Records{}, nil
	}
	conn, err := p.dial(ctx)
	if err != nil {
		return cluster.Records{}, err
	}
	defer conn.close()
	var last cluster.Records
	for i := range attempts {
		records, still, err := p.snapshot(conn, keys)
		if err != nil {
			return cluster.Records{}, err
		}
		if still || i > 0 && slices.EqualFunc(records.Sets, last.Sets, cluster.RecordSet.Equal) {
			return records, nil
		}
		last = records
	}
	return cluster.Records{}, p.remedy(fmt.Errorf("the records changed during each of %d reads", attempts), "run the command again when fewer write to them")
}

// snapshot is one reading, and whether the zone stood still meanwhile. One
// record set alone is always of one moment.
func (p *Provider) snapshot(conn *connection, keys []cluster.Key) (records cluster.Records, still bool, err error) {
	serial := wire.Question{Name: p.zone, Qtype: wire.TypeSOA, Qclass: wire.ClassINET}
	questions := []wire.Question{serial}
	for _, k := range keys {
		questions = append(questions, wire.Question{Name: k.Name, Qtype: rr.Type(k.Type), Qclass: wire.ClassINET})
	}
	questions = append(questions, serial)
	var answers [][]wire.RR
	for part := range slices.Chunk(questions, window) {
		got, err := p.ask(conn, part)
		if err != nil {
			return records, false, err
		}
		answers = append(answers, got...)
	}
	before, err := p.serialOf(answers[0])
	if err != nil {
		return records, false, err
	}
	after, err := p.serialOf(answers[len(answers)-1])
	if err != nil {
		return records, false, err
	}
	records, err = collect(keys, answers[1:])
	return records, before == after || len(keys) == 1, err
}

func (p *Provider) serialOf(answer []wire.RR) (uint32, error) {
	if len(answer) == 1 {
		if soa, ok := answer[0].(*wire.SOA); ok {
			return soa.Serial, nil
		}
	}
	return 0, p.remedy(errors.New("it has no SOA record: the server does not serve this zone, or the zone is another one"), p.whichZone(), p.whichServer())
}

func collect(keys []cluster.Key, answers [][]wire.RR) (records cluster.Records, err error) {
	for i, k := range keys {
		if len(answers[i]) == 0 {
			continue
		}
		set, err := rr.Unpack(k, answers[i])
		if err != nil {
			return cluster.Records{}, err
		}
		records.Sets = append(records.Sets, set)
	}
	slices.SortFunc(records.Sets, func(a, b cluster.RecordSet) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(string(a.Type), string(b.Type)))
	})
	records.Sets = slices.CompactFunc(records.Sets, cluster.RecordSet.Equal) // a key may be given twice
	return records, nil
}

// ask sends questions and reads their answers, in whichever order the server
// gives them (RFC 7766, section 6.2.1.1).
func (p *Provider) ask(conn *connection, questions []wire.Question) ([][]wire.RR, error) {
	first, macs, asked := wire.Id(), make([]string, len(questions)), make([][]byte, len(questions))
	for i, q := range questions {
		m := &wire.Msg{Question: []wire.Question{q}}
		m.Id = first + uint16(i)
		packed, mac, err := p.key.Sign(m, "")
		if err != nil {
			return nil, err
		}
		macs[i], asked[i] = mac, packed
	}
	if err := conn.send(asked...); err != nil {
		return nil, p.unreachable(err)
	}
	answers, seen := make([][]wire.RR, len(questions)), make([]bool, len(questions))
	for range questions {
		raw, err := conn.receive()
		if err != nil {
			return nil, p.unreachable(err)
		}
		i := int(idOf(raw) - first)
		if i >= len(questions) || seen[i] {
			return nil, errors.New("an answer to a question that was not asked")
		}
		seen[i] = true
		if answers[i], err = p.answer(raw, questions[i], first+uint16(i), macs[i]); err != nil {
			return nil, fmt.Errorf("%s %s: %w", questions[i].Name, wire.TypeToString[questions[i].Qtype], err)
		}
	}
	return answers, nil
}

// answer is the record set that answers a question, empty if there is none.
// Whatever else a server may say is an error: not knowing is not absence.
func (p *Provider) answer(raw []byte, q wire.Question, id uint16, mac string) ([]wire.RR, error) {
	m, signed, err := p.open(raw, id, wire.OpcodeQuery, mac)
	if err != nil {
		return nil, err
	}
	if err := p.refusal(m); err != nil {
		return nil, err
	}
	switch {
	case !signed:
		return nil, p.remedy(errors.New("the answer is not signed"), p.whichServer())
	case m.Rcode != wire.RcodeSuccess && m.Rcode != wire.RcodeNameError:
		return nil, p.remedy(fmt.Errorf("the server answered %s", wire.RcodeToString[m.Rcode]), p.readLog())
	case !m.Authoritative:
		return nil, p.remedy(errors.New("the server is not authoritative for this name: it is delegated to others, or the server is not the primary"), p.whichServer(), p.whichZone())
	case m.Truncated:
		return nil, errors.New("the answer is cut off")
	case len(m.Question) != 1 || !strings.EqualFold(m.Question[0].Name, q.Name) || m.Question[0].Qtype != q.Qtype || m.Question[0].Qclass != q.Qclass:
		return nil, errors.New("the answer is to another question")
	}
	for _, record := range m.Answer {
		if h := record.Header(); h.Rrtype != q.Qtype || !strings.EqualFold(h.Name, q.Name) {
			return nil, p.remedy(fmt.Errorf("the name belongs to somebody else: it has the record %q", record), "remove that record, or give the cluster another domain")
		}
	}
	if m.Rcode == wire.RcodeNameError && len(m.Answer) > 0 {
		return nil, errors.New("the server denies a name and gives its records")
	}
	return m.Answer, nil
}
