package cluster_test

import (
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// When a member serves, when it is healthy, and what an alarm says of whose data.
func TestServes(t *testing.T) {
	const self, other = cluster.MemberID(1), cluster.MemberID(2)
	view := func(change func(*cluster.View)) cluster.View {
		v := cluster.View{ID: self, Leader: other}
		change(&v)
		return v
	}
	alarm := func(kind string, id cluster.MemberID) func(*cluster.View) {
		return func(v *cluster.View) { v.Alarms = []cluster.Alarm{{Kind: kind, Member: id}} }
	}
	for name, c := range map[string]struct {
		view                     cluster.View
		serves, corrupt, healthy bool
	}{
		"nothing is wrong":           {view(func(*cluster.View) {}), true, false, true},
		"no leader":                  {view(func(v *cluster.View) { v.Leader = 0 }), false, false, false},
		"no linearizable read":       {view(func(v *cluster.View) { v.Stalled = "timed out" }), false, false, false},
		"an error of its own":        {view(func(v *cluster.View) { v.Errors = []string{"no leader"} }), false, false, false},
		"a full database":            {view(alarm(cluster.NoSpace, self)), true, false, false},
		"a full database elsewhere":  {view(alarm(cluster.NoSpace, other)), true, false, false},
		"its data is corrupt":        {view(alarm("CORRUPT", self)), false, true, false},
		"data is corrupt elsewhere":  {view(alarm("CORRUPT", other)), true, false, false},
		"nobody knows whose data is": {view(alarm("CORRUPT", 0)), false, true, false},
		"a kind that is not known":   {view(alarm("NEWER", self)), false, true, false},
	} {
		if v := c.view; v.Serves() != c.serves || v.Corrupt() != c.corrupt || v.Healthy() != c.healthy {
			t.Errorf("%s: serves %t, corrupt %t, healthy %t", name, v.Serves(), v.Corrupt(), v.Healthy())
		}
	}
}
