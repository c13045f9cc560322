package observe

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world"
	"github.com/pleiad-etcd/pleiad/internal/world/etcd"
)

// ears are members that are asked whom they hear.
type ears struct{ etcd.Inspector }

func (ears) Heard(context.Context, cluster.Host) ([]cluster.MemberID, error) {
	return []cluster.MemberID{1}, nil
}

// Who is asked whether a member is heard: all that answer, also where a host was not
// found, if that member does not answer, or knows no leader; and nobody while a member
// joins or leaves, for then it is decided.
func TestHear(t *testing.T) {
	spec := cluster.Spec{Cluster: "c1", Domain: "dev.test", Members: 3}
	member := func(name cluster.MemberName, leader cluster.MemberID) cluster.Host {
		return cluster.Host{Name: name, View: cluster.Known(cluster.View{Leader: leader})}
	}
	silent := func(name cluster.MemberName) cluster.Host {
		return cluster.Host{Name: name, View: cluster.Unknown[cluster.View]("no answer")}
	}
	for name, c := range map[string]struct {
		hosts, missing []cluster.Host
		op             cluster.Operation
		want           []cluster.MemberName
	}{
		"it is silent":                   {hosts: []cluster.Host{member("etcd-a", 1), member("etcd-b", 1), silent("etcd-c")}, want: []cluster.MemberName{"etcd-a", "etcd-b"}},
		"its host is gone":               {hosts: []cluster.Host{member("etcd-a", 1), member("etcd-b", 1)}, missing: []cluster.Host{silent("etcd-c")}, want: []cluster.MemberName{"etcd-a", "etcd-b"}},
		"another's is, which answers":    {hosts: []cluster.Host{member("etcd-a", 1), silent("etcd-c")}, missing: []cluster.Host{member("etcd-b", 1)}, want: []cluster.MemberName{"etcd-a", "etcd-b"}},
		"it knows no leader":             {hosts: []cluster.Host{member("etcd-a", 1), member("etcd-b", 1), member("etcd-c", 0)}, want: []cluster.MemberName{"etcd-a", "etcd-b", "etcd-c"}},
		"it serves":                      {hosts: []cluster.Host{member("etcd-a", 1), member("etcd-b", 1), member("etcd-c", 1)}},
		"it is about to leave":           {hosts: []cluster.Host{member("etcd-a", 1), member("etcd-b", 1), silent("etcd-c")}, op: cluster.Operation{Kind: cluster.Remove, Member: "etcd-c"}},
		"it is restarted, and is silent": {hosts: []cluster.Host{member("etcd-a", 1), member("etcd-b", 1), silent("etcd-c")}, op: cluster.Operation{Kind: cluster.Restart, Member: "etcd-c"}, want: []cluster.MemberName{"etcd-a", "etcd-b"}},
	} {
		marker := cluster.Marker{Cluster: "c1", Owner: "us", Generation: 3, Token: "t", Phase: cluster.Sealed, Members: []cluster.MemberName{"etcd-a", "etcd-b", "etcd-c"}, Op: c.op}
		s := cluster.State{Hosts: cluster.Known(c.hosts), Missing: c.missing,
			Records: cluster.Known(cluster.Records{Sets: []cluster.RecordSet{cluster.NewRecordSet(spec.MarkerName(), cluster.TXT, marker.String())}})}
		Hear(t.Context(), spec, world.World{Etcd: ears{}}, &s, []cluster.MemberName{"etcd-c"})
		var got []cluster.MemberName
		for _, h := range slices.Concat(s.Hosts.Or(nil), s.Missing) {
			if h.Heard.Known() {
				got = append(got, h.Name)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
