package embedded

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/rr"
)

// zone is the content of the zone at one serial. It is never changed once it
// can be seen; an update makes a new one.
type zone struct {
	apex string                          // lower case, with trailing dot
	sets map[string]map[uint16][]wire.RR // by owner, lower case, and type; no empty maps or lists
	// names are all names that exist: owners, and the empty non-terminals
	// above them (RFC 8020).
	names map[string]bool
}

// negativeTTL is how long a resolver may remember that something does not
// exist, in seconds (RFC 2308): as short as it can be, for whoever asked too
// early.
const negativeTTL = 1

// nameServer is the owner of the server's own address, which is not for
// updates.
func nameServer(apex string) string { return "ns." + apex }

// freshZone is a zone without records of anybody.
func freshZone(apex string, ip netip.Addr) (*zone, error) {
	header := func(name string, kind uint16) wire.RR_Header {
		return wire.RR_Header{Name: name, Rrtype: kind, Class: wire.ClassINET, Ttl: cluster.TTL}
	}
	kind := cluster.A
	if ip.Is6() {
		kind = cluster.AAAA
	}
	address, err := rr.Pack(cluster.NewRecordSet(nameServer(apex), kind, ip.String()))
	if err != nil {
		return nil, err
	}
	return newZone(apex, append(address,
		&wire.SOA{Hdr: header(apex, wire.TypeSOA), Ns: nameServer(apex), Mbox: "hostmaster." + apex,
			Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: negativeTTL},
		&wire.NS{Hdr: header(apex, wire.TypeNS), Ns: nameServer(apex)}))
}

// newZone makes a zone of records, or says which of them cannot be in it.
func newZone(apex string, records []wire.RR) (*zone, error) {
	z := &zone{apex: apex, sets: map[string]map[uint16][]wire.RR{}}
	for _, record := range records {
		record, err := normal(record)
		if err != nil {
			return nil, err
		}
		h := record.Header()
		top := h.Rrtype == wire.TypeSOA || h.Rrtype == wire.TypeNS
		if h.Class != wire.ClassINET || !wire.IsSubDomain(apex, h.Name) || top && h.Name != apex || !top && !changeable(h.Rrtype) {
			return nil, fmt.Errorf("record %q cannot be in zone %s", record, apex)
		}
		if slices.ContainsFunc(z.sets[h.Name][h.Rrtype], func(o wire.RR) bool { return wire.IsDuplicate(o, record) }) {
			return nil, fmt.Errorf("record %q is there twice", record)
		}
		z.add(record)
	}
	if top := z.sets[apex]; len(top[wire.TypeSOA]) != 1 || len(top[wire.TypeNS]) == 0 {
		return nil, fmt.Errorf("zone %s wants one SOA record and an NS record", apex)
	}
	z.index()
	return z, nil
}

// changeable says whether records of a type may be changed by updates.
func changeable(kind uint16) bool {
	return kind == wire.TypeA || kind == wire.TypeAAAA || kind == wire.TypeSRV || kind == wire.TypeTXT
}

// normal is a copy of a record as it comes from the wire, its owner in lower
// case, so that records compare equal whether they were read from a message or
// from a file. A record that would not come back from a file as it is gives an
// error: miekg/dns lets some pass whose data ends too early.
func normal(record wire.RR) (wire.RR, error) {
	packed, err := packRecord(record)
	if err != nil {
		return nil, err
	}
	out, _, err := wire.UnpackRR(packed, 0)
	if err != nil {
		return nil, fmt.Errorf("record %q: %w", record, err)
	}
	out.Header().Name = wire.CanonicalName(out.Header().Name)
	text := wire.Copy(out)
	text.Header().Class = wire.ClassINET // the class of an update is no part of the record
	back, err := parse(text.String())
	if err != nil || out.Header().Rdlength == 0 || !wire.IsDuplicate(text, back) {
		return nil, fmt.Errorf("record %q is not complete, or has no form as text", record)
	}
	return out, nil
}

func packRecord(record wire.RR) ([]byte, error) {
	packed := make([]byte, wire.Len(record)+1)
	n, err := wire.PackRR(record, packed, 0, nil, false)
	if err != nil {
		return nil, fmt.Errorf("record %q: %w", record, err)
	}
	return packed[:n], nil
}

func (z *zone) add(record wire.RR) {
	h := record.Header()
	if z.sets[h.Name] == nil {
		z.sets[h.Name] = map[uint16][]wire.RR{}
	}
	z.sets[h.Name][h.Rrtype] = append(z.sets[h.Name][h.Rrtype], record)
}

// index sets names.
func (z *zone) index() {
	z.names = map[string]bool{z.apex: true}
	for name := range z.sets {
		for !z.names[name] {
			z.names[name] = true
			next, _ := wire.NextLabel(name, 0)
			name = name[next:]
		}
	}
}

// clone is a copy whose maps and lists may be changed; the records may not.
func (z *zone) clone() *zone {
	sets := make(map[string]map[uint16][]wire.RR, len(z.sets))
	for name, kinds := range z.sets {
		sets[name] = make(map[uint16][]wire.RR, len(kinds))
		for kind, records := range kinds {
			sets[name][kind] = slices.Clone(records)
		}
	}
	return &zone{apex: z.apex, sets: sets, names: z.names}
}

func (z *zone) soa() *wire.SOA { return z.sets[z.apex][wire.TypeSOA][0].(*wire.SOA) }

func (z *zone) serial() uint32 { return z.soa().Serial }

// records are all records: the SOA record, then the others by owner and type,
// each set in the order it was written.
func (z *zone) records() []wire.RR {
	out := []wire.RR{z.soa()}
	for _, name := range slices.SortedFunc(maps.Keys(z.sets), hierarchically) {
		for _, kind := range slices.Sorted(maps.Keys(z.sets[name])) {
			if kind != wire.TypeSOA {
				out = append(out, z.sets[name][kind]...)
			}
		}
	}
	return out
}

// hierarchically sorts names below each other, the apex first.
func hierarchically(a, b string) int {
	return cmp.Or(cmp.Compare(strings.Count(a, "."), strings.Count(b, ".")), strings.Compare(a, b))
}
