package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMembership(t *testing.T) {
	old, now := []Member{{ID: 1, Name: "a"}}, []Member{{ID: 1, Name: "a"}, {ID: 2, Learner: true}}
	fresh := View{Cluster: 7, Applied: 9, Members: now}
	for name, c := range map[string]struct {
		views []View
		want  []Member // nil for unknown
	}{
		"one":                                 {[]View{fresh}, now},
		"the one that has applied most":       {[]View{{Cluster: 7, Applied: 8, Members: old}, fresh, {Cluster: 7, Applied: 7, Members: old}}, now},
		"one that lags and stalls never wins": {[]View{{Cluster: 7, Applied: 99, Members: old, Stalled: "no answer in time"}, fresh}, now},
		"a learner tells none":                {[]View{{Cluster: 7, Applied: 99, Learner: true}, fresh}, now},
		"another cluster's":                   {[]View{{Cluster: 8, Applied: 99, Members: old}, fresh}, now},
		"no view":                             {nil, nil},
		"no quorum":                           {[]View{{Cluster: 7, Applied: 9, Members: now, Stalled: "no answer in time"}}, nil},
		"learners alone":                      {[]View{{Cluster: 7, Learner: true}}, nil},
		"another cluster alone":               {[]View{{Cluster: 8, Applied: 9, Members: now}}, nil},
		"a list without anybody is none":      {[]View{{Cluster: 7, Applied: 9}}, nil},
	} {
		have := Membership(c.views, 7)
		if got, known := have.Get(); known != (c.want != nil) || !cmp.Equal(got, c.want) || !known && have.Why().Text != "no member of cluster 7 serves a linearizable read" {
			t.Errorf("%s: %v %v, want %v", name, got, have.Why(), c.want)
		}
	}
}

// What is done with the list does not change the view.
func TestMembershipIsACopy(t *testing.T) {
	views := []View{{Cluster: 7, Members: []Member{{ID: 1}}}}
	Membership(views, 7).Or(nil)[0].ID = 2
	if views[0].Members[0].ID != 1 {
		t.Error("the view has changed")
	}
}
