package observe

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
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
	if !ok || h.Name != "etcd-a" || h.Address != netip.MustParseAddr("127.0.0.1") || h.Ports.Peer != 12001 || h.Ports.Client != 12000 || h.Token != "t" || h.Node.Why().Text != place.Unknown {
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
	if why := found[0].Node.Why(); !why.Lasting || !slices.Equal(why.Remedy, []string{"write the claim again"}) {
		t.Errorf("the host has remedy %q, lasting %t", why.Remedy, why.Lasting)
	}
}

// A member of the marker without a host is where the records say; one that has
// no host yet, or no longer, is not missing.
func TestMissing(t *testing.T) {
	spec := cluster.Spec{Cluster: "c1", Domain: "dev.test", Members: 1}
	marker := cluster.Marker{Cluster: "c1", Owner: "us", Generation: 3, Token: "t", Members: []cluster.MemberName{"etcd-a"}}
	address := cluster.NewRecordSet("etcd-a.dev.test.", cluster.A, "10.0.0.1")
	peers := cluster.NewRecordSet(spec.ServerService(), cluster.SRV, "0 0 2380 etcd-a.dev.test.")
	clients := cluster.NewRecordSet(spec.ClientService(), cluster.SRV, "0 0 2379 etcd-a.dev.test.")
	here, former := cluster.Host{Name: "etcd-a", Token: "t"}, cluster.Host{Name: "etcd-a", Token: "f0rmer"}
	for _, tt := range []struct {
		name           string
		phase          cluster.Phase
		sets           []cluster.RecordSet
		hosts, dark    []cluster.Host
		local          bool
		missing, asked bool
	}{
		{name: "published", phase: cluster.Sealed, sets: []cluster.RecordSet{address, peers, clients}, missing: true, asked: true},
		{name: "a host of another life", phase: cluster.Sealed, sets: []cluster.RecordSet{address, peers, clients}, hosts: []cluster.Host{former}, missing: true, asked: true},
		{name: "seen", phase: cluster.Sealed, sets: []cluster.RecordSet{address, peers, clients}, hosts: []cluster.Host{here}},
		{name: "unseen", phase: cluster.Sealed, sets: []cluster.RecordSet{address, peers, clients}, dark: []cluster.Host{here}},
		{name: "no records", phase: cluster.Sealed, missing: true},
		{name: "not launched", phase: cluster.Bootstrapping},
		{name: "stamped", phase: cluster.Destroying, sets: []cluster.RecordSet{address, peers}, missing: true, asked: true},
		{name: "stamped, on a port of its own", phase: cluster.Destroying, sets: []cluster.RecordSet{address, peers}, local: true, missing: true},
		{name: "withdrawn", phase: cluster.Destroying, sets: []cluster.RecordSet{address}},
	} {
		marker.Phase, spec.Hosts.Local = tt.phase, nil
		if tt.local {
			spec.Hosts.Local = &cluster.LocalHosts{}
		}
		sets := append(tt.sets, cluster.NewRecordSet(spec.MarkerName(), cluster.TXT, marker.String()))
		got := missing(spec, cluster.State{Records: cluster.Known(cluster.Records{Sets: sets}), Hosts: cluster.Known(tt.hosts)}, tt.dark)
		if (len(got) == 1) != tt.missing || tt.missing && got[0].View.Tried() == tt.asked {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}

// tracer is a provider that traces one process.
type tracer struct {
	hosts.Provider
	asked bool
	err   error
}

func (t *tracer) Trace(context.Context) ([]cluster.Host, error) {
	t.asked = true
	if t.err != nil {
		return nil, t.err
	}
	return []cluster.Host{{Name: "etcd-a", Paths: cluster.Paths{Config: "/c"}, Node: cluster.Known(cluster.Node{Process: cluster.Process{Running: true, PID: 7}})}}, nil
}

// What runs of a host that is gone is looked for where something is missing, is
// about to be made or forgotten, or was put back from elsewhere.
func TestTraced(t *testing.T) {
	spec := cluster.Spec{Cluster: "c1", Domain: "dev.test", Members: 1}
	marker := func(p cluster.Phase) cluster.Records {
		m := cluster.Marker{Cluster: "c1", Owner: "us", Generation: 3, Token: "t", Members: []cluster.MemberName{"etcd-a"}, Phase: p}
		return cluster.Records{Sets: []cluster.RecordSet{cluster.NewRecordSet(spec.MarkerName(), cluster.TXT, m.String())}}
	}
	lost := []cluster.Host{{Name: "etcd-a", Address: netip.MustParseAddr("127.0.0.1"), Node: cluster.Unknown[cluster.Node]("its host was not found")}}
	for _, tt := range []struct {
		name    string
		records cluster.Records
		hosts   []cluster.Host
		lost    []cluster.Host
		want    bool
	}{
		{"all is well", marker(cluster.Sealed), []cluster.Host{{Name: "etcd-a"}}, nil, false},
		{"missing", marker(cluster.Sealed), nil, lost, true},
		{"destroyed", marker(cluster.Destroying), nil, nil, true},
		{"no marker", cluster.Records{}, nil, nil, true},
		{"to be launched", marker(cluster.Bootstrapping), nil, nil, true},
		{"launched", marker(cluster.Bootstrapping), []cluster.Host{{Name: "etcd-a", Token: "t"}}, nil, false},
		{"put back", marker(cluster.Sealed), []cluster.Host{{Name: "etcd-a", Copy: "of another"}}, nil, true},
	} {
		tr := &tracer{}
		state := cluster.State{Records: cluster.Known(tt.records), Hosts: cluster.Known(tt.hosts)}
		got, _ := traced(t.Context(), spec, world.World{Hosts: tr}, state, slices.Clone(tt.lost))
		if tr.asked != tt.want || (len(got) == 1) != tt.want {
			t.Errorf("%s: asked %t, %+v; want %t", tt.name, tr.asked, got, tt.want)
			continue
		}
		if !tt.want {
			continue
		}
		if h := got[0]; h.Name != "etcd-a" || h.Paths.Config != "/c" || h.Node.Or(cluster.Node{}).Process.PID != 7 || h.View.Tried() == (tt.lost != nil) || tt.lost != nil && h.Address != lost[0].Address {
			t.Errorf("%s: %+v", tt.name, h)
		}
	}
}

// That nobody could look is not the same as that nothing was found.
func TestUntraced(t *testing.T) {
	spec := cluster.Spec{Cluster: "c1", Domain: "dev.test", Members: 1}
	state := cluster.State{Records: cluster.Known(cluster.Records{}), Hosts: cluster.Known[[]cluster.Host](nil)}
	w := world.World{Hosts: &tracer{err: errors.New("permission denied")}}
	if got, why := traced(t.Context(), spec, w, state, nil); got != nil || why != "permission denied" {
		t.Errorf("traced: %+v, %q", got, why)
	}
}
