package operate

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/discovery"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/etcd"
)

// three is what three healthy voters say of each other.
func three() []answer {
	list := []cluster.Member{{ID: 1, Name: "etcd-a"}, {ID: 2, Name: "etcd-b"}, {ID: 3, Name: "etcd-c"}}
	var out []answer
	for _, m := range list {
		out = append(out, answer{name: m.Name, url: "https://" + string(m.Name), view: cluster.View{ID: m.ID, Cluster: 0xc, Leader: 1, Applied: 9, Members: list}})
	}
	return out
}

// A member that nobody could ask is not called unhealthy.
func TestUnasked(t *testing.T) {
	a := three()
	a[1].err = errors.New("connection refused")
	if err := unasked(a); err != nil {
		t.Errorf("a member that is down: %v", err)
	}
	a[2].err = fmt.Errorf("ask member etcd-c: %w: no key", etcd.ErrUnasked)
	if err := unasked(a); err != a[2].err {
		t.Errorf("a member that was not asked: %v", err)
	}
}

func TestJudge(t *testing.T) {
	down := errors.New("connection refused")
	unnamed := &discovery.Error{Kind: discovery.ErrUnavailable, Names: []string{"x."}}
	absent := &discovery.Error{Kind: discovery.ErrNotFound, Names: []string{"x."}}
	for name, test := range map[string]struct {
		change  func(a []answer) []answer
		want    Verdict
		problem string // in what is told
	}{
		"all serve":                   {func(a []answer) []answer { return a }, Healthy, ""},
		"one is down":                 {func(a []answer) []answer { a[1].err = down; return a }, Degraded, "2 etcd-b false: no healthy result from https://etcd-b: connection refused"},
		"two are down":                {func(a []answer) []answer { a[1].err, a[2].err = down, down; return a }, Unhealthy, "etcd-c"},
		"none answers":                {func(a []answer) []answer { a[0].err, a[1].err, a[2].err = down, down, down; return a }, Unhealthy, " etcd-a false: "},
		"no linearizable":             {func(a []answer) []answer { a[0].view.Stalled = "timed out"; return a }, Degraded, "serves no linearizable read: timed out"},
		"no leader":                   {func(a []answer) []answer { a[0].view.Leader = 0; return a }, Degraded, "knows no leader"},
		"a name not looked up":        {func(a []answer) []answer { a[1].err = unnamed; return a }, Degraded, "2 etcd-b false: not asked at https://etcd-b: "},
		"two names not looked up":     {func(a []answer) []answer { a[1].err, a[2].err = unnamed, unnamed; return a }, Unclear, "etcd-c"},
		"no name looked up":           {func(a []answer) []answer { a[0].err, a[1].err, a[2].err = unnamed, unnamed, unnamed; return a }, Unclear, "etcd-a"},
		"one down, one not looked up": {func(a []answer) []answer { a[1].err, a[2].err = down, unnamed; return a }, Unclear, "etcd-b"},
		"two down, one not looked up": {func(a []answer) []answer { a[0].err, a[1].err, a[2].err = down, down, unnamed; return a }, Unhealthy, "etcd-b"},
		"names that do not exist":     {func(a []answer) []answer { a[1].err, a[2].err = absent, absent; return a }, Unhealthy, "etcd-c"},
		"alarm":                       {func(a []answer) []answer { a[2].view.Alarms = []cluster.Alarm{{Kind: cluster.NoSpace}}; return a }, Degraded, "reports NOSPACE"},
		"users only": {func(a []answer) []answer {
			for i := range a {
				a[i].err, a[i].view = fmt.Errorf("ask member: %w", etcd.ErrNoUser), cluster.View{}
			}
			return a
		}, Healthy, "asks for a user"},
		"a voter unpublished": {func(a []answer) []answer { return a[:2] }, Degraded, "member 3 (etcd-c) is a voter, but the client records do not name it"},
		"one of three known":  {func(a []answer) []answer { return a[:1] }, Unhealthy, "etcd-b"},
		"two clusters":        {func(a []answer) []answer { a[2].view.Cluster = 0xd; return a }, Unhealthy, "not one cluster, but c, d"},
		"published learner": {func(a []answer) []answer {
			for i := range a {
				a[i].view.Members = []cluster.Member{{ID: 1, Name: "etcd-a"}, {ID: 2, Name: "etcd-b", Learner: true}, {ID: 3, Name: "etcd-c"}}
			}
			a[1].view.Learner = true
			return a
		}, Degraded, ""},
		"an old list loses": {func(a []answer) []answer {
			a[0].view.Members, a[0].view.Applied = a[0].view.Members[:2], 3
			return a[:2]
		}, Degraded, "member 3 (etcd-c) is a voter, but the client records do not name it"},
	} {
		t.Run(name, func(t *testing.T) {
			h := judge("dev.test", "the client records do", test.change(three()))
			if h.Verdict != test.want {
				t.Errorf("%s, want %s: %+v", h.Verdict, test.want, h)
			}
			said := h.Problems
			for _, m := range h.Members {
				said = append(said, fmt.Sprintf("%s %s %t: %s", m.ID, m.Name, m.Healthy, m.Detail))
			}
			if text := strings.Join(said, "\n"); !strings.Contains(text, test.problem) {
				t.Errorf("nobody says %q:\n%s", test.problem, text)
			}
		})
	}
}
