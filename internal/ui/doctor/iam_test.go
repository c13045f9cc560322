package doctor

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
)

// What credentials may do is found out name by name, one after the other.
func TestIAMRights(t *testing.T) {
	for name, c := range map[string]struct {
		granted func(cluster.Key) bool
		err     error
		grades  []render.Grade
		texts   []string
		remedy  string
	}{
		"bounded": {granted: func(k cluster.Key) bool { return !strings.Contains(k.Name, "pleiad-doctor") && k.Name != "dev.test." },
			grades: []render.Grade{render.Fine, render.Fine}, texts: []string{"marker, services and addresses", "no other names"}},
		"the whole zone": {granted: func(cluster.Key) bool { return true },
			grades: []render.Grade{render.Fine, render.Warning}, texts: []string{"", "pleiad-doctor.dev.test. TXT"}, remedy: "bound them to the cluster's names"},
		"no services": {granted: func(k cluster.Key) bool { return k.Type != cluster.SRV },
			grades: []render.Grade{render.Broken}, texts: []string{"may not change _etcd-server._tcp.dev.test. SRV"}, remedy: "grant it to the user or role"},
		"unreachable": {err: fault.WithRemedy(fmt.Errorf("%w: down", dns.ErrUnreachable), "allow HTTPS"),
			grades: []render.Grade{render.Broken}, texts: []string{"unknown: "}, remedy: "allow HTTPS"},
	} {
		s := foreign(&zone{})
		s.Spec.DNS = cluster.DNSSpec{Route53: &cluster.Route53DNS{}}
		asking := 0
		s.Try = func(_ context.Context, k cluster.Key) error {
			if asking++; asking > 1 {
				t.Errorf("%s: two questions at once", name)
			}
			defer func() { asking-- }()
			switch {
			case c.err != nil:
				return c.err
			case !c.granted(k):
				return dns.ErrDenied
			}
			return nil
		}
		found := iamRights(t.Context(), s)
		if len(found) != len(c.grades) {
			t.Fatalf("%s: %+v", name, found)
		}
		for i, f := range found {
			want(t, f, c.grades[i], c.texts[i])
		}
		if last := found[len(found)-1]; !strings.Contains(last.Remedy, c.remedy) {
			t.Errorf("%s: %q", name, last.Remedy)
		}
	}
}
