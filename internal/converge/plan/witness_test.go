package plan

import (
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// R2: each thing that a host holds says by itself that it has lived, and what
// the marker must be.
func TestEachThingAHostHoldsCounts(t *testing.T) {
	name, other := member("a"), member("b")
	made := cluster.Made{Token: "t0ken", ID: 8, Members: []cluster.MemberName{name}}
	published := cluster.Marker{Token: "t0ken", Phase: cluster.Sealed, ID: 7, Members: made.Members}
	claimed := cluster.Marker{Token: "t0ken", Phase: cluster.Bootstrapping, Members: made.Members}
	for _, c := range []struct {
		what   string
		node   cluster.Node
		marker cluster.Marker
		lived  bool
		knows  string
	}{
		{"nothing", cluster.Node{}, published, false, ""},
		{"a node", cluster.Node{Installed: "x", Made: made}, published, true, ""},
		{"a sealed node", cluster.Node{Installed: "x", Made: made, Sealed: true}, published, true, "holds a node of cluster 8"},
		{"a node and data", cluster.Node{Made: made, Data: cluster.Data{Present: true}}, published, true, "holds a node of cluster 8"},
		{"a node and a birth", cluster.Node{Made: made, Data: cluster.Data{Born: true}}, published, true, "holds a node of cluster 8"},
		{"data", cluster.Node{Data: cluster.Data{Present: true}}, claimed, true, "has had data, so the list of members was already published"},
		{"a birth", cluster.Node{Data: cluster.Data{Born: true}}, claimed, true, "has had data, so the list of members was already published"},
		{"a node of others", cluster.Node{Installed: "x", Made: cluster.Made{Token: "t0ken", ID: 7, Members: []cluster.MemberName{other}}}, published, true, "holds a node of members " + string(other)},
		{"a node of another life", cluster.Node{Installed: "x", Made: cluster.Made{Token: "0ther", ID: 9}}, published, true, ""},
	} {
		h := cluster.Host{Name: name, Token: "t0ken", Node: cluster.Known(c.node)}
		if got := lived(h); got != c.lived {
			t.Errorf("%s: lived is %v", c.what, got)
		}
		if got := strings.Join(situation{marker: &c.marker}.knowsBetter(h), ", "); got != c.knows {
			t.Errorf("%s: knows %q, want %q", c.what, got, c.knows)
		}
	}
}

// R2: of two nodes the one made later is right, whichever host holds it.
func TestTheNewestNodeIsTheWitness(t *testing.T) {
	node := func(generation uint64, id cluster.ID) cluster.Seen[cluster.Node] {
		return cluster.Known(cluster.Node{Installed: "x", Made: cluster.Made{Token: "t0ken", Generation: generation, ID: id, Members: []cluster.MemberName{member("a"), member("b")}}})
	}
	older, newer := node(2, 6), node(3, 7)
	for _, nodes := range [][2]cluster.Seen[cluster.Node]{{older, newer}, {newer, older}} {
		s := situation{spec: defaultSpec(), state: nothing(), hosts: []cluster.Host{
			{Name: member("a"), Token: "t0ken", Node: nodes[0]}, {Name: member("b"), Token: "t0ken", Node: nodes[1]}}}
		s.control = cluster.Control{Owner: "0wner", CA: "new"}
		if record, whole := s.rightMarker(); !whole || !strings.Contains(record, " id=7 ") {
			t.Errorf("the right marker is %s", record)
		}
	}
}
