// Package rr turns record sets into DNS resource records and back. It stands
// between the contract, which speaks in canonical record sets, and the wire;
// client and server of RFC 2136 use the same conversion, so they cannot differ
// in what a record set is.
//
// [Pack] and [Unpack] are pure and inverse to each other for every canonical
// record set, and so are [Quote] and [Unquote] for every text; providers that
// take records as text use those alone.
package rr

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// Type is the number of a record type.
func Type(t cluster.RecordType) uint16 { return wire.StringToType[string(t)] }

// Pack makes the resource records of a record set, in class IN.
func Pack(set cluster.RecordSet) ([]wire.RR, error) {
	records := make([]wire.RR, len(set.Values))
	for i, value := range set.Values {
		header := wire.RR_Header{Name: set.Name, Rrtype: Type(set.Type), Class: wire.ClassINET, Ttl: set.TTL}
		record, err := pack(header, set.Type, value)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", set.Name, set.Type, err)
		}
		records[i] = record
	}
	return records, nil
}

func pack(header wire.RR_Header, kind cluster.RecordType, value string) (wire.RR, error) {
	switch kind {
	case cluster.A, cluster.AAAA:
		addr, err := netip.ParseAddr(value)
		if err != nil || addr.Is4() != (kind == cluster.A) {
			return nil, fmt.Errorf("value %q is not an address of this type", value)
		}
		if kind == cluster.A {
			return &wire.A{Hdr: header, A: net.IP(addr.AsSlice())}, nil
		}
		return &wire.AAAA{Hdr: header, AAAA: net.IP(addr.AsSlice())}, nil
	case cluster.SRV:
		return packSRV(header, value)
	case cluster.TXT:
		if len(value) > maxText {
			return nil, fmt.Errorf("a text of %d bytes, at most %d fit into a record", len(value), maxText)
		}
		return &wire.TXT{Hdr: header, Txt: split(value)}, nil
	}
	return nil, fmt.Errorf("pleiad has no records of this type")
}

func packSRV(header wire.RR_Header, value string) (wire.RR, error) {
	f := strings.Split(value, " ")
	if len(f) != 4 {
		return nil, fmt.Errorf("value %q: want priority, weight, port and target", value)
	}
	var n [3]uint16
	for i := range n {
		x, err := strconv.ParseUint(f[i], 10, 16)
		if err != nil {
			return nil, fmt.Errorf("value %q: want numbers from 0 to 65535 before the target", value)
		}
		n[i] = uint16(x)
	}
	if _, ok := wire.IsDomainName(f[3]); !ok || !wire.IsFqdn(f[3]) {
		return nil, fmt.Errorf("value %q: the target is not a complete domain name", value)
	}
	return &wire.SRV{Hdr: header, Priority: n[0], Weight: n[1], Port: n[2], Target: f[3]}, nil
}

// Unpack makes the canonical record set of resource records that all have the
// key's name and type; its TTL is the least of theirs (RFC 2181, section 5.2).
func Unpack(key cluster.Key, records []wire.RR) (cluster.RecordSet, error) {
	set := cluster.RecordSet{Key: key}
	for i, record := range records {
		h := record.Header()
		if wire.CanonicalName(h.Name) != key.Name || h.Rrtype != Type(key.Type) || h.Class != wire.ClassINET {
			return set, fmt.Errorf("%s %s: found %s", key.Name, key.Type, record)
		}
		value, err := unpack(record)
		if err != nil {
			return set, fmt.Errorf("%s %s: %w", key.Name, key.Type, err)
		}
		set.Values = append(set.Values, value)
		if i == 0 || h.Ttl < set.TTL {
			set.TTL = h.Ttl
		}
	}
	return set.Canonical(), nil
}

func unpack(record wire.RR) (string, error) {
	switch r := record.(type) {
	case *wire.A:
		if addr, ok := netip.AddrFromSlice(r.A.To4()); ok {
			return addr.String(), nil
		}
	case *wire.AAAA:
		// Not net.IP's form, which prints ::ffff:192.0.2.1 as an IPv4 address.
		if addr, ok := netip.AddrFromSlice(r.AAAA.To16()); ok {
			return addr.String(), nil
		}
	case *wire.SRV:
		if r.Target != "" {
			return fmt.Sprintf("%d %d %d %s", r.Priority, r.Weight, r.Port, r.Target), nil
		}
	case *wire.TXT:
		return join(r.Txt), nil
	}
	return "", fmt.Errorf("a record without its data")
}
