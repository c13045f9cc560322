package cli

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/progress"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
)

// What is documented is what is printed.
func TestJSONPageIsComplete(t *testing.T) {
	documented := map[string][]string{}
	for _, k := range kinds() {
		var names []string
		for _, f := range k.fields {
			name, _, _ := strings.Cut(f, " ")
			names = append(names, name)
		}
		documented[k.name] = names
		if !strings.Contains(helpJSON().Long, "  "+k.name+" ") {
			t.Errorf("kind %s is not on the page", k.name)
		}
	}
	for _, v := range []render.Value{render.Road{}, render.Outcome{}, render.Health{}, render.Status{}, render.Endpoints{}, render.Variables{}, render.Certificate{}, render.Findings{}, render.Version{}, render.Fault{}} {
		if got := fields(reflect.TypeOf(v)); !reflect.DeepEqual(got, sorted(documented[v.Kind()])) {
			t.Errorf("kind %s has fields %v, documented are %v", v.Kind(), got, sorted(documented[v.Kind()]))
		}
	}
	event := fields(reflect.TypeFor[progress.Event]())
	for _, kind := range []progress.Kind{progress.Observed, progress.Planned, progress.Started, progress.Done, progress.Failed, progress.Waiting, progress.Refused, progress.Converged} {
		if len(documented[string(kind)]) == 0 {
			t.Errorf("event %s is not documented", kind)
		}
		for _, f := range documented[string(kind)] {
			if !slices.Contains(event, f) {
				t.Errorf("event %s has no field %s", kind, f)
			}
		}
	}
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

// fields are the JSON names of a struct's fields.
func fields(t reflect.Type) []string {
	var out []string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "-" && name != "" {
			out = append(out, name)
		}
	}
	return sorted(out)
}
