package doctor

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"

	wire "github.com/miekg/dns"

	"github.com/pleiad-etcd/pleiad/discovery"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
	"github.com/pleiad-etcd/pleiad/internal/world/authority"
)

// resolver knows these records, in the syntax of zone files without TTL and class, and
// no others.
func resolver(t *testing.T, records ...string) *net.Resolver {
	t.Helper()
	return hearing(t, func(string) {}, records...)
}

// hearing is a resolver that tells which names it is asked for.
func hearing(t *testing.T, hear func(name string), records ...string) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	answer := func(w wire.ResponseWriter, q *wire.Msg) {
		hear(q.Question[0].Name)
		m := new(wire.Msg).SetReply(q)
		m.Rcode = wire.RcodeNameError
		for _, text := range records {
			rr, err := wire.NewRR(strings.Replace(text, " ", " 60 IN ", 1))
			if err != nil {
				panic(err)
			}
			if strings.EqualFold(rr.Header().Name, q.Question[0].Name) {
				m.Rcode = wire.RcodeSuccess
				if rr.Header().Rrtype == q.Question[0].Qtype {
					m.Answer = append(m.Answer, rr)
				}
			}
		}
		_ = w.WriteMsg(m)
	}
	server := &wire.Server{PacketConn: conn, Handler: wire.HandlerFunc(answer)}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = server.ActivateAndServe() }()
	t.Cleanup(func() { conn.Close(); <-ended })
	return discovery.NameServer(conn.LocalAddr().String())
}

// sealed is a cluster that exists, seen from a machine elsewhere.
func sealed(t *testing.T) Subject {
	t.Helper()
	s := foreign(&zone{})
	s.Spec.Hosts = cluster.HostsSpec{SSH: &cluster.SSHHosts{Addresses: []netip.Addr{at(1)}}}
	m := cluster.Marker{Cluster: s.Spec.Cluster, Owner: "0wner", Generation: 1, Token: "t", Phase: cluster.Sealed, Members: []cluster.MemberName{"etcd-a"}}
	s.World.DNS = &zone{records: cluster.Records{Sets: []cluster.RecordSet{cluster.NewRecordSet(s.Spec.MarkerName(), cluster.TXT, m.String())}}}
	return s
}

// A machine that does not resolve the zone is a fault: up would not find what it made.
func TestResolverHere(t *testing.T) {
	const delegation, address = "dev.test. NS ns.dev.test.", "etcd-a.dev.test. A 192.0.2.1"
	fresh := foreign(&zone{})
	service := strings.TrimSuffix(fresh.Spec.ClientService(), ".") + ". SRV 0 0 2379 etcd-a.dev.test."
	for name, test := range map[string]struct {
		subject Subject
		records []string
		grade   render.Grade
		want    string
	}{
		"no cluster yet":              {fresh, []string{delegation}, render.Fine, "knows zone dev.test"},
		"no cluster and no zone":      {fresh, nil, render.Broken, "does not resolve zone dev.test"},
		"found":                       {sealed(t), []string{delegation, service, address}, render.Fine, "finds cluster dev in DNS"},
		"found, without a delegation": {sealed(t), []string{service, address}, render.Fine, "finds cluster dev in DNS"},
		"not found":                   {sealed(t), []string{delegation}, render.Broken, "no such records"},
		"a member without address":    {sealed(t), []string{delegation, service}, render.Broken, "etcd-a.dev.test."},
	} {
		t.Run(name, func(t *testing.T) {
			test.subject.Here = resolver(t, test.records...)
			f := resolverHere(t.Context(), test.subject)
			want(t, f, test.grade, test.want)
			if f.Grade == render.Broken && !strings.Contains(f.Remedy, "health --direct") {
				t.Errorf("no way to the members: %s", f.Remedy)
			}
		})
	}
}

// A name of ours is asked for only once it exists: a resolver would remember that it
// does not.
func TestResolverHereWaits(t *testing.T) {
	bootstrapping := sealed(t)
	set := bootstrapping.World.DNS.(*zone).records.Sets[0]
	bootstrapping.World.DNS = &zone{records: cluster.Records{Sets: []cluster.RecordSet{
		cluster.NewRecordSet(set.Name, set.Type, strings.Replace(set.Values[0], "state=sealed", "state=bootstrapping", 1))}}}
	unread := foreign(&zone{readErr: context.DeadlineExceeded})
	for name, s := range map[string]Subject{"none": foreign(&zone{}), "one that is being founded": bootstrapping, "unknown": unread} {
		s.Here = hearing(t, func(asked string) {
			if asked != "dev.test." {
				t.Errorf("%s: asked for %s", name, asked)
			}
		}, "dev.test. NS ns.dev.test.")
		want(t, resolverHere(t.Context(), s), render.Fine, "knows zone")
	}
}

// keeper stores an owner.
type keeper struct {
	authority.Authority
	owner cluster.Owner
}

func (k keeper) Inspect(context.Context) (cluster.Control, error) {
	return cluster.Control{Owner: k.owner}, nil
}

func TestOwnership(t *testing.T) {
	s := sealed(t)
	for owner, test := range map[cluster.Owner]struct {
		grade render.Grade
		want  string
	}{
		"0wner": {render.Fine, "cluster dev belongs to this state directory"},
		"them":  {render.Broken, "belongs to owner 0wner; this state directory is them; the cluster is sealed; its members: etcd-a"},
		"":      {render.Broken, "belongs to owner 0wner; this state directory is new and owns nothing yet"},
	} {
		s.World.Authority = keeper{owner: owner}
		found := ownership(t.Context(), s)
		if len(found) != 1 {
			t.Fatalf("%+v", found)
		}
		want(t, found[0], test.grade, test.want)
	}
	s.World.DNS = &zone{}
	if found := ownership(t.Context(), s); found != nil {
		t.Errorf("there is no cluster: %+v", found)
	}
	s.World.DNS = &zone{readErr: context.DeadlineExceeded}
	if found := ownership(t.Context(), s); found != nil {
		t.Errorf("whether there is one is unknown: %+v", found)
	}
}
