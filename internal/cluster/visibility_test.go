package cluster

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestVisibilityTellsBehindFromUnknown(t *testing.T) {
	address := netip.MustParseAddr("192.0.2.1")
	agrees := AuthoritativeServer{Name: "ns1.test.", Address: address}
	behind := AuthoritativeServer{Name: "ns2.test.", Address: address, Behind: []string{"A a.test. shows nothing, want [192.0.2.9]"}}
	unknown := AuthoritativeServer{Name: "ns3.test.", Address: address, Unknown: "it answers REFUSED"}
	v := Visibility{Servers: []AuthoritativeServer{agrees, behind, unknown}}
	same := cmpopts.EquateComparable(netip.Addr{})
	if diff := cmp.Diff([]AuthoritativeServer{behind}, v.Behind(), same); diff != "" {
		t.Errorf("behind: %s", diff)
	}
	if diff := cmp.Diff([]AuthoritativeServer{unknown}, v.Unknown(), same); diff != "" {
		t.Errorf("unknown: %s", diff)
	}
	if len(v.Servers) != 3 || v.Servers[0].Name != agrees.Name {
		t.Errorf("asking changed the servers: %v", v.Servers)
	}
}
