package dns

import (
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

func TestCheck(t *testing.T) {
	set := func(name string, kind cluster.RecordType, values ...string) *cluster.RecordSet {
		return &cluster.RecordSet{Key: cluster.Key{Name: name, Type: kind}, TTL: 60, Values: values}
	}
	long := strings.Repeat("a", 63) + "."
	for name, test := range map[string]struct {
		set  *cluster.RecordSet
		want string // "" for none
	}{
		"A":                    {set("a.test.", cluster.A, "192.0.2.1"), ""},
		"two A":                {set("a.test.", cluster.A, "192.0.2.1", "192.0.2.2"), ""},
		"AAAA":                 {set("a.test.", cluster.AAAA, "2001:db8::1"), ""},
		"mapped AAAA":          {set("a.test.", cluster.AAAA, "::ffff:192.0.2.1"), ""},
		"SRV":                  {set("_a._tcp.test.", cluster.SRV, "0 0 2380 a.test."), ""},
		"TXT as it likes":      {set("a.test.", cluster.TXT, "", ` "B\ `), ""},
		"longest name":         {set(strings.Repeat(long, 3)+long[:61]+".", cluster.A, "192.0.2.1"), ""},
		"name too long":        {set(strings.Repeat(long, 3)+long[:62]+".", cluster.A, "192.0.2.1"), "at most 254 bytes"},
		"label too long":       {set("a"+long, cluster.A, "192.0.2.1"), "labels of 1 to 63"},
		"empty label":          {set("a..test.", cluster.A, "192.0.2.1"), "labels of 1 to 63"},
		"root":                 {set(".", cluster.A, "192.0.2.1"), "labels of 1 to 63"},
		"no trailing dot":      {set("a.test", cluster.A, "192.0.2.1"), "trailing dot"},
		"upper case":           {set("A.test.", cluster.A, "192.0.2.1"), "lower-case"},
		"wildcard":             {set("*.test.", cluster.A, "192.0.2.1"), "lower-case letters"},
		"other type":           {set("a.test.", "CNAME", "b.test."), "no records of this type"},
		"no values":            {set("a.test.", cluster.A), "absence is nil"},
		"unsorted":             {set("a.test.", cluster.A, "192.0.2.2", "192.0.2.1"), "not canonical"},
		"twice the same":       {set("a.test.", cluster.A, "192.0.2.1", "192.0.2.1"), "not canonical"},
		"upper-case target":    {set("_a._tcp.test.", cluster.SRV, "0 0 2380 A.test."), "not canonical"},
		"target without dot":   {set("_a._tcp.test.", cluster.SRV, "0 0 2380 a.test"), "trailing dot"},
		"port too large":       {set("_a._tcp.test.", cluster.SRV, "0 0 70000 a.test."), "0 to 65535"},
		"port with zero ahead": {set("_a._tcp.test.", cluster.SRV, "0 0 02380 a.test."), "0 to 65535"},
		"two spaces":           {set("_a._tcp.test.", cluster.SRV, "0 0  2380 a.test."), "priority, weight"},
		"no address":           {set("a.test.", cluster.A, "a.test."), "want an address"},
		"AAAA in A":            {set("a.test.", cluster.A, "2001:db8::1"), "want an address"},
		"A in AAAA":            {set("a.test.", cluster.AAAA, "192.0.2.1"), "want an address"},
		"long AAAA":            {set("a.test.", cluster.AAAA, "2001:db8:0::1"), "shortest form"},
		"address with zone":    {set("a.test.", cluster.AAAA, "fe80::1%eth0"), "want an address"},
		"no TTL":               {&cluster.RecordSet{Key: cluster.Key{Name: "a.test.", Type: cluster.A}, Values: []string{"192.0.2.1"}}, "TTL is not set"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Check([]cluster.Change{{Key: test.set.Key, New: test.set}})
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
	a, b := set("a.test.", cluster.A, "192.0.2.1"), set("b.test.", cluster.A, "192.0.2.1")
	if err := Check([]cluster.Change{{Key: a.Key, New: a}, {Key: b.Key, New: b}, {Key: a.Key, Old: a}}); err == nil {
		t.Error("two changes of one record set pass")
	}
	if err := Check([]cluster.Change{{Key: a.Key, Old: b}}); err == nil {
		t.Error("a change that carries another set passes")
	}
	if err := Check([]cluster.Change{{Key: a.Key, Old: a, New: a}, {Key: b.Key}}); err != nil {
		t.Errorf("two guards: %v", err)
	}
}
