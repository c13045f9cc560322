package node

import (
	"flag"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

var rewrite = flag.Bool("rewrite", false, "rewrite testdata/*.golden; commit only a difference you can explain")

// story is one rendered node that somebody should be able to review.
type story struct {
	name, text string
	spec       cluster.Spec
	phase      cluster.Phase
	hosts      []cluster.Host
	resolver   string
	joins      cluster.MemberID // of the first host; 0 for a founder
}

// localHosts are three hosts on loopback addresses of their own.
func localHosts() []cluster.Host {
	return hosts([]string{"127.23.5.2", "127.23.5.3", "127.23.5.4"}, func(int) cluster.Ports { return cluster.StandardPorts() })
}

func hosts(addrs []string, ports func(i int) cluster.Ports) []cluster.Host {
	names := []cluster.MemberName{"etcd-7h2mq9x", "etcd-k3v9qd2", "etcd-p0r4stu"}
	var out []cluster.Host
	for i, a := range addrs {
		root := "/state/dev/hosts/" + string(names[i])
		out = append(out, cluster.Host{Name: names[i], Address: netip.MustParseAddr(a), Ports: ports(i), Token: "t0k3n",
			Paths: cluster.Paths{Config: root, Data: root + "/data", Log: root + "/etcd.log"}})
	}
	return out
}

func dev(edit func(*cluster.Spec)) cluster.Spec {
	s := cluster.Spec{Cluster: "dev", Domain: "dev.test", Members: 3, TLS: true, Etcd: cluster.Etcd{Source: "bundled"},
		Hosts: cluster.HostsSpec{Local: &cluster.LocalHosts{}}, DNS: cluster.DNSSpec{Embedded: &cluster.EmbeddedDNS{}}}
	edit(&s)
	return s
}

func stories() []story {
	embedded := "127.23.5.1:5353"
	same := func(*cluster.Spec) {}
	onePerPort := hosts([]string{"127.0.0.1", "127.0.0.1", "127.0.0.1"}, func(i int) cluster.Ports {
		return cluster.Ports{Peer: 23800 + uint16(i), Client: 23790 + uint16(i), Metrics: 23810 + uint16(i)}
	})
	remote := hosts([]string{"2001:db8::81", "2001:db8::66", "2001:db8::203"}, func(int) cluster.Ports { return cluster.StandardPorts() })
	for i := range remote {
		remote[i].Paths = cluster.Paths{Config: "/etc/pleiad", Data: "/var/lib/etcd"}
	}
	return []story{
		{"bootstrapping", "A first boot: the gate compares DNS with the list, and etcd is given that list.",
			dev(same), cluster.Bootstrapping, localHosts(), embedded, 0},
		{"sealed", "The same member once the cluster is sealed: it needs no DNS to start, and its peers are pinned.",
			dev(same), cluster.Sealed, localHosts(), embedded, 0},
		{"joining", "A member that joins the sealed cluster, for its first start: etcd gets the full list, and takes its ID from the others.",
			dev(same), cluster.Sealed, localHosts(), embedded, 0xadd},
		{"destroying", "Destruction has begun: nothing that starts now may found a cluster.",
			dev(same), cluster.Destroying, localHosts(), embedded, 0},
		{"tls-off", "Without TLS: plain SRV names, http everywhere, no certificates.",
			dev(func(s *cluster.Spec) { s.TLS = false }), cluster.Bootstrapping, localHosts(), embedded, 0},
		{"discovery-name", "Several clusters on one domain: the SRV names carry the name.",
			dev(func(s *cluster.Spec) { s.DiscoveryName = "c2" }), cluster.Bootstrapping, localHosts(), embedded, 0},
		{"ports", "One address for all: each member has ports of its own, which SRV carries.",
			dev(same), cluster.Bootstrapping, onePerPort, "127.0.0.1:23853", 0},
		{"ipv6", "Remote hosts with IPv6: metrics stay on the host, the log goes to whatever runs the member.",
			dev(same), cluster.Bootstrapping, remote, "", 0},
		{"options", "Options of the user: they win over the defaults, and one more feature gate loses none of ours.",
			dev(func(s *cluster.Spec) {
				s.Etcd.Options = map[string]string{"auto-compaction-mode": "revision", "auto-compaction-retention": "1000",
					"feature-gates": "LeaseCheckpoint=true,CompactHashCheck=0", "quota-backend-bytes": "2147483648", "tls-min-version": "TLS1.3"}
			}), cluster.Bootstrapping, localHosts(), embedded, 0},
	}
}

func (s story) render() Node {
	marker := cluster.Marker{Cluster: s.spec.Cluster, Owner: "owner", Generation: 3, Token: "t0k3n", Phase: s.phase}
	if name := s.hosts[0].Name; s.joins != 0 {
		marker.ID = ClusterID(s.spec, marker.Token, s.hosts[1:])
		marker.Op, marker.IDs = cluster.Operation{Kind: cluster.Add, Member: name}, map[cluster.MemberName]cluster.MemberID{name: s.joins}
	}
	return Render(s.spec, marker, s.hosts, s.hosts[0], s.resolver)
}

func TestMemberFile(t *testing.T) {
	for _, s := range stories() {
		t.Run(s.name, func(t *testing.T) {
			path := filepath.Join("testdata", s.name+".golden")
			got := s.text + "\n\n" + string(s.render().Encode())
			if *rewrite {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-golden +rendered):\n%s", path, diff)
			}
		})
	}
}

