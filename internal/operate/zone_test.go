package operate

import (
	"context"
	"errors"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/real"
	"github.com/pleiad-etcd/pleiad/internal/world/statedir"
)

type zoneDNS struct {
	dns.Zone
	records cluster.Records
	err     error
}

func (z zoneDNS) Read(context.Context, []cluster.Key) (cluster.Records, error) {
	return z.records, z.err
}

// A first up that named a wrong name server is no dead end: another server is
// refused only if the former one shows the marker, or could not be asked. Nothing
// else is asked for that.
func TestSameZoneAsksTheFormerServer(t *testing.T) {
	text := "cluster: blue\ndomain: b.example\nmembers: 1\nhosts: {ssh: {addresses: [10.0.0.1]}}\ndns: {rfc2136: {server: 192.0.2.1, zone: b.example, keyFile: /k}}\n"
	root := t.TempDir()
	put(t, root, text)
	h, err := statedir.Open(root, "blue")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Create(t.Context(), "someone", false); err != nil {
		t.Fatal(err)
	}
	if h, err = statedir.Open(root, "blue"); err != nil {
		t.Fatal(err)
	}
	was, err := Stored(h)
	if err != nil {
		t.Fatal(err)
	}
	now := Target{Root: root, Home: h, Stored: was, Spec: *was}
	other := *was.DNS.RFC2136
	other.Server = "192.0.2.2:53"
	now.Spec.DNS.RFC2136 = &other
	marker := cluster.Records{Sets: []cluster.RecordSet{{Key: cluster.Key{Name: was.MarkerName(), Type: cluster.TXT}, Values: []string{"x"}}}}
	empty := cluster.Known([]cluster.Host(nil))
	for name, c := range map[string]struct {
		former  zoneDNS
		hosts   cluster.Seen[[]cluster.Host]
		refused bool
	}{
		"never claimed":         {hosts: empty},
		"claimed there":         {former: zoneDNS{records: marker}, hosts: empty, refused: true},
		"not reachable":         {former: zoneDNS{err: errors.New("timeout")}, hosts: empty, refused: true},
		"hosts cannot be asked": {hosts: cluster.Unknown[[]cluster.Host]("timeout"), refused: true},
	} {
		o := New("test", nil, func(_ context.Context, asked Target) (real.World, error) {
			if asked.Spec.Primary() != was.Primary() {
				t.Errorf("%s: asked %s", name, asked.Spec.Primary())
			}
			return real.World{World: world.World{DNS: c.former}}, nil
		})
		state := cluster.State{Records: cluster.Known(cluster.Records{}), Hosts: c.hosts}
		err := o.SameZone(t.Context(), now, state, false)
		var astray *AstrayError
		if errors.As(err, &astray) != c.refused || (err != nil) != c.refused {
			t.Errorf("%s: %v, want refused %v", name, err, c.refused)
		}
	}
}
