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

// Records that name a host and lead elsewhere are told from those that lead to it.
func TestWrongRecords(t *testing.T) {
	s := Spec{Cluster: "c1", Domain: "dev.test", Members: 1, TLS: true}
	h := Host{Name: "etcd-a", Token: "t", Address: netip.MustParseAddr("192.0.2.1"), Ports: StandardPorts()}
	m := Marker{Token: "t", Members: []MemberName{"etcd-a"}}
	address := s.HostRecord("etcd-a", h.Address)
	server := NewRecordSet(s.ServerService(), SRV, "0 0 2380 etcd-a.dev.test.")
	client := NewRecordSet(s.ClientService(), SRV, "0 0 2379 etcd-a.dev.test.")
	elsewhere := NewRecordSet(address.Name, A, "192.0.2.9")
	for name, test := range map[string]struct {
		sets []RecordSet
		want []string
	}{
		"all right":             {[]RecordSet{address, server, client}, nil},
		"none":                  {nil, nil},
		"another address":       {[]RecordSet{elsewhere, server, client}, []string{"address"}},
		"a second address":      {[]RecordSet{NewRecordSet(address.Name, A, "192.0.2.1", "192.0.2.9")}, []string{"address"}},
		"one of another family": {[]RecordSet{address, NewRecordSet(address.Name, AAAA, "2001:db8::1")}, []string{"address"}},
		"behind a proxy":        {[]RecordSet{NewRecordSet(address.Name, A, Proxied("192.0.2.1"))}, []string{"address"}},
		"another peer port":     {[]RecordSet{NewRecordSet(s.ServerService(), SRV, "0 0 2381 etcd-a.dev.test."), client}, []string{"server"}},
		"another client port":   {[]RecordSet{server, NewRecordSet(s.ClientService(), SRV, "0 0 2380 etcd-a.dev.test.")}, []string{"client"}},
	} {
		if diff := cmp.Diff(test.want, s.Roster(m, []Host{h}, Records{Sets: test.sets})[0].Wrong); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	h.Address = netip.Addr{}
	if got := s.Roster(m, []Host{h}, Records{Sets: []RecordSet{elsewhere}})[0].Wrong; got != nil {
		t.Errorf("a host without an address: %v", got)
	}
}
