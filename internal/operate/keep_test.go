package operate

import (
	"errors"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/converge"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/converge/spec"
	"github.com/pleiad-etcd/pleiad/internal/world/statedir"
)

// What is stored in the end is what was obeyed.
func TestSettle(t *testing.T) {
	step := plan.Plan{Steps: []plan.Step{plan.StartNameServer{}}}
	refusal := []plan.Refusal{{Rule: "R4", What: "change the size", Asked: true}}
	elsewhere := []plan.Refusal{{Rule: "R1", What: "repair member etcd-c", Unknown: true}}
	refused := plan.Plan{Refusals: refusal}
	for name, c := range map[string]struct {
		road   []plan.Plan
		result converge.Outcome
		err    error
		want   int
	}{
		"all is done":                         {road: []plan.Plan{step}, result: converge.Outcome{Done: 1}, want: 5},
		"interrupted half-way":                {road: []plan.Plan{step}, result: converge.Outcome{Done: 1}, err: errors.New("interrupted"), want: 5},
		"refused beside a restart":            {road: []plan.Plan{step, refused}, result: converge.Outcome{Done: 1, Refusals: refusal}, want: 3},
		"refused in the end":                  {road: []plan.Plan{step}, result: converge.Outcome{Done: 1, Refusals: refusal}, want: 3},
		"refused at first":                    {road: []plan.Plan{step, refused}, result: converge.Outcome{Done: 1}, want: 5},
		"another host is lost meanwhile":      {road: []plan.Plan{step}, result: converge.Outcome{Done: 1, Refusals: elsewhere}, want: 5},
		"another host is not seen":            {road: []plan.Plan{step, {Refusals: elsewhere}}, result: converge.Outcome{Done: 1, Refusals: elsewhere}, want: 5},
		"nothing could be seen":               {road: []plan.Plan{{Refusals: elsewhere}}, result: converge.Outcome{Refusals: elsewhere}, want: 3},
		"failed before anything was done":     {road: []plan.Plan{step}, err: errors.New("denied"), want: 3},
		"refused, and failed after a restart": {road: []plan.Plan{step, refused}, result: converge.Outcome{Done: 1}, err: errors.New("denied"), want: 3},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			put(t, root, "cluster: blue\ndomain: b.example\nmembers: 3\n")
			h, err := statedir.Open(root, "blue")
			if err != nil {
				t.Fatal(err)
			}
			was, err := Stored(h)
			if err != nil {
				t.Fatal(err)
			}
			now := Target{Home: h, Stored: was, Spec: *was}
			now.Spec.Members = 5
			kept := keeps(now, c.road)
			if kept {
				if err := h.SaveSpec(spec.Encode(now.Spec)); err != nil {
					t.Fatal(err)
				}
			}
			if err := settle(now, kept, c.result, c.err); err != nil {
				t.Fatal(err)
			}
			if got, err := Stored(h); err != nil || got.Members != c.want {
				t.Errorf("stored: %+v, %v, want %d members", got, err, c.want)
			}
		})
	}
}
