package cli

import (
	"errors"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
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

func TestJudge(t *testing.T) {
	down := errors.New("connection refused")
	for name, test := range map[string]struct {
		change  func(a []answer) []answer
		want    render.Verdict
		problem string // in the text
	}{
		"all serve":           {func(a []answer) []answer { return a }, render.Healthy, ""},
		"one is down":         {func(a []answer) []answer { a[1].err = down; return a }, render.Degraded, "member 2 (etcd-b) is unhealthy: no healthy result from https://etcd-b: connection refused"},
		"two are down":        {func(a []answer) []answer { a[1].err, a[2].err = down, down; return a }, render.Unhealthy, "etcd-c"},
		"none answers":        {func(a []answer) []answer { a[0].err, a[1].err, a[2].err = down, down, down; return a }, render.Unhealthy, "member etcd-a is unhealthy"},
		"no linearizable":     {func(a []answer) []answer { a[0].view.Stalled = "timed out"; return a }, render.Degraded, "serves no linearizable read: timed out"},
		"no leader":           {func(a []answer) []answer { a[0].view.Leader = 0; return a }, render.Degraded, "knows no leader"},
		"alarm":               {func(a []answer) []answer { a[2].view.Alarms = []string{"NOSPACE"}; return a }, render.Degraded, "reports NOSPACE"},
		"a voter unpublished": {func(a []answer) []answer { return a[:2] }, render.Degraded, "member 3 (etcd-c) is a voter, but the client records do not name it"},
		"one of three known":  {func(a []answer) []answer { return a[:1] }, render.Unhealthy, "etcd-b"},
		"two clusters":        {func(a []answer) []answer { a[2].view.Cluster = 0xd; return a }, render.Unhealthy, "not one cluster, but c, d"},
		"published learner": {func(a []answer) []answer {
			for i := range a {
				a[i].view.Members = []cluster.Member{{ID: 1, Name: "etcd-a"}, {ID: 2, Name: "etcd-b", Learner: true}, {ID: 3, Name: "etcd-c"}}
			}
			a[1].view.Learner = true
			return a
		}, render.Degraded, ""},
		"an old list loses": {func(a []answer) []answer {
			a[0].view.Members, a[0].view.Applied = a[0].view.Members[:2], 3
			return a[:2]
		}, render.Degraded, "member 3 (etcd-c) is a voter, but the client records do not name it"},
	} {
		t.Run(name, func(t *testing.T) {
			h := judge("dev.test", test.change(three()))
			if h.Verdict != test.want {
				t.Errorf("%s, want %s: %+v", h.Verdict, test.want, h)
			}
			var text strings.Builder
			if err := (render.Printer{Format: render.Text, Screen: render.Screen{W: &text}}).Show(h); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(text.String(), test.problem) {
				t.Errorf("text has no %q:\n%s", test.problem, &text)
			}
			if !strings.HasSuffix(text.String(), "cluster is "+string(test.want)+"\n") {
				t.Errorf("the last line is not the verdict:\n%s", &text)
			}
		})
	}
}