func TestMemberFileIsReadBack(t *testing.T) {
	for _, s := range stories() {
		want := s.render()
		got, err := Decode(want.Encode())
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-rendered +read):\n%s", s.name, diff)
		}
	}
}

func TestForeignMemberFileIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{"version": 2, "paths": "elsewhere"}`: "read member.json: version 2, this pleiad reads version 1",
		`{}`:                                   "read member.json: version 0, this pleiad reads version 1",
		`{"version": 1, "name": 7}`:            "read member.json: json: cannot unmarshal number",
		`{"version": 1`:                        "read member.json: unexpected end of JSON input",
	} {
		if _, err := Decode([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// The cluster ID is what the cluster got at bootstrap, not what its present
// members would get.
func TestClusterIDOutlivesItsMembers(t *testing.T) {
	h := localHosts()
	marker := cluster.Marker{Token: "t0k3n", Phase: cluster.Bootstrapping}
	first := Render(dev(func(*cluster.Spec) {}), marker, h, h[0], "")
	marker.ID, marker.Phase = first.ID, cluster.Sealed
	if later := Render(dev(func(*cluster.Spec) {}), marker, h[:2], h[0], ""); later.ID != first.ID {
		t.Errorf("the ID of a sealed cluster became %s with a member less, want %s", later.ID, first.ID)
	}
}

// drawHosts draws between one and seven hosts with names and addresses of
// their own.
func drawHosts(t *rapid.T) []cluster.Host {
	names := rapid.SliceOfNDistinct(rapid.StringMatching(`etcd-[a-z0-9]{7,12}`), 1, 7, rapid.ID).Draw(t, "names")
	var out []cluster.Host
	for i, n := range names {
		out = append(out, cluster.Host{Name: cluster.MemberName(n), Address: netip.AddrFrom4([4]byte{127, 1, 0, byte(i + 1)}),
			Ports: cluster.StandardPorts(), Paths: cluster.Paths{Config: "/h/" + n, Data: "/h/" + n + "/data"}})
	}
	return out
}

func drawSpec(t *rapid.T) cluster.Spec {
	return dev(func(s *cluster.Spec) {
		s.TLS = rapid.Bool().Draw(t, "tls")
		s.DiscoveryName = rapid.SampledFrom([]string{"", "c2"}).Draw(t, "discoveryName")
		s.Etcd.Options = rapid.MapOf(rapid.SampledFrom([]string{"snapshot-count", "max-wals", "initial-election-tick-advance"}), rapid.Just("1")).Draw(t, "options")
	})
}

func TestNodeDoesNotDependOnTheOrderOfHosts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec, h := drawSpec(t), drawHosts(t)
		marker := cluster.Marker{Token: "t", Phase: rapid.SampledFrom([]cluster.Phase{cluster.Bootstrapping, cluster.Sealed}).Draw(t, "phase")}
		shuffled := rapid.Permutation(h).Draw(t, "shuffled")
		before := slices.Clone(shuffled)
		a, b := Render(spec, marker, h, h[0], "r:53"), Render(spec, marker, shuffled, h[0], "r:53")
		if a.Digest() != b.Digest() {
			t.Fatalf("digests differ with the order of hosts:\n%s", cmp.Diff(a, b))
		}
		if !reflect.DeepEqual(before, shuffled) {
			t.Fatal("Render sorted the caller's hosts")
		}
	})
}

// Sealing and changes of membership must restart nobody; a changed option must.
func TestFlagsChangeOnlyWhereAMemberMustRestart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec, h := drawSpec(t), drawHosts(t)
		marker := cluster.Marker{Token: "t", Phase: cluster.Bootstrapping}
		first := Render(spec, marker, h, h[0], "")
		marker.Phase, marker.ID = cluster.Sealed, first.ID
		for n := 1; n <= len(h); n++ {
			later := Render(spec, marker, h[:n], h[0], "")
			if first.Flags() != later.Flags() {
				t.Fatalf("sealed, with %d members, the flags differ:\n%s", n, cmp.Diff(first.Args, later.Args))
			}
			if first.Digest() == later.Digest() {
				t.Fatal("a sealed node has the digest of one that bootstraps")
			}
		}
		name := rapid.SampledFrom([]string{"snapshot-count", "initial-election-tick-advance"}).Draw(t, "changed")
		changed := spec
		changed.Etcd.Options = map[string]string{}
		for k, v := range spec.Etcd.Options {
			changed.Etcd.Options[k] = v
		}
		changed.Etcd.Options[name] = "0"
		if Render(changed, marker, h, h[0], "").Flags() == first.Flags() {
			t.Fatalf("a changed --%s does not change the flags", name)
		}
	})
}

// Keys travel beside a node: no part of it has room for one (rule R15).
func TestNodeHasNoRoomForKeys(t *testing.T) {
	var walk func(path string, ty reflect.Type)
	walk = func(path string, ty reflect.Type) {
		if ty == reflect.TypeFor[Credentials]() || ty == reflect.TypeFor[[]byte]() || ty.Kind() == reflect.Interface {
			t.Errorf("%s is a %s", path, ty)
		}
		switch ty.Kind() {
		case reflect.Struct:
			for i := range ty.NumField() {
				walk(path+"."+ty.Field(i).Name, ty.Field(i).Type)
			}
		case reflect.Slice, reflect.Map, reflect.Pointer, reflect.Array:
			walk(path+"[]", ty.Elem())
		}
	}
	walk("Node", reflect.TypeFor[Node]())
}

// etcd splits --log-outputs at commas, puts "rotate:/%2F" for the first slash
// and reads the path of that URL.
func TestLogPathSurvivesEtcd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		file := "/" + rapid.StringMatching(`([ -~]|[äß日\x01])*`).Draw(t, "file")
		var arg string
		for _, a := range logArgs(file) {
			if v, ok := strings.CutPrefix(a, "--log-outputs="); ok {
				arg = v
			}
		}
		u, err := url.Parse(fmt.Sprintf("rotate:/%%2F%s", strings.Split(arg, ",")[0][1:]))
		if err != nil {
			t.Fatalf("etcd cannot parse %q: %v", arg, err)
		}
		if got := u.Path[1:]; got != file {
			t.Fatalf("etcd would log to %q, want %q", got, file)
		}
	})
}

// A member that joined has the ID that etcd chose for it, which does not follow
// from its URL; the ID of the cluster stays that of its founders.
func TestIdentityOfAMemberThatJoined(t *testing.T) {
	s := stories()[0]
	m := cluster.Marker{Token: s.hosts[0].Token, Phase: cluster.Sealed, ID: 0xc1, IDs: map[cluster.MemberName]cluster.MemberID{s.hosts[1].Name: 0xadd}}
	for i, h := range s.hosts {
		want := cluster.BootstrapMemberID(s.spec.PeerURL(h.Name, h.Ports.Peer), m.Token)
		if i == 1 {
			want = 0xadd
		}
		if n := Render(s.spec, m, s.hosts, h, s.resolver); n.Member != want || n.ID != m.ID {
			t.Errorf("%s is member %s of cluster %s, want %s of %s", h.Name, n.Member, n.ID, want, m.ID)
		}
	}
}

// A node lets its member join while the marker says so, and only in a sealed
// cluster. That alone makes it another node, which restarts nobody.
func TestJoin(t *testing.T) {
	s := stories()[0]
	joining := cluster.Operation{Kind: cluster.Add, Member: s.hosts[0].Name}
	for _, tt := range []struct {
		name  string
		phase cluster.Phase
		op    cluster.Operation
		want  bool
	}{
		{"joins", cluster.Sealed, joining, true},
		{"joins in the place of another", cluster.Sealed, cluster.Operation{Kind: cluster.Add, Member: s.hosts[0].Name, For: s.hosts[1].Name}, true},
		{"another joins", cluster.Sealed, cluster.Operation{Kind: cluster.Add, Member: s.hosts[1].Name}, false},
		{"it is left by another", cluster.Sealed, cluster.Operation{Kind: cluster.Add, Member: s.hosts[1].Name, For: s.hosts[0].Name}, false},
		{"leaves", cluster.Sealed, cluster.Operation{Kind: cluster.Remove, Member: s.hosts[0].Name}, false},
		{"nothing happens", cluster.Sealed, cluster.Operation{}, false},
		{"the cluster is not sealed", cluster.Bootstrapping, joining, false},
		{"the cluster goes", cluster.Destroying, joining, false},
	} {
		m := cluster.Marker{Token: "t0k3n", Phase: tt.phase, ID: 0xc1, Op: tt.op}
		got := Render(s.spec, m, s.hosts, s.hosts[0], s.resolver)
		m.Op = cluster.Operation{}
		without := Render(s.spec, m, s.hosts, s.hosts[0], s.resolver)
		if other := got.Digest() != without.Digest(); got.Join != tt.want || other != tt.want || got.Flags() != without.Flags() {
			t.Errorf("%s: join %t, another digest %t, want %t, and the same flags", tt.name, got.Join, other, tt.want)
		}
	}
}

// The cluster that etcd founds with its flags is the one that the marker names
// and the gate looks for (rule R3), and etcd is never sent to look for its peers
// by itself.
func TestFounds(t *testing.T) {
	for _, s := range stories() {
		if s.joins != 0 {
			continue // it founds nothing
		}
		n := s.render()
		id, self, err := n.Founds()
		if err != nil || id != n.ID || self != n.Member {
			t.Errorf("%s: founds %s as member %s, %v, want %s as %s", s.name, id, self, err, n.ID, n.Member)
		}
		if got := s.spec.MemberID(cluster.Marker{Token: n.Token}, s.hosts[0]); got != self {
			t.Errorf("%s: member %s is expected, want %s", s.name, got, self)
		}
		if got := n.Gate.Founds(s.spec.Scheme(), n.Token); got != n.ID {
			t.Errorf("%s: the gate's peers are cluster %s, want %s", s.name, got, n.ID)
		}
	}
	n := stories()[0].render()
	for name, args := range map[string][]string{
		"DNS is asked again":   append(slices.Clone(n.Args), "--discovery-srv=dev.test"),
		"no list":              {initialToken + "t0k3n"},
		"no token":             {initialCluster + "etcd-7h2mq9x=https://etcd-7h2mq9x.dev.test:2380"},
		"nothing at all":       nil,
		"an empty member list": {initialCluster, initialToken + "t0k3n"},
	} {
		n.Args = args
		if id, _, err := n.Founds(); err == nil {
			t.Errorf("%s: founds %s, want an error", name, id)
		}
	}
}
