package operate

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/world"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/cloudflare"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/cloudflare/cloudflaretest"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts/ec2"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts/ec2/ec2fake"
	"github.com/pleiad-etcd/pleiad/internal/world/real"
	"github.com/pleiad-etcd/pleiad/internal/world/statedir"
)

const (
	cloudZone  = "cloud.test"
	cloudToken = "v1dQ3mXh7sYb2KpLw9ZtRf4NcJg6AeUo8TiBqxSH"
	cloudKey   = "AKIDEXAMPLE"
	cloudWord  = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"
)

// cloud is an account at EC2 and a zone at Cloudflare, both with things of others in
// them, and a real state directory. The providers are the real ones, and so is the
// loop; what runs on instances is made up (see machines).
type cloud struct {
	*testing.T
	root     string
	spec     cluster.Spec
	ec2      *ec2fake.Server
	zone     *cloudflaretest.Fake
	machines *machines
	wire     *wire
	records  []cloudflaretest.Record // of others
	given    sync.Map                // first keys: when, by member
}

func newCloud(t *testing.T) *cloud {
	c := &cloud{T: t, root: t.TempDir(), zone: cloudflaretest.New(t), wire: &wire{calls: map[string]int{}}}
	c.ec2 = ec2fake.New(ec2fake.Account{AccessKey: cloudKey, SecretKey: cloudWord, Region: "eu-test-1", Images: []string{"ami-0123456789abcdef0"}, KeyPairs: []string{"ops"},
		SecurityGroups: []string{"sg-0123456789abcdef0"}, Types: []string{"m7.large"}, Subnets: []ec2fake.Subnet{
			{ID: "subnet-0123456789abcdefa", Zone: "eu-test-1a", ZoneID: "use1-az1", VPC: "vpc-1", Prefix: netip.MustParsePrefix("10.5.1.0/24")},
			{ID: "subnet-0123456789abcdefb", Zone: "eu-test-1b", ZoneID: "use1-az2", VPC: "vpc-1", Prefix: netip.MustParsePrefix("10.5.2.0/24")},
			{ID: "subnet-0123456789abcdefc", Zone: "eu-test-1c", ZoneID: "use1-az3", VPC: "vpc-1", Prefix: netip.MustParsePrefix("10.5.3.0/24")},
		}})
	c.ec2.SetLag(ec2fake.Lag{Unseen: 12, Pending: 1, ShuttingDown: 1})
	c.machines = &machines{ec2: c.ec2, on: map[string]*machine{}}
	c.spec = cluster.Spec{Cluster: "blue", Domain: "blue." + cloudZone, Members: 3, TLS: true,
		Hosts: cluster.HostsSpec{EC2: &cluster.EC2Hosts{Region: "eu-test-1", Image: "ami-0123456789abcdef0", InstanceTypes: []string{"m7.large"}, Login: "private",
			Subnets: []string{"subnet-0123456789abcdefa", "subnet-0123456789abcdefb", "subnet-0123456789abcdefc"}, SecurityGroups: []string{"sg-0123456789abcdef0"}, KeyName: "ops", User: "admin", Endpoint: c.serve(c.ec2)}},
		DNS: cluster.DNSSpec{Cloudflare: &cluster.CloudflareDNS{Zone: cloudZone, Endpoint: c.serve(c.zone) + "/client/v4"}}}
	c.zone.AddZone(cloudflaretest.Zone{Name: cloudZone})
	c.zone.Allow(cloudToken, cloudZone, cloudflaretest.EditRecords)
	c.seed()
	return c
}

func (c *cloud) serve(api http.Handler) string {
	s := httptest.NewServer(c.wire.before(api))
	c.Cleanup(s.Close)
	return s.URL
}

