package doctor

import (
	"errors"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
)

// cloud is a cluster of three instances that pleiad launches itself.
func cloud(f fleet) Subject {
	s := foreign(&zone{})
	s.Spec.Members = 3
	s.Spec.Hosts = cluster.HostsSpec{EC2: &cluster.EC2Hosts{Region: "eu-central-1", Subnets: []string{"subnet-a", "subnet-b", "subnet-c"}}}
	s.World.Hosts = f
	return s
}

func TestInstances(t *testing.T) {
	found := instances(t.Context(), cloud(fleet{}))
	if len(found) != 3 {
		t.Fatalf("%+v, want three findings", found)
	}
	want(t, found[0], render.Fine, "for 3 members")
	want(t, found[1], render.Fine, "3 for 3 members, at most 1 in each")
	want(t, found[2], render.Fine, "the instances in eu-central-1 can be listed; none is of this cluster yet, and up launches 3")

	some := fleet{list: []cluster.Host{{Name: "etcd-a", Address: at(1)}, {Name: "etcd-b", Pending: "its instance is stopped"}},
		places: []cluster.Place{{Unknown: "two instances are etcd-c", Remedy: []string{"terminate one"}}, {Unknown: "etcd-d has no tag"}}}
	found = instances(t.Context(), cloud(some))
	if len(found) != 5 {
		t.Fatalf("%+v, want five findings", found)
	}
	want(t, found[2], render.Fine, "of this cluster are etcd-a, etcd-b (its instance is stopped); ")
	want(t, found[3], render.Broken, "two instances are etcd-c")
	want(t, found[4], render.Broken, "etcd-d has no tag")
}

// An instance that was made from another image still is what it was made as.
func TestInstancesOutdated(t *testing.T) {
	found := instances(t.Context(), cloud(fleet{list: []cluster.Host{{Name: "etcd-a"}, {Name: "etcd-b", Outdated: "image ami-1, the spec wants ami-2"}}}))
	last := found[len(found)-1]
	want(t, last, render.Warning, "etcd-b is not as new hosts would be: image ami-1, the spec wants ami-2")
	if len(found) != 4 || !strings.Contains(last.Remedy, "replace etcd-b") {
		t.Errorf("%+v, want one warning with its remedy", found)
	}
}

func TestInstancesUnseen(t *testing.T) {
	denied := fault.WithRemedy(errors.New("AuthFailure"), "log in, with: aws sso login")
	found := instances(t.Context(), cloud(fleet{err: denied}))
	last := found[len(found)-1]
	want(t, last, render.Broken, "AuthFailure")
	if last.Remedy != "log in, with: aws sso login" {
		t.Errorf("the remedy is %q", last.Remedy)
	}
}

func TestSpread(t *testing.T) {
	for _, tt := range []struct {
		members, subnets int
		grade            render.Grade
	}{
		{1, 1, render.Fine}, // there is nothing to survive
		{3, 1, render.Warning}, {3, 2, render.Warning}, {3, 3, render.Fine},
		{5, 2, render.Warning}, {5, 3, render.Fine}, {9, 2, render.Warning}, {9, 3, render.Fine}, {3, 6, render.Fine},
	} {
		want(t, judgeSpread(tt.members, tt.subnets), tt.grade, "members, at most")
	}
}

// All that is checked before there is a machine: nobody looks for one at an address,
// and the rights are tried for what an instance will have.
func TestBeforeThereAreInstances(t *testing.T) {
	s := cloud(fleet{})
	s.Root = t.TempDir()
	for _, f := range Examine(t.Context(), s).Findings {
		if f.Host != "" {
			t.Errorf("%+v is about a machine", f)
		}
		if f.Check == "addresses" || f.Check == "disk latency" {
			t.Errorf("%+v is about this machine", f)
		}
	}
	address := cluster.Key{Name: s.Spec.HostName("etcd-zzzzzzz") + ".", Type: cluster.A}
	if keys := ours(s); keys[len(keys)-1] != address {
		t.Errorf("the rights that are tried are %v", keys)
	}
}
