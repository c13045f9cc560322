package dnsservers

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/e2e/nameserver"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/dnstest"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/rfc2136"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/tsig"
)

// How each remedy begins; a person reads them as hints.
const (
	log    = "see why, in the log of the name server at "
	give   = "give TSIG key "
	secret = "copy the server's secret of TSIG key "
	right  = "let TSIG key "
	clock  = "compare the clocks "
	zone   = "put the zone that holds the domain into dns.rfc2136.zone"
	server = "put the zone's primary into dns.rfc2136.server"
	thaw   = "if somebody has frozen the zone in BIND"
)

// refusal is what a client is told: a part of the error, and its remedies.
type refusal struct {
	text     string
	remedies []string
}

// What a server says for each fault, and what it makes pleiad say. PowerDNS
// says the same for all that may be wrong with a key.
func refusals() map[nameserver.Kind]map[string]refusal {
	all := refusal{"(REFUSED): it does not say why: ", []string{log, right, secret, clock, server}}
	notOurs := refusal{"(NOTAUTH): TSIG key pleiad (hmac-sha256) is known there but is not allowed to do this, or the server is not authoritative", []string{right, zone, server}}
	badSecret := refusal{"(NOTAUTH): TSIG key pleiad (hmac-sha256): the key's secret differs from the server's", []string{secret}}
	badKey := func(name string) refusal {
		return refusal{"(NOTAUTH): TSIG key " + name + " (hmac-sha256): the server does not know a key of this name and algorithm (BADKEY), or the key is not allowed", []string{give, right}}
	}
	noRight := func(name string) refusal {
		return refusal{"(REFUSED): TSIG key " + name + " (hmac-sha256) is known there but is not allowed to do this, or the zone is frozen", []string{right, thaw}}
	}
	late := refusal{"(BADTIME): the server's is ", []string{clock}}
	return map[nameserver.Kind]map[string]refusal{
		nameserver.BIND: {
			"another secret": badSecret, "an unknown key": badKey("unknown"), "a key without the right": noRight("known"),
			"a clock an hour slow": late, "a clock an hour fast": late, "a zone that is none": notOurs, "a name outside the grant": noRight("pleiad"),
		},
		nameserver.Knot: {
			"another secret": badSecret, "an unknown key": badKey("unknown"), "a key without the right": badKey("known"),
			"a clock an hour slow": late, "a clock an hour fast": late, "a name outside the grant": badKey("pleiad"),
			"a zone that is none": {"(NOTAUTH): it does not say why: ", all.remedies},
		},
		nameserver.PowerDNS: {
			"another secret": all, "an unknown key": all, "a key without the right": noRight("known"),
			"a clock an hour slow": all, "a clock an hour fast": all, "a zone that is none": notOurs,
			"a name outside the grant": {}, // it has no grants
		},
	}
}

// Whatever a server answers, the error says what was wrong as far as anybody
// can know, and what to do about it.
func TestRefusals(t *testing.T) {
	for kind, table := range refusals() {
		t.Run(string(kind), func(t *testing.T) {
			b := newBed(t, kind)
			marker := cluster.NewRecordSet("_pleiad.c1."+b.Domain+".", cluster.TXT, "v=1")
			for fault, z := range map[string]dns.Zone{
				"another secret":          b.open(t, b.Zone, generate(t, "pleiad")),
				"an unknown key":          b.open(t, b.Zone, generate(t, "unknown")),
				"a key without the right": b.open(t, b.Zone, b.Known[0]),
				"a clock an hour slow":    dnstest.Late(t, b.open(t, b.Zone, b.ours), time.Hour),
				"a clock an hour fast":    dnstest.Late(t, b.open(t, b.Zone, b.ours), -time.Hour),
				"a zone that is none":     b.open(t, b.Domain, b.ours),
			} {
				_, err := z.Apply(t.Context(), []cluster.Change{{Key: marker.Key, New: &marker}})
				table[fault].check(t, fault, err)
			}
			// One record that is granted beside one that is not.
			theirs, zone := cluster.NewRecordSet("theirs."+b.Zone+".", cluster.A, "192.0.2.80"), b.open(t, b.Zone, b.ours)
			_, err := zone.Apply(t.Context(), []cluster.Change{{Key: marker.Key, New: &marker}, {Key: theirs.Key, New: &theirs}})
			outside := table["a name outside the grant"]
			outside.check(t, "a name outside the grant", err)
			got, err := zone.Read(t.Context(), []cluster.Key{marker.Key, theirs.Key})
			want := 0
			if outside.text == "" {
				want = 2
			}
			if err != nil || len(got.Sets) != want {
				t.Errorf("after a change inside and outside the grant: %v, %v", got, err)
			}
		})
	}
}

// A zone of BIND that was frozen to be edited takes updates again once the command that
// is printed was run on its server.
func TestFrozenZone(t *testing.T) {
	b := newBed(t, nameserver.BIND)
	rndc := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "rndc", append([]string{"-k", b.KeyFile(), "-s", b.Addr().Addr().String(), "-p", "953"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd, err, out)
		}
	}
	zone, marker := b.open(t, b.Zone, b.ours), cluster.NewRecordSet("_pleiad.c1."+b.Domain+".", cluster.TXT, "v=1")
	rndc("freeze", b.Zone)
	_, err := zone.Apply(t.Context(), []cluster.Change{{Key: marker.Key, New: &marker}})
	lines := remedies(err)
	if !errors.Is(err, dns.ErrDenied) || len(lines) != 2 {
		t.Fatalf("%v, with remedies %q", err, lines)
	}
	_, command, _ := strings.Cut(lines[1], ": rndc ")
	rndc(strings.Fields(command)...)
	if _, err := zone.Apply(t.Context(), []cluster.Change{{Key: marker.Key, New: &marker}}); err != nil {
		t.Errorf("after rndc %s: %v", command, err)
	}
}

func (r refusal) check(t *testing.T, fault string, err error) {
	t.Helper()
	if r.text == "" {
		if err != nil {
			t.Errorf("%s: %v, want none", fault, err)
		}
		return
	}
	if !errors.Is(err, dns.ErrDenied) || !strings.Contains(err.Error(), r.text) {
		t.Errorf("%s: %v\nwant %q", fault, err, r.text)
	}
	got := remedies(err)
	if !slices.EqualFunc(got, r.remedies, strings.HasPrefix) {
		t.Errorf("%s: remedies %q\nwant %q", fault, got, r.remedies)
	}
}

func remedies(err error) []string {
	var known interface{ Remedy() []string }
	if !errors.As(err, &known) {
		return nil
	}
	return known.Remedy()
}

// open is a client whose key is in a file, as a person gives it.
func (b *bed) open(t *testing.T, zone string, key tsig.Key) *rfc2136.Provider {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tsig.key")
	if err := os.WriteFile(file, key.Encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := rfc2136.Open(rfc2136.Config{Server: b.Addr().String(), Zone: zone, Key: key, Timeout: 20 * time.Second}, file)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