// seed makes what could be taken for the cluster's.
func (c *cloud) seed() {
	for _, r := range []cloudflaretest.Record{
		{Type: "A", Name: "etcd-k3v9qd2." + cloudZone, Content: "192.0.2.81"},
		{Type: "A", Name: "etcd-k3v9qd2.x" + c.spec.Domain, Content: "192.0.2.82"},
		{Type: "TXT", Name: "_pleiad." + cloudZone, Content: `"v=1 cluster=blue owner=0123456789abcdef gen=1 token=0123456789abcdef state=sealed"`},
		{Type: "SRV", Name: "_etcd-server-ssl-c2._tcp." + c.spec.Domain, Data: &cloudflaretest.Service{Port: 2380, Target: "etcd-k3v9qd2." + cloudZone}},
	} {
		c.records = append(c.records, c.zone.Put(cloudZone, r))
	}
	for _, tags := range []map[string]string{{"pleiad:cluster": "blue"}, {"pleiad:cluster": "blue", "pleiad:domain": "other.test", "pleiad:member": "etcd-k3v9qd2"}} {
		c.ec2.Seed(ec2fake.Instance{Subnet: "subnet-0123456789abcdefa", Tags: tags, Volumes: []string{c.ec2.SeedVolume(ec2fake.Volume{Tags: tags}).ID}})
	}
}

// open makes the world anew, as each command does.
func (c *cloud) open(_ context.Context, t Target) (real.World, error) {
	provider, err := ec2.New(ec2.Config{Spec: t.Spec, Pause: time.Millisecond, Paths: node.MachinePaths(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: cloudKey, SecretAccessKey: cloudWord}, nil
		}),
		FirstKey: func(name cluster.MemberName) (private, public string, err error) {
			c.given.Store(name, time.Now())
			return "-----BEGIN\n" + string(name) + "\nEND-----\n", "ssh-ed25519 AAAA", nil
		},
		Contact: func(context.Context, cluster.Host) error { return nil },
		Part: func(name cluster.MemberName) error {
			c.given.Delete(name)
			return nil
		},
		Given: func() (map[cluster.MemberName]time.Time, error) {
			out := map[cluster.MemberName]time.Time{}
			c.given.Range(func(name, at any) bool {
				out[name.(cluster.MemberName)] = at.(time.Time)
				if !slices.ContainsFunc(c.ec2.Instances(), func(i ec2fake.Instance) bool { return i.Tags["pleiad:member"] == string(name.(cluster.MemberName)) }) {
					// What was never launched was to be so long ago that it need not be looked for
					// much longer; a call may be under way of a command that has died.
					out[name.(cluster.MemberName)] = time.Now().Add(time.Second - time.Minute)
				}
				return true
			})
			return out, nil
		},
	})
	if err != nil {
		return real.World{}, err
	}
	token, err := cloudflare.ParseToken(cloudToken)
	if err != nil {
		return real.World{}, err
	}
	zone, err := cloudflare.New(cloudflare.Config{Zone: cloudZone, Domain: t.Spec.Domain, Token: token, Endpoint: t.Spec.DNS.Cloudflare.Endpoint})
	if err != nil {
		return real.World{}, err
	}
	return real.World{
		World: world.World{DNS: dns.Guard(t.Spec, zone), Hosts: provider, Deliver: c.machines, Etcd: c.machines, Members: c.machines, Authority: t.Home, Fresh: world.Fresh},
		Sweep: func(ctx context.Context, keepData bool) error { return provider.Sweep(ctx, hosts.DataFate(keepData)) },
	}, nil
}

func (c *cloud) find(context.Context) (Target, error) { return target(c.root, c.spec) }

// do runs an operation, of which a call may fail.
func (c *cloud) do(op func(Operator, context.Context) (Result, error), f *cut) (Result, error) {
	ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
	defer cancel()
	c.wire.arm(f, cancel)
	o := New("test", c.find, c.open)
	o.Agreed = true
	o.Client = func(context.Context, cluster.Spec, real.World) (Health, error) { return Health{Verdict: Healthy}, nil }
	return op(o, ctx)
}

