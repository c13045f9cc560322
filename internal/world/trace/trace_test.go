package trace_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/world"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
	"github.com/pleiad-etcd/pleiad/internal/world/trace"
)

var errWorld = errors.New("the world failed")

// echo is a world in which every call returns a value, and the error if there
// is one.
type echo struct{ err error }

func (e echo) Read(context.Context, []cluster.Key) (cluster.Records, error) {
	return cluster.Records{Sets: []cluster.RecordSet{cluster.NewRecordSet("a.test.", cluster.A, "127.0.0.1")}}, e.err
}
func (e echo) Apply(context.Context, []cluster.Change) (dns.Receipt, error) { return "receipt", e.err }
func (e echo) Settled(context.Context, dns.Receipt) error                   { return e.err }
func (e echo) Remove(context.Context) error                                 { return e.err }
func (e echo) Status(context.Context) (cluster.NameServer, error) {
	return cluster.NameServer{Running: true, Address: "127.9.9.9:53"}, e.err
}
func (e echo) List(context.Context) (hosts.Listing, error) {
	return hosts.Listing{Hosts: []cluster.Host{host()}}, e.err
}
func (e echo) Compare(context.Context, []cluster.Key, cluster.Records) (cluster.Visibility, error) {
	return cluster.Visibility{Servers: []cluster.AuthoritativeServer{{Name: "ns1.test."}}}, e.err
}
func (e echo) At(context.Context, []netip.Addr) (hosts.Listing, error) { return hosts.Listing{}, e.err }
func (e echo) Launch(context.Context, cluster.MemberName, cluster.Token, ...netip.Addr) error {
	return e.err
}
func (e echo) Await(context.Context, cluster.Host, func(string)) error       { return e.err }
func (e echo) Terminate(context.Context, cluster.Host, hosts.DataFate) error { return e.err }
func (e echo) Trace(context.Context) ([]cluster.Host, error)                 { return []cluster.Host{host()}, e.err }
func (e echo) Heard(context.Context, cluster.Host) ([]cluster.MemberID, error) {
	return nil, e.err
}
func (e echo) View(context.Context, cluster.Host) (cluster.View, error) {
	return cluster.View{ID: 0xa1}, e.err
}
func (e echo) Shown(context.Context, cluster.Host) (cluster.Certificate, error) {
	return cluster.Certificate{}, e.err
}
func (e echo) AddLearner(context.Context, []cluster.Host, string) (cluster.MemberID, error) {
	return 0xa2, e.err
}
func (e echo) Promote(context.Context, []cluster.Host, cluster.MemberID) error    { return e.err }
func (e echo) MoveLeader(context.Context, []cluster.Host, cluster.MemberID) error { return e.err }
func (e echo) Create(context.Context, cluster.Owner, bool) error                  { return e.err }
func (e echo) RenewOperator(context.Context) error                                { return e.err }
func (e echo) Forget(context.Context) error                                       { return e.err }
func (e echo) Issue(context.Context, cluster.MemberName, []string) (node.Credentials, error) {
	return secret(), e.err
}

type server struct{ echo }

func (e server) Start(context.Context) error { return e.err }
func (e server) Stop(context.Context) error  { return e.err }

type delivery struct{ echo }

func (e delivery) Inspect(context.Context, cluster.Host) (cluster.Node, error) {
	return cluster.Node{Installed: "digest"}, e.err
}
func (e delivery) Install(context.Context, cluster.Host, node.Node, *node.Credentials, bool) error {
	return e.err
}
func (e delivery) Revert(context.Context, cluster.Host) error              { return e.err }
func (e delivery) Start(context.Context, cluster.Host) error               { return e.err }
func (e delivery) Stop(context.Context, cluster.Host, time.Duration) error { return e.err }

type list struct{ echo }

func (e list) Remove(context.Context, []cluster.Host, cluster.MemberID) error { return e.err }

type keys struct{ echo }

func (e keys) Inspect(context.Context) (cluster.Control, error) {
	return cluster.Control{Owner: "owner1"}, e.err
}

func host() cluster.Host {
	return cluster.Host{Name: "etcd-a", Address: netip.MustParseAddr("127.9.9.1"), Ports: cluster.StandardPorts()}
}

func secret() node.Credentials {
	top := []byte("TOPSECRET")
	pair := node.Pair{Cert: top, Key: top}
	return node.Credentials{PeerCA: top, ClientCA: top, Peer: pair, Server: pair, Gateway: pair}
}

