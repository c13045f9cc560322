package member

import (
	"errors"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// Rules R1 and R6: every combination of what a data directory holds and held.
func TestIdentity(t *testing.T) {
	const member, id = cluster.MemberID(0xa1), cluster.ID(0xc1)
	ours := cluster.Data{Present: true, Member: member, Cluster: id}
	with := func(d cluster.Data, edit func(*cluster.Data)) cluster.Data { edit(&d); return d }
	born := func(d *cluster.Data) { d.Born = true }
	for _, tt := range []struct {
		name   string
		sealed bool
		join   bool
		found  cluster.Data
		want   Decision
		says   []string
	}{
		{name: "own data", found: ours, want: Restart},
		{name: "own data, born", found: with(ours, born), want: Restart},
		{name: "own data, sealed", sealed: true, found: ours, want: Restart},
		{name: "own data, born, sealed", sealed: true, found: with(ours, born), want: Restart},
		{name: "another member's data", found: with(ours, func(d *cluster.Data) { d.Member = 0xa2 }), says: []string{"R6", "member a2 of cluster c1", "member a1 of cluster c1", "/d", "replace"}},
		{name: "another cluster's data", found: with(ours, func(d *cluster.Data) { d.Cluster = 0xc2 }), says: []string{"R6", "member a1 of cluster c2", "member a1 of cluster c1"}},
		{name: "a cluster of its own, founded", found: with(with(ours, born), func(d *cluster.Data) { d.Member, d.Cluster = 0xa2, 0xc2 }),
			says: []string{"R3", "etcd-a founded cluster c2, not c1", "pleiad destroy, then pleiad up"}},
		{name: "another cluster's data, sealed", sealed: true, found: with(with(ours, born), func(d *cluster.Data) { d.Cluster = 0xc2 }), says: []string{"R6", "put this member's own data back"}},
		{name: "data of nobody", sealed: true, found: cluster.Data{Present: true, Born: true}, says: []string{"R6", "member 0 of cluster 0"}},
		{name: "nothing", found: cluster.Data{}, want: FirstStart},
		{name: "nothing, born", found: cluster.Data{Born: true}, says: []string{"R6", "its data directory is empty but the member once had data", "/d", "a1", "c1", "mounted"}},
		{name: "nothing, sealed", sealed: true, found: cluster.Data{}, says: []string{"R6", "its data directory is empty but the member once had data"}},
		{name: "nothing, joins", sealed: true, join: true, found: cluster.Data{}, want: Join},
		{name: "nothing, joins what is not sealed", join: true, found: cluster.Data{}, want: FirstStart},
		{name: "nothing, born, joins", sealed: true, join: true, found: cluster.Data{Born: true}, says: []string{"R6", "its data directory is empty but the member once had data"}},
		{name: "own data, joins", sealed: true, join: true, found: ours, want: Restart},
		{name: "own data, older, joins", sealed: true, join: true, found: with(ours, func(d *cluster.Data) { d.Older = true }), says: []string{"R6", "its data is not the newest"}},
		{name: "another member's data, joins", sealed: true, join: true, found: with(ours, func(d *cluster.Data) { d.Member = 0xa2 }), says: []string{"R6", "member a2 of cluster c1"}},
		{name: "nothing, born, sealed", sealed: true, found: cluster.Data{Born: true}, says: []string{"R6"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := node.Node{Name: "etcd-a", Member: member, ID: id, Sealed: tt.sealed, Join: tt.join, Paths: cluster.Paths{Data: "/d"}}
			got, err := Identity(n, tt.found)
			if got != tt.want {
				t.Errorf("decision %d, want %d", got, tt.want)
			}
			var r *Refusal
			if refused := errors.As(err, &r); refused != (tt.want == Refuse) {
				t.Fatalf("error %v, want a refusal only with Refuse", err)
			}
			for _, s := range tt.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("refusal %q does not say %q", err, s)
				}
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("refusal %q is not one line", err)
			}
		})
	}
}