// must runs an operation that has to reach its goal.
func (c *cloud) must(op func(Operator, context.Context) (Result, error)) {
	c.Helper()
	if r, err := c.do(op, nil); err != nil || !r.Reached() {
		c.Fatalf("%v, %+v", err, r.Outcome)
	}
}

// holds checks that there is exactly one whole cluster, or none, beside what is of
// others.
func (c *cloud) holds(members int) {
	c.Helper()
	records := len(c.records)
	if members > 0 {
		records += 1 + 3*members // a marker; an address and two services of each
	}
	if left := c.zone.Records(cloudZone); len(left) != records {
		c.Errorf("%d records, want %d: %+v", len(left), records, left)
	}
	for _, r := range c.records {
		if !slices.Contains(c.zone.Records(cloudZone), r) {
			c.Errorf("a record of others is gone: %+v", r)
		}
	}
	living := slices.DeleteFunc(c.ec2.Instances(), func(i ec2fake.Instance) bool { return i.State == ec2fake.Terminated })
	names := map[string]bool{}
	for _, i := range living {
		names[i.Tags["pleiad:domain"]+i.Tags["pleiad:member"]] = true
	}
	const others = 2
	if len(living) != others+members || len(names) != len(living) || len(c.ec2.Volumes()) != others+members {
		c.Errorf("%d instances, %d volumes, want %d: %+v", len(living), len(c.ec2.Volumes()), others+members, living)
	}
}

// launched are the instances that ever were, beside those of others.
func (c *cloud) launched() int { return len(c.ec2.Instances()) - 2 }

// What is cut at any call, of a command that founds a cluster or takes one down, the next
// command makes good: it finishes, with three instances and ten records, none launched
// twice; or it removes everything. What is of others stays.
func TestEveryCallOfACloudFails(t *testing.T) {
	t.Parallel()
	whole := newCloud(t)
	whole.must(Operator.Up)
	whole.holds(3)
	up := whole.wire.count()
	t.Logf("up: %v", up)
	whole.must(destroy)
	whole.holds(0)
	down := whole.wire.count()
	t.Logf("destroy: %v", down)
	for _, c := range []struct {
		name  string
		calls map[string]int
		op    func(Operator, context.Context) (Result, error)
		begin int
	}{{"up", up, Operator.Up, 0}, {"destroy", down, destroy, 3}} {
		for _, f := range faults(c.calls) {
			t.Run(c.name+" "+f.String(), func(t *testing.T) {
				t.Parallel()
				w := newCloud(t)
				if c.begin > 0 {
					w.must(Operator.Up)
				}
				w.wire.count()
				w.do(c.op, &f) // it ends as it may
				if !f.came && f.must() {
					t.Error("the call did not come")
				}
				if c.begin == 0 {
					w.must(Operator.Up)
					w.holds(3)
					if n := w.launched(); n != 3 {
						t.Errorf("%d instances were launched", n)
					}
				}
				if _, err := statedir.Open(w.root, w.spec.Cluster); err == nil {
					w.must(destroy)
				}
				w.holds(0)
			})
		}
	}
}

// A cluster of which only a part was made is taken down just as well.
func TestDestroyAfterEveryCallOfACloud(t *testing.T) {
	t.Parallel()
	whole := newCloud(t)
	whole.must(Operator.Up)
	for _, f := range faults(whole.wire.count()) {
		if !f.dies {
			continue // up would go on
		}
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			w := newCloud(t)
			w.do(Operator.Up, &f)
			if _, err := statedir.Open(w.root, w.spec.Cluster); err == nil {
				w.must(destroy)
			}
			w.holds(0)
		})
	}
}

