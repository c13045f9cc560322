package authoritative

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/dnstest"
)

// These tests need name servers with an address each and one port, as they have
// in the wild; Linux alone gives loopback that many addresses.

func addresses(n int) (out []string) {
	for range n {
		out = append(out, dnstest.Address().String())
	}
	slices.SortFunc(out, func(a, b string) int { return netip.MustParseAddr(a).Compare(netip.MustParseAddr(b)) })
	return out
}

// within refuses names outside the zone, as a server does that knows no other.
func within(m *wire.Msg) bool {
	if !wire.IsSubDomain(zone, m.Question[0].Name) {
		m.Rcode, m.Answer = wire.RcodeRefused, nil
	}
	return true
}

// recursiveOnly is a resolver: its answers are nobody's own.
func recursiveOnly(m *wire.Msg) bool {
	m.Authoritative, m.RecursionAvailable = false, true
	return true
}

// A server of two addresses, one of them late, a server elsewhere whose address
// only the resolver knows, one without any, and one that the resolver must not
// be asked for, since its name is in the zone.
func TestWholeZone(t *testing.T) {
	set, lines := members(20)
	early, _ := members(3)
	at := addresses(4)
	apex := []string{
		"twindb.test. 60 IN NS ns1.twindb.test.", "twindb.test. 60 IN NS NS2.twindb.test.",
		"twindb.test. 60 IN NS ns.elsewhere.test.", "twindb.test. 60 IN NS ns8.twindb.test.", "twindb.test. 60 IN NS ns9.twindb.test.",
	}
	ill := func(m *wire.Msg) bool {
		if m.Question[0].Name == "ns9.twindb.test." {
			m.Rcode = wire.RcodeServerFailure
		}
		return within(m)
	}
	glue := []string{
		"ns1.twindb.test. 60 IN A " + at[0],
		"ns2.twindb.test. 60 IN A " + at[2], "NS2.twindb.test. 60 IN A " + at[1],
	}
	resolver := serve(t, "127.0.0.1", "0", recursiveOnly, append(apex, "ns.elsewhere.test. 60 IN A "+at[3])...)
	primary := serve(t, at[0], "0", ill, slices.Concat(apex, glue, lines)...)
	serve(t, at[1], primary.port, within, lines...)
	serve(t, at[2], primary.port, within, lines[:3]...)
	serve(t, at[3], primary.port, within)
	s := comparer(t, Config{Primary: at[0] + ":" + primary.port, Port: primary.port, Resolver: "127.0.0.1:" + resolver.port})

	v, err := s.Compare(t.Context(), []cluster.Key{set.Key}, cluster.Records{Sets: []cluster.RecordSet{set}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, server := range v.Servers {
		got = append(got, server.Name+" "+server.Address.String()+": "+strings.Join(server.Behind, "; ")+server.Unknown)
	}
	want := []string{
		"ns.elsewhere.test. " + at[3] + ": SRV " + set.Name + " shows nothing, want " + list(set.Values),
		"ns1.twindb.test. " + at[0] + ": ",
		"ns2.twindb.test. " + at[1] + ": ",
		"ns2.twindb.test. " + at[2] + ": SRV " + set.Name + " shows " + list(early.Values) + ", want " + list(set.Values),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{
		"name server ns8.twindb.test. has no address",
		"name server ns9.twindb.test. has no address: the primary was asked, and it answers SERVFAIL",
	}, v.Notes); diff != "" {
		t.Error(diff)
	}
	asked := resolver.questions()
	slices.Sort(asked)
	if diff := cmp.Diff([]string{"ns.elsewhere.test. A", "ns.elsewhere.test. AAAA", "twindb.test. NS"}, slices.Compact(asked)); diff != "" {
		t.Errorf("asked of the resolver: %s", diff)
	}
}

// Where updates go to a server that the zone does not name.
func TestHiddenPrimary(t *testing.T) {
	set, lines := members(3)
	at := addresses(2)
	apex := []string{"twindb.test. 60 IN NS ns.twindb.test.", "ns.twindb.test. 60 IN A " + at[1]}
	resolver := serve(t, "127.0.0.1", "0", recursiveOnly, apex...)
	primary := serve(t, at[0], "0", within, append(apex, lines...)...)
	serve(t, at[1], primary.port, within, lines...)
	s := comparer(t, Config{Primary: at[0] + ":" + primary.port, Port: primary.port, Resolver: "127.0.0.1:" + resolver.port})
	v, err := s.Compare(t.Context(), []cluster.Key{set.Key}, cluster.Records{Sets: []cluster.RecordSet{set}})
	if err != nil || len(v.Servers) != 1 || v.Servers[0].Address.String() != at[1] || len(v.Behind())+len(v.Unknown()) > 0 {
		t.Fatalf("%+v, %v", v, err)
	}
	if len(v.Notes) != 1 || !strings.HasPrefix(v.Notes[0], "updates go to "+at[0]+", which is not the address of a name server of the zone: ") {
		t.Errorf("notes %q", v.Notes)
	}
}

// A primary given by the name that the zone has for it is not hidden, even if
// that name leads this machine to another of its addresses.
func TestPrimaryByName(t *testing.T) {
	set, lines := members(3)
	at := addresses(2)
	apex := []string{"twindb.test. 60 IN NS ns.twindb.test.", "ns.twindb.test. 60 IN A " + at[1]}
	resolver := serve(t, "127.0.0.1", "0", recursiveOnly, apex[0], "ns.twindb.test. 60 IN A "+at[0])
	primary := serve(t, at[0], "0", within, append(apex, lines...)...)
	serve(t, at[1], primary.port, within, lines...)
	s := comparer(t, Config{Primary: "NS.twindb.test.:" + primary.port, Port: primary.port, Resolver: "127.0.0.1:" + resolver.port})
	v, err := s.Compare(t.Context(), []cluster.Key{set.Key}, cluster.Records{Sets: []cluster.RecordSet{set}})
	if err != nil || len(v.Servers) != 1 || len(v.Notes)+len(v.Behind())+len(v.Unknown()) > 0 {
		t.Fatalf("%+v, %v", v, err)
	}
}

// An address that only the resolver could know, and does not.
func TestNameServerNobodyKnows(t *testing.T) {
	set, lines := members(3)
	apex := []string{"twindb.test. 60 IN NS ns.twindb.test.", "twindb.test. 60 IN NS ns.elsewhere.test."}
	resolver := serve(t, "127.0.0.1", "0", recursiveOnly, apex...)
	primary := serve(t, "127.0.0.1", "0", within, slices.Concat(apex, []string{"ns.twindb.test. 60 IN A 127.0.0.1"}, lines)...)
	s := comparer(t, Config{Primary: "127.0.0.1:" + primary.port, Port: primary.port, Resolver: "127.0.0.1:" + resolver.port})
	v, err := s.Compare(t.Context(), []cluster.Key{set.Key}, cluster.Records{Sets: []cluster.RecordSet{set}})
	if err != nil || len(v.Servers) != 1 || len(v.Behind())+len(v.Unknown()) > 0 {
		t.Fatalf("%+v, %v", v, err)
	}
	if len(v.Notes) != 1 || !strings.HasPrefix(v.Notes[0], "name server ns.elsewhere.test. has no address: ") || !strings.Contains(v.Notes[0], "no such host") {
		t.Errorf("notes %q", v.Notes)
	}
}

// What the resolver of this machine sees of the zone.
func TestHorizon(t *testing.T) {
	set, lines := members(3)
	for name, c := range map[string]struct {
		sees  []string
		spoil func(*wire.Msg) bool
		want  string
	}{
		"the same": {sees: []string{"TWINDB.test. 60 IN NS NS.twindb.test."}, spoil: recursiveOnly},
		"others":   {sees: []string{"twindb.test. 60 IN NS ns.cloud.test.", "twindb.test. 60 IN NS ns.twindb.test."}, spoil: recursiveOnly, want: "names other name servers for zone twindb.test. (ns.cloud.test., ns.twindb.test.) than the primary does (ns.twindb.test.): "},
		"nothing":  {spoil: recursiveOnly, want: "the resolver of this machine finds no name servers of zone twindb.test.: "},
		"refuses":  {spoil: rcode(wire.RcodeRefused), want: "the resolver of this machine was asked for the name servers of zone twindb.test.: "},
	} {
		t.Run(name, func(t *testing.T) {
			resolver := serve(t, "127.0.0.1", "0", c.spoil, c.sees...)
			primary := serve(t, "127.0.0.1", "0", within, append(lines, "twindb.test. 60 IN NS ns.twindb.test.", "ns.twindb.test. 60 IN A 127.0.0.1")...)
			s := comparer(t, Config{Primary: "127.0.0.1:" + primary.port, Port: primary.port, Resolver: "127.0.0.1:" + resolver.port})
			v, err := s.Compare(t.Context(), []cluster.Key{set.Key}, cluster.Records{Sets: []cluster.RecordSet{set}})
			if err != nil || len(v.Servers) != 1 || len(v.Behind())+len(v.Unknown()) > 0 {
				t.Fatalf("%+v, %v", v, err)
			}
			if c.want == "" && len(v.Notes) > 0 || c.want != "" && (len(v.Notes) != 1 || !strings.Contains(v.Notes[0], c.want)) {
				t.Errorf("notes %q, want %q", v.Notes, c.want)
			}
		})
	}
}
