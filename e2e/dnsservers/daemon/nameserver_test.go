package daemon_test

import (
	"strings"
	"testing"

	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/e2e/dnsservers/daemon"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/dnstest"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/rfc2136"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/tsig"
)

func TestStartAndStop(t *testing.T) {
	for _, kind := range daemon.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			s := start(t, kind, generate(t))
			if serial, err := s.Serial(t.Context()); serial == 0 {
				t.Errorf("serial %d, %v", serial, err)
			}
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
			if _, err := s.Serial(t.Context()); err == nil {
				t.Error("it still answers")
			}
			if err := s.Stop(); err != nil {
				t.Errorf("stop again: %v", err)
			}
		})
	}
}

// A secondary of each make stays behind its primary until it is told.
func TestSecondaryLagsUntilToldToCatchUp(t *testing.T) {
	for _, kind := range daemon.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			key := generate(t)
			primary := start(t, kind, key)
			secondary, err := daemon.StartSecondary(t.Context(), primary, t.TempDir(), dnstest.Address(), key)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { stop(t, secondary.Server) })
			zone, err := rfc2136.New(rfc2136.Config{Server: primary.Address(), Zone: primary.Zone, Key: key})
			if err != nil {
				t.Fatal(err)
			}
			for _, address := range []string{"192.0.2.1", "192.0.2.2"} {
				set := cluster.NewRecordSet("etcd-"+strings.ReplaceAll(address, ".", "")+".c1.twindb.test.", cluster.A, address)
				if _, err := zone.Apply(t.Context(), []cluster.Change{{Key: set.Key, New: &set}}); err != nil {
					t.Fatal(err)
				}
				if got := lookUp(t, primary, set.Name); got != address {
					t.Errorf("the primary says %q, want %s", got, address)
				}
				if got := lookUp(t, secondary.Server, set.Name); got != "" {
					t.Errorf("the secondary says %s before it was told", got)
				}
				if err := secondary.CatchUp(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := lookUp(t, secondary.Server, set.Name); got != address {
					t.Errorf("the secondary says %q after it caught up, want %s", got, address)
				}
			}
			if err := secondary.CatchUp(t.Context()); err != nil {
				t.Errorf("nothing to catch up with: %v", err)
			}
		})
	}
}

// lookUp is the address that a server gives a name, "" for none.
func lookUp(t *testing.T, s *daemon.Server, name string) string {
	t.Helper()
	m := new(wire.Msg).SetQuestion(name, wire.TypeA)
	answer, _, err := (&wire.Client{Net: "tcp"}).ExchangeContext(t.Context(), m, s.Address())
	if err != nil {
		t.Fatal(err)
	}
	if len(answer.Answer) == 0 {
		return ""
	}
	return answer.Answer[0].(*wire.A).A.String()
}

func generate(t *testing.T) tsig.Key {
	t.Helper()
	key, err := tsig.Generate("pleiad")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func start(t *testing.T, kind daemon.Kind, key tsig.Key) *daemon.Server {
	t.Helper()
	s, err := daemon.Start(t.Context(), kind, daemon.Config{
		Place: daemon.Place{Dir: t.TempDir(), Addr: dnstest.Address(), Zone: "twindb.test"}, Key: key, Grant: "c1.twindb.test",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t *testing.T, s *daemon.Server) {
	t.Helper()
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}
