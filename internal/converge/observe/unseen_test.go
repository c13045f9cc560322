package observe

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// A host that can be named but not read is where the records say, as long as
// they say all of it: what is made up would be published.
func TestListedByName(t *testing.T) {
	spec := cluster.Spec{Cluster: "c1", Domain: "dev.test", Members: 1, TLS: true}
	marker := cluster.Marker{Cluster: "c1", Owner: "us", Generation: 3, Token: "t", Phase: cluster.Sealed, Members: []cluster.MemberName{"etcd-a"}}
	sets := []cluster.RecordSet{
		cluster.NewRecordSet(spec.MarkerName(), cluster.TXT, marker.String()),
		cluster.NewRecordSet("etcd-a.dev.test.", cluster.A, "127.0.0.1"),
		cluster.NewRecordSet(spec.ServerService(), cluster.SRV, "0 0 12001 etcd-a.dev.test."),
		cluster.NewRecordSet(spec.ClientService(), cluster.SRV, "0 0 12000 etcd-a.dev.test."),
	}
	place := cluster.Place{Member: "etcd-a", Unknown: "host.json is missing"}
	state := func(sets []cluster.RecordSet, hosts ...cluster.Host) cluster.State {
		return cluster.State{Records: cluster.Known(cluster.Records{Sets: sets}), Hosts: cluster.Known(hosts), Places: []cluster.Place{place}}
	}
	h, ok := listed(spec, state(sets), place)
	if !ok || h.Name != "etcd-a" || h.Address != netip.MustParseAddr("127.0.0.1") || h.Ports.Peer != 12001 || h.Ports.Client != 12000 || h.Token != "t" || h.Node.Unknown != place.Unknown {
		t.Errorf("listed: %+v, %t", h, ok)
	}
	for i := range sets {
		left := append(append([]cluster.RecordSet{}, sets[:i]...), sets[i+1:]...)
		if h, ok := listed(spec, state(left), place); ok {
			t.Errorf("without %s: %+v", sets[i].Name, h)
		}
	}
	if h, ok := listed(spec, state(sets, cluster.Host{Name: "etcd-a"}), place); ok {
		t.Errorf("the host was seen elsewhere: %+v", h)
	}
}

// What can be done about a place is not lost where the list says whose it is.
func TestUnseenKeepsRemedy(t *testing.T) {
	spec := cluster.Spec{Cluster: "c1", Domain: "dev.test", Members: 1, TLS: true}
	at := netip.MustParseAddr("192.0.2.1")
	marker := cluster.Marker{Cluster: "c1", Owner: "us", Generation: 3, Token: "t", Phase: cluster.Sealed, Members: []cluster.MemberName{"etcd-a"}}
	s := cluster.State{Hosts: cluster.Known[[]cluster.Host](nil),
		Records: cluster.Known(cluster.Records{Sets: []cluster.RecordSet{
			cluster.NewRecordSet(spec.MarkerName(), cluster.TXT, marker.String()),
			cluster.NewRecordSet("etcd-a.dev.test.", cluster.A, at.String()),
		}}),
		Places: []cluster.Place{{Address: at, Unknown: "its claim is empty", Lasting: true, Remedy: []string{"write the claim again"}}}}
	found, rest := unseen(spec, s)
	if len(found) != 1 || len(rest) != 0 || found[0].Name != "etcd-a" {
		t.Fatalf("found %+v, left %+v", found, rest)
	}
	if h := found[0]; !h.Lasting || !slices.Equal(h.Remedy, []string{"write the claim again"}) {
		t.Errorf("the host has remedy %q, lasting %t", h.Remedy, h.Lasting)
	}
}
