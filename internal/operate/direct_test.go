package operate

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/discovery"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// Members are found without a resolver: by their hosts, else by their records.
func TestLocated(t *testing.T) {
	spec := cluster.Spec{Cluster: "c1", Domain: "c1.test", Members: 2, TLS: true}
	host := func(name cluster.MemberName, addr string, token cluster.Token) cluster.Host {
		return cluster.Host{Name: name, Address: netip.MustParseAddr(addr), Ports: cluster.StandardPorts(), Token: token}
	}
	m := cluster.Marker{Cluster: "c1", Owner: "o", Generation: 1, Token: "t", Phase: cluster.Sealed, Members: []cluster.MemberName{"etcd-a", "etcd-b"}}
	marker := cluster.NewRecordSet(spec.MarkerName(), cluster.TXT, m.String())
	a, b := host("etcd-a", "10.0.0.1", "t"), host("etcd-b", "10.0.0.2", "t")
	address := spec.HostRecord("etcd-b", netip.MustParseAddr("10.0.0.9"))
	clients := cluster.NewRecordSet(spec.ClientService(), cluster.SRV, "0 0 2479 etcd-b.c1.test.")
	mute := cluster.Unknown[cluster.Records]("no answer")
	known := func(sets ...cluster.RecordSet) cluster.Seen[cluster.Records] {
		return cluster.Known(cluster.Records{Sets: sets})
	}
	for name, test := range map[string]struct {
		records cluster.Seen[cluster.Records]
		hosts   cluster.Seen[[]cluster.Host]
		want    string // the URLs, or the error
	}{
		"both hosts":                      {known(marker), cluster.Known([]cluster.Host{a, b}), "https://10.0.0.1:2379 https://10.0.0.2:2379"},
		"one is not a member":             {known(marker), cluster.Known([]cluster.Host{a, b, host("etcd-z", "10.0.0.7", "t")}), "https://10.0.0.1:2379 https://10.0.0.2:2379"},
		"a host that was not found":       {known(marker, address, clients), cluster.Known([]cluster.Host{a}), "https://10.0.0.1:2379 https://10.0.0.9:2479"},
		"a host of a former life":         {known(marker, address, clients), cluster.Known([]cluster.Host{a, host("etcd-b", "10.0.0.2", "former")}), "https://10.0.0.1:2379 https://10.0.0.9:2479"},
		"a host that nothing tells":       {known(marker), cluster.Known([]cluster.Host{a}), "https://10.0.0.1:2379 unknown etcd-b.c1.test"},
		"an address without a port":       {known(marker, address), cluster.Known([]cluster.Host{a}), "https://10.0.0.1:2379 unknown etcd-b.c1.test"},
		"hosts unknown":                   {known(marker, address, clients), cluster.Unknown[[]cluster.Host]("no way"), "unknown etcd-a.c1.test https://10.0.0.9:2479"},
		"records unknown":                 {mute, cluster.Known([]cluster.Host{a, b}), "https://10.0.0.1:2379 https://10.0.0.2:2379"},
		"records unknown, two lives":      {mute, cluster.Known([]cluster.Host{a, host("etcd-b", "10.0.0.2", "former")}), "its records cannot be read: no answer; and its hosts are of two incarnations"},
		"records unknown, no host":        {mute, cluster.Known([]cluster.Host{}), "its records cannot be read: no answer; and no host of it was found"},
		"neither":                         {mute, cluster.Unknown[[]cluster.Host]("no way"), "its records cannot be read: no answer; nor can its hosts: no way"},
		"no marker":                       {known(), cluster.Known([]cluster.Host{a, b}), "there is no marker on _pleiad.c1.test."},
		"something in the marker's place": {known(cluster.NewRecordSet(spec.MarkerName(), cluster.TXT, "hello")), cluster.Known([]cluster.Host{a, b}), "is not key=value"},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := located(spec, cluster.State{Records: test.records, Hosts: test.hosts})
			if err != nil {
				if !strings.Contains(err.Error(), test.want) {
					t.Errorf("%v, want %s", err, test.want)
				}
				return
			}
			var got []string
			for _, e := range found.Endpoints {
				switch {
				case errors.Is(e.AddrErr, discovery.ErrUnavailable):
					got = append(got, "unknown "+e.Host)
				case e.AddrErr != nil:
					t.Error(e.AddrErr)
				}
				got = append(got, ByAddress(e)...)
			}
			if s := strings.Join(got, " "); s != test.want {
				t.Errorf("%s, want %s", s, test.want)
			}
		})
	}
}
