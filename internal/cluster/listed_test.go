package cluster

import (
	"net/netip"
	"testing"
)

// A member whose name has several addresses is nowhere, and keeps its ports.
func TestListed(t *testing.T) {
	s := Spec{Cluster: "c1", Domain: "dev.test", Members: 1, TLS: true}
	four, six := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	services := []RecordSet{
		NewRecordSet(s.ServerService(), SRV, "0 0 12380 etcd-a.dev.test."),
		NewRecordSet(s.ClientService(), SRV, "0 0 12379 etcd-a.dev.test."),
	}
	for name, tt := range map[string]struct {
		sets []RecordSet
		want netip.Addr
	}{
		"one":          {[]RecordSet{s.HostRecord("etcd-a", four)}, four},
		"of the other": {[]RecordSet{s.HostRecord("etcd-a", six)}, six},
		"none":         {nil, netip.Addr{}},
		"two families": {[]RecordSet{s.HostRecord("etcd-a", four), s.HostRecord("etcd-a", six)}, netip.Addr{}},
		"two":          {[]RecordSet{NewRecordSet("etcd-a.dev.test.", A, "192.0.2.1", "192.0.2.2")}, netip.Addr{}},
	} {
		h, whole := s.Listed(Records{Sets: append(tt.sets, services...)}, "etcd-a")
		if h.Address != tt.want || whole != tt.want.IsValid() || h.Ports.Peer != 12380 || h.Ports.Client != 12379 {
			t.Errorf("%s: %+v, %t", name, h, whole)
		}
	}
}
