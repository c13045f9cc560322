package cluster

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// There is one row for each name. A host of another incarnation is not the host of
// the member of that name.
func TestRoster(t *testing.T) {
	s := Spec{Cluster: "c1", Domain: "dev.test", Members: 3, TLS: true}
	host := func(name MemberName, token Token) Host { return Host{Name: name, Token: token} }
	m := Marker{Token: "t", Members: []MemberName{"etcd-a", "etcd-b", "etcd-c"}}
	hosts := []Host{host("etcd-a", "t"), host("etcd-b", "former"), host("etcd-d", "t")}
	r := Records{Sets: []RecordSet{
		s.HostRecord("etcd-a", netip.MustParseAddr("192.0.2.1")),
		NewRecordSet(s.ServerService(), SRV, "0 0 2380 etcd-a.dev.test.", "0 0 2380 etcd-c.dev.test."),
		NewRecordSet(s.ClientService(), SRV, "0 0 2379 etcd-a.dev.test."),
	}}
	roster := s.Roster(m, hosts, r)
	want := Roster{
		{Name: "etcd-a", Listed: true, Host: &hosts[0], Published: []string{"address", "server", "client"}},
		{Name: "etcd-b", Listed: true, Host: &hosts[1], Stranger: true},
		{Name: "etcd-c", Listed: true, Published: []string{"server"}},
		{Name: "etcd-d", Host: &hosts[2]},
	}
	equal := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	if diff := cmp.Diff(want, roster, equal); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]MemberName{"etcd-b", "etcd-c"}, roster.Missing()); diff != "" {
		t.Error(diff)
	}
	for name, of := range map[MemberName][]Host{"etcd-a": roster.Members(), "etcd-b": roster.Strangers(), "etcd-d": roster.Unlisted()} {
		if len(of) != 1 || of[0].Name != name {
			t.Errorf("want %s, got %v", name, of)
		}
	}
	if h, found := roster.Member("etcd-b"); found {
		t.Errorf("a host of another incarnation is a member's: %v", h)
	}
}
