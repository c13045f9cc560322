package plan

import (
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

func TestAstray(t *testing.T) {
	t.Parallel()
	spec := cluster.Spec{Cluster: "dev", Domain: "dev.test"}
	nothing := cluster.Known(cluster.Records{})
	marked := cluster.Known(cluster.Records{Sets: []cluster.RecordSet{cluster.NewRecordSet(spec.MarkerName(), cluster.TXT, "x")}})
	unknown := cluster.Unknown[cluster.Records]("timeout")
	none, one := cluster.Known([]cluster.Host(nil)), cluster.Known([]cluster.Host{{Name: "etcd-a"}})
	unseen := cluster.Unknown[[]cluster.Host]("timeout")
	for name, c := range map[string]struct {
		records, former cluster.Seen[cluster.Records]
		hosts           cluster.Seen[[]cluster.Host]
		destroys, want  bool
	}{
		"marked":                           {marked, unknown, none, true, false},
		"not known":                        {unknown, unknown, none, true, false},
		"nothing here, former not known":   {nothing, unknown, none, false, true},
		"nothing here, nothing there":      {nothing, nothing, none, false, false},
		"nothing here, marked there":       {nothing, marked, none, false, true},
		"hosts not known":                  {nothing, nothing, unseen, false, true},
		"hosts without a marker":           {nothing, unknown, one, false, false},
		"hosts without a marker, to go":    {nothing, unknown, one, true, true},
		"hosts and no marker there, to go": {nothing, nothing, one, true, true},
	} {
		s := cluster.State{Records: c.records, Hosts: c.hosts}
		if got := Astray(spec, s, c.former, c.destroys); got != c.want {
			t.Errorf("%s: astray %t, want %t", name, got, c.want)
		}
	}
}
