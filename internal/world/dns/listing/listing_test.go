package listing

import (
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

func keys(names ...string) (out []cluster.Key) {
	for _, name := range names {
		out = append(out, cluster.Key{Name: name, Type: cluster.A})
	}
	return out
}

func TestScope(t *testing.T) {
	for name, c := range map[string]struct {
		keys  []cluster.Key
		below string
		fails bool
	}{
		"nothing":                     {nil, "c1.dev.test", false},
		"the domain and below":        {keys("C1.dev.test.", "a.c1.dev.test."), "c1.dev.test", false},
		"elsewhere in the zone":       {keys("a.c1.dev.test.", "a.dev.test."), "dev.test", false},
		"a name that ends like it":    {keys("a.xc1.dev.test."), "dev.test", false},
		"outside of the zone":         {keys("a.c1.dev.test.", "a.test."), "", true},
		"a zone whose name ends like": {keys("a.xdev.test."), "", true},
	} {
		if below, err := Scope("dev.test", "c1.dev.test", c.keys); below != c.below || (err != nil) != c.fails {
			t.Errorf("%s: %q, %v", name, below, err)
		}
	}
}

func TestCovers(t *testing.T) {
	now := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	l := Listing[int]{Below: "c1.dev.test", At: now}
	for name, c := range map[string]struct {
		listing Listing[int]
		later   time.Duration
		names   []cluster.Key
		want    bool
	}{
		"young":                        {l, Fresh, keys("a.c1.dev.test.", "c1.dev.test."), true},
		"too old":                      {l, Fresh + 1, keys("a.c1.dev.test."), false},
		"about something else as well": {l, 0, keys("a.c1.dev.test.", "a.dev.test."), false},
		"none":                         {Listing[int]{At: now}, 0, keys("a.c1.dev.test."), false},
	} {
		var changes []cluster.Change
		for _, k := range c.names {
			changes = append(changes, cluster.Change{Key: k})
		}
		if got := c.listing.Covers(changes, now.Add(c.later)); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