// A cluster that a script has made is not adopted: on its domain nothing is done, with or
// without TLS, and its records are named; beside it, a new cluster leaves it as it is.
func TestNothingOfAScriptIsAdopted(t *testing.T) {
	t.Parallel()
	for _, tls := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls %t", tls), func(t *testing.T) {
			t.Parallel()
			c := newCloud(t)
			c.spec.TLS = tls
			for n := range 3 {
				name := fmt.Sprintf("node%d.%s", n, c.spec.Domain)
				for _, r := range []cloudflaretest.Record{
					{Type: "A", Name: name, Content: fmt.Sprintf("10.5.1.%d", 10+n)},
					{Type: "SRV", Name: "_etcd-server._tcp." + c.spec.Domain, Data: &cloudflaretest.Service{Port: 2380, Target: name}},
				} {
					c.records = append(c.records, c.zone.Put(cloudZone, r))
				}
			}
			r, err := c.do(Operator.Up, nil)
			if err != nil || len(r.Refusals) == 0 || r.Refusals[0].Rule != "R10" {
				t.Errorf("%v, %+v, want a refusal by R10", err, r.Refusals)
			}
			for _, refusal := range r.Refusals {
				t.Log(refusal)
			}
			c.holds(0)
			c.spec.DiscoveryName = "c3"
			c.must(Operator.Up)
			c.holds(3)
			c.must(destroy)
			c.holds(0)
		})
	}
}

// cut is what happens to one call: it never arrives, or its answer is lost. The command
// goes on, or dies with it.
type cut struct {
	kind  string
	nth   int
	after bool
	dies  bool
	came  bool
}

// must says whether the call comes in any case; how often somebody looks varies.
func (f cut) must() bool { return f.nth == 1 || !looks(f.kind) }

func (f cut) String() string {
	return fmt.Sprintf("%s %d %s, %s", f.kind, f.nth, map[bool]string{false: "lost", true: "without an answer"}[f.after], map[bool]string{false: "goes on", true: "dies"}[f.dies])
}

func looks(kind string) bool {
	return strings.HasPrefix(kind, "Describe") || kind == "list" || kind == "zones"
}

// everyLook is for the long run: one look is lost like another between two changes.
var everyLook = flag.Bool("every-look", false, "have each look at EC2 and Cloudflare fail, not only every fifth")

// faults are all that can befall the calls of a command. A look without an answer is as
// one that never arrived.
func faults(calls map[string]int) (out []cut) {
	for _, kind := range slices.Sorted(maps.Keys(calls)) {
		every := 1
		if looks(kind) && !*everyLook {
			every = 5
		}
		for n := 1; n <= calls[kind]; n += every {
			for _, dies := range []bool{false, true} {
				out = append(out, cut{kind: kind, nth: n, dies: dies})
				if !looks(kind) {
					out = append(out, cut{kind: kind, nth: n, dies: dies, after: true})
				}
			}
		}
	}
	return out
}

// wire is what calls go through.
type wire struct {
	mu    sync.Mutex
	calls map[string]int
	fault *cut
	die   func()
}

func (w *wire) arm(f *cut, die func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault, w.die = f, die
}

// count gives the calls of each kind, and begins anew.
func (w *wire) count() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.calls
	w.calls = map[string]int{}
	return out
}

func (w *wire) before(api http.Handler) http.Handler {
	return http.HandlerFunc(func(answer http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		f, die := w.due(kindOf(r, body))
		if f == nil {
			api.ServeHTTP(answer, r)
			return
		}
		if f.after {
			api.ServeHTTP(httptest.NewRecorder(), r)
		}
		if f.dies {
			die()
		}
		panic(http.ErrAbortHandler)
	})
}

// due is the fault that befalls a call; nil for none.
func (w *wire) due(kind string) (*cut, func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls[kind]++
	if f := w.fault; f != nil && f.kind == kind && f.nth == w.calls[kind] {
		f.came = true
		return f, w.die
	}
	return nil, nil
}

func kindOf(r *http.Request, body []byte) string {
	if form, err := url.ParseQuery(string(body)); err == nil && form.Has("Action") {
		return form.Get("Action")
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/batch"):
		return "batch"
	case strings.HasSuffix(r.URL.Path, "/dns_records"):
		return "list"
	}
	return "zones"
}