// everything makes each call of every contract once and returns what came back.
func everything(w world.World) []any {
	ctx := context.Background()
	creds := secret()
	var out []any
	add := func(v ...any) { out = append(out, v...) }
	two := func(v any, err error) { add(v, err) }
	two(w.DNS.Read(ctx, []cluster.Key{{Name: "a.test.", Type: cluster.A}}))
	set := cluster.NewRecordSet("b.test.", cluster.A, "127.0.0.1")
	two(w.DNS.Apply(ctx, []cluster.Change{{Key: set.Key, New: &set}}))
	add(w.DNS.Settled(ctx, "receipt"))
	two(w.Authoritatives.Compare(ctx, []cluster.Key{set.Key}, cluster.Records{Sets: []cluster.RecordSet{set}}))
	two(w.Server.Status(ctx))
	add(w.Server.Start(ctx), w.Server.Stop(ctx), w.Server.Remove(ctx))
	two(w.Hosts.List(ctx))
	two(w.Hosts.At(ctx, []netip.Addr{netip.MustParseAddr("192.0.2.1")}))
	add(w.Hosts.Launch(ctx, "etcd-a", "t"), w.Hosts.Await(ctx, host(), nil), w.Hosts.Terminate(ctx, host(), hosts.DeleteData))
	two(w.Hosts.Trace(ctx))
	two(w.Deliver.Inspect(ctx, host()))
	add(w.Deliver.Install(ctx, host(), node.Node{Name: "etcd-a"}, &creds, true), w.Deliver.Revert(ctx, host()), w.Deliver.Start(ctx, host()), w.Deliver.Stop(ctx, host(), time.Second))
	two(w.Etcd.View(ctx, host()))
	two(w.Etcd.Shown(ctx, host()))
	two(w.Etcd.Heard(ctx, host()))
	via := []cluster.Host{host()}
	two(w.Members.AddLearner(ctx, via, "https://etcd-b.test:2380"))
	add(w.Members.Promote(ctx, via, 0xa2), w.Members.Remove(ctx, via, 0xa1), w.Members.MoveLeader(ctx, via, 0xa2))
	two(w.Authority.Inspect(ctx))
	add(w.Authority.Create(ctx, "owner1", true), w.Authority.RenewOperator(ctx))
	two(w.Authority.Issue(ctx, "etcd-a", []string{"etcd-a.test"}))
	add(w.Authority.Forget(ctx))
	return out
}

func made(err error) world.World {
	e := echo{err}
	return world.World{DNS: e, Server: server{e}, Authoritatives: e, Hosts: e, Deliver: delivery{e}, Etcd: e, Members: list{e}, Authority: keys{e}}
}

// methods counts the methods of all contracts that call somebody.
func methods() int {
	n := 0
	w := reflect.TypeFor[world.World]()
	for i := range w.NumField() {
		if f := w.Field(i); f.Type.Kind() == reflect.Interface {
			n += f.Type.NumMethod()
		}
	}
	return n
}

func TestPassesThrough(t *testing.T) {
	for name, fault := range map[string]error{"success": nil, "failure": errWorld} {
		t.Run(name, func(t *testing.T) {
			var calls []trace.Call
			w := trace.World(made(fault), "name server 127.9.9.9:53", func(c trace.Call) { calls = append(calls, c) })
			same := func(a, b error) bool { return a == b }
			if diff := cmp.Diff(everything(made(fault)), everything(w), cmp.Comparer(same), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("results differ (-plain +traced):\n%s", diff)
			}
			if len(calls) != methods() {
				t.Errorf("%d calls told, want one for each of %d methods", len(calls), methods())
			}
			for _, c := range calls {
				if c.Err != fault || c.Whom == "" || c.What == "" || (c.Answer == "") != (fault != nil) || c.Took < 0 || c.Began.IsZero() {
					t.Errorf("told as %+v, want error %v", c, fault)
				}
			}
		})
	}
}

// R15: secrets never in logs.
func TestTellsNoSecrets(t *testing.T) {
	w := trace.World(made(nil), "name server 127.9.9.9:53", func(c trace.Call) {
		for _, text := range []string{c.String(), fmt.Sprintf("%+v %q", c, c)} {
			if strings.Contains(text, "TOPSECRET") {
				t.Errorf("tells a secret: %s", text)
			}
		}
	})
	everything(w)
}

func TestLines(t *testing.T) {
	var lines []string
	w := trace.World(made(errWorld), "name server 127.9.9.9:53", func(c trace.Call) {
		c.Took = 0
		lines = append(lines, c.String())
	})
	everything(w)
	for _, want := range []string{
		"name server 127.9.9.9:53: read a.test. A: error: the world failed (0.0ms)",
		"name server 127.9.9.9:53: apply add b.test. A [127.0.0.1]: error: the world failed (0.0ms)",
		"host etcd-a: start member: error: the world failed (0.0ms)",
		"member etcd-a at 127.9.9.1:2379: view: error: the world failed (0.0ms)",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %q in:\n%s", want, strings.Join(lines, "\n"))
		}
	}
}

func TestNoServerStaysNone(t *testing.T) {
	w := made(nil)
	w.Server = nil
	if got := trace.World(w, "x", func(trace.Call) {}); got.Server != nil {
		t.Errorf("Server is %v, want nil: a plan would take DNS for ours", got.Server)
	}
}
