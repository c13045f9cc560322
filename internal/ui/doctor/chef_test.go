package doctor

import (
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
)

func TestJudgeChef(t *testing.T) {
	missing := cluster.Unknown[string](`exec: "cinc-client": executable file not found in $PATH`)
	for _, tt := range []struct {
		name  string
		chef  cluster.Chef
		seen  cluster.Seen[string]
		grade render.Grade
		says  string
	}{
		{"Cinc", cluster.Chef{Way: "local"}, cluster.Known("Cinc Client: 18.2.7\n"), render.Fine, "cinc-client is of version 18.2.7"},
		{"Chef", cluster.Chef{Way: "local", Client: "chef-client"}, cluster.Known("Chef Infra Client: 16.0.257\n"), render.Fine, "16.0.257"},
		{"too old", cluster.Chef{Way: "local", Client: "chef-client"}, cluster.Known("Chef Infra Client: 15.17.4\n"), render.Broken, "needs 16"},
		{"none", cluster.Chef{Way: "local"}, missing, render.Broken, "not found"},
		{"none before knife", cluster.Chef{Way: "server"}, missing, render.Fine, "knife installs it"},
		{"something else", cluster.Chef{Way: "local", Client: "true"}, cluster.Known(""), render.Broken, "does not say a version"},
	} {
		f := judgeChef(tt.chef, tt.seen)
		if f.Grade != tt.grade || !strings.Contains(f.Found, tt.says) || (f.Grade != render.Fine) != (f.Remedy != "") {
			t.Errorf("%s: %+v, want grade %v and %q", tt.name, f, tt.grade, tt.says)
		}
	}
}
