package member

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// gateQuestions are all that a start gate asks about peers and waits for: each
// address in both forms of its name.
func gateQuestions(n node.Node) []string {
	out := []string{"SRV " + n.Gate.Service, "SRV " + RivalService(n)}
	for _, p := range n.Gate.Peers {
		out = append(out, "A "+p.Target, "A "+p.Target)
	}
	return out
}

// Rule R3: what DNS says after the gate has seen the whole list counts for
// nothing: there is no second look. An address that is gone a moment later, or a
// list that is another one, founds no other cluster.
func TestDNSThatChangesBehindTheGate(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(members []cluster.Host) []string{
		"an address is gone": func(m []cluster.Host) []string { return publish(m, "etcd-b.dev.test.") },
		"all addresses are gone": func(m []cluster.Host) []string {
			return publish(m, "etcd-a.dev.test.", "etcd-b.dev.test.", "etcd-c.dev.test.")
		},
		"a peer resolves to this member": func(m []cluster.Host) []string {
			return append(publish(m, "etcd-b.dev.test."), "etcd-b.dev.test. 60 IN A "+m[0].Address.String())
		},
		"the list lacks a member": func(m []cluster.Host) []string { return publish(m[:2]) },
		"a rival list appears": func(m []cluster.Host) []string {
			return append(publish(m), "_etcd-server-ssl._tcp.dev.test. 60 IN SRV 0 0 2380 etcd-a.dev.test.")
		},
		"nothing is left": func([]cluster.Host) []string { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			members := []cluster.Host{newHost(t, "etcd-a"), newHost(t, "etcd-b"), newHost(t, "etcd-c")}
			dns := newNameServer(t)
			n := render(cluster.Bootstrapping, dns.addr, members[0], members[1:]...)
			install(t, n)
			whole := func() {
				dns.set(t, publish(members)...)
				dns.turnAfter(t, gateQuestions(n), change(members)...)
			}
			whole()
			m := launch(t, n)
			until(t, "the member to found its cluster", func() bool {
				found := m.inspect()
				if found.Process.Gate != "" { // a slow round saw the change already
					whole()
				}
				return found.Data.Present
			})
			if d := m.inspect().Data; d.Cluster != n.ID || d.Member != n.Member {
				t.Errorf("it is member %s of cluster %s, want %s of %s", d.Member, d.Cluster, n.Member, n.ID)
			}
			asked := len(dns.questions())
			until(t, "the member to dial its peers", func() bool {
				b, err := os.ReadFile(n.Paths.Log)
				return err == nil && strings.Contains(string(b), "connection refused")
			})
			if now := dns.questions(); len(now) != asked {
				t.Errorf("etcd asked DNS itself: %d times, first %q", len(now)-asked, now[asked])
			}
		})
	}
}

// A member file that would found another cluster than the computed one founds
// none, whatever DNS says.
func TestAnotherClusterIsNotFounded(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		edit func(n *node.Node)
		says string
	}{
		"a list without a member": {func(n *node.Node) {
			i := slices.IndexFunc(n.Args, func(a string) bool { return strings.HasPrefix(a, "--initial-cluster=") })
			n.Args[i], _, _ = strings.Cut(n.Args[i], ",")
		}, "would found cluster "},
		"another token": {func(n *node.Node) {
			i := slices.IndexFunc(n.Args, func(a string) bool { return strings.HasPrefix(a, "--initial-cluster-token=") })
			n.Args[i] += "x"
		}, "would found cluster "},
		"a gate without a member": {func(n *node.Node) { n.Gate.Peers = n.Gate.Peers[:1] }, "its gate looks for cluster "},
		"DNS to be asked again": {func(n *node.Node) {
			n.Args = append(n.Args, "--discovery-srv=dev.test")
		}, "lets etcd look for its peers by itself: --discovery-srv=dev.test"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			members := []cluster.Host{newHost(t, "etcd-a"), newHost(t, "etcd-b")}
			dns := newNameServer(t, publish(members)...)
			n := render(cluster.Bootstrapping, dns.addr, members[0], members[1])
			tt.edit(&n)
			refused(t, n, "R3: ", tt.says)
			if _, err := os.Stat(n.Paths.Data); !os.IsNotExist(err) {
				t.Errorf("the data directory was touched: %v", err)
			}
		})
	}
}

// An etcd that is another program gets the list that the gate has verified, and
// none of the flags that would let it look for one.
func TestAnotherEtcdFoundsFromItsFlags(t *testing.T) {
	t.Parallel()
	members := []cluster.Host{newHost(t, "etcd-a"), newHost(t, "etcd-b")}
	n := render(cluster.Bootstrapping, "", members[0], members[1])
	list := "--initial-cluster=etcd-a=" + spec(2).PeerURL("etcd-a", members[0].Ports.Peer) + ",etcd-b=" + spec(2).PeerURL("etcd-b", members[1].Ports.Peer)
	if !slices.Contains(n.Args, list) || !slices.Contains(n.Args, "--initial-cluster-state=new") {
		t.Errorf("flags %q, want %s", n.Args, list)
	}
	for _, a := range n.Args {
		if strings.HasPrefix(a, "--discovery") {
			t.Errorf("flags hold %s", a)
		}
	}
	if n.Resolver != "" {
		t.Errorf("resolver %q, want the system's", n.Resolver)
	}
}

// A pin that the system's hosts file overrules is found: Go reads that file
// first.
func TestMisled(t *testing.T) {
	t.Parallel()
	says := mustResolver(t, nobody, map[string]string{"etcd-a.dev.test": "127.1.2.3", "etcd-b.dev.test": "10.9.9.9"}).network()
	got := misled(t.Context(), says, map[string]string{"etcd-a.dev.test": "127.1.2.3", "etcd-b.dev.test": "127.1.2.4"})
	if want := []string{"etcd-b.dev.test has address 10.9.9.9, want 127.1.2.4"}; !slices.Equal(got, want) {
		t.Errorf("misled by %q, want %q", got, want)
	}
}
