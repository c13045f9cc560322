package rfc2136_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/rfc2136"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/tsig"
)

// What BIND, Knot and PowerDNS say to a key at fault stands in e2e/dnsservers;
// here is the rest.
func TestRemedies(t *testing.T) {
	key := generate(t)
	const (
		again  = "run the command again: it first looks at what was done"
		zoneIs = "put the zone that holds the domain into dns.rfc2136.zone; it is twindb.test. now"
		dig    = "dig +tcp +norecurse -p PORT @127.0.0.1 twindb.test. SOA"
		server = "put the zone's primary into dns.rfc2136.server; see what this one serves, with: " + dig
		right  = "let TSIG key etcd (hmac-sha256) change A, AAAA, SRV and TXT below the cluster's domain: update-policy in BIND, acl in Knot, dnsupdate=yes and TSIG-ALLOW-DNSUPDATE in PowerDNS"
		log    = "see why, in the log of the name server at 127.0.0.1:PORT"
		tcp    = "allow TCP from here to 127.0.0.1:PORT; see whether it answers, with: " + dig
	)
	alias := func(asked, m *wire.Msg) {
		if q := asked.Question[0]; q.Qtype == wire.TypeTXT {
			m.Answer = []wire.RR{&wire.CNAME{Hdr: wire.RR_Header{Name: q.Name, Rrtype: wire.TypeCNAME, Class: wire.ClassINET}, Target: "www."}}
		}
	}
	for name, test := range map[string]struct {
		server odd
		update []string // what Apply's error says, nil for no error
		read   []string
	}{
		"all well":      {odd{}, nil, nil},
		"conflict":      {odd{bend: updates(wire.RcodeNXRrset)}, []string{again}, nil},
		"not in zone":   {odd{bend: updates(wire.RcodeNotZone)}, []string{zoneIs}, nil},
		"no updates":    {odd{bend: updates(wire.RcodeNotImplemented)}, []string{right, server}, nil},
		"no sense":      {odd{bend: rcode(wire.RcodeFormatError)}, []string{server}, []string{server}},
		"broken":        {odd{bend: rcode(wire.RcodeServerFailure)}, []string{log, again}, []string{log}},
		"unsigned":      {odd{sign: unsigned}, []string{server, again}, []string{server}},
		"hangs up":      {odd{sign: func(*wire.Msg, *wire.TSIG) ([]byte, error) { return nil, errors.New("") }}, []string{again}, []string{tcp}},
		"a cache":       {odd{bend: func(_, m *wire.Msg) { m.Authoritative = false }}, nil, []string{server, zoneIs}},
		"another zone":  {odd{bend: func(_, m *wire.Msg) { m.Answer = nil }}, nil, []string{zoneIs, server}},
		"somebody else": {odd{bend: alias}, nil, []string{"remove that record, or give the cluster another domain"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.server.key = key
			address := test.server.start(t)
			p := opened(t, address, key)
			set := cluster.NewRecordSet("_pleiad."+zone+".", cluster.TXT, "v=1")
			_, err := p.Apply(t.Context(), []cluster.Change{{Key: set.Key, New: &set}})
			says(t, err, address, test.update)
			_, err = p.Read(t.Context(), []cluster.Key{set.Key})
			says(t, err, address, test.read)

			_, err = client(t, address, key).Apply(t.Context(), []cluster.Change{{Key: set.Key, New: &set}})
			if errors.As(err, new(interface{ Remedy() []string })) {
				t.Errorf("remedies without a key file: %v", err)
			}
		})
	}
}

func updates(code int) func(asked, m *wire.Msg) {
	return func(asked, m *wire.Msg) {
		if asked.Opcode == wire.OpcodeUpdate {
			m.Rcode = code
		}
	}
}

func opened(t *testing.T, server string, key tsig.Key) *rfc2136.Provider {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tsig.key")
	if err := os.WriteFile(file, key.Encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := rfc2136.Open(rfc2136.Config{Server: server, Zone: zone, Key: key}, file)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func says(t *testing.T, err error, address string, want []string) {
	t.Helper()
	if (err == nil) != (want == nil) {
		t.Errorf("%v, want remedies %q", err, want)
		return
	}
	var known interface{ Remedy() []string }
	var got []string
	if errors.As(err, &known) {
		got = known.Remedy()
	}
	port := strings.TrimPrefix(address, "127.0.0.1:")
	for i, line := range got {
		got[i] = strings.ReplaceAll(line, port, "PORT")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
