package ec2_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts/ec2"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts/ec2/ec2fake"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts/hoststest"
)

const (
	key    = "AKIDEXAMPLE"
	secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	token  = cluster.Token("8f2c6a0e8f2c6a0e")
)

// firsts are the first keys that were given.
type firsts struct {
	mu    sync.Mutex
	given map[cluster.MemberName]time.Time
}

func (f *firsts) give(name cluster.MemberName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.given == nil {
		f.given = map[cluster.MemberName]time.Time{}
	}
	f.given[name] = time.Now()
}

func (f *firsts) forget(name cluster.MemberName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.given, name)
}

func (f *firsts) all() map[cluster.MemberName]time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.given)
}

// account is a fake EC2 and those who work with it.
type account struct {
	*ec2fake.Server
	t    *testing.T
	url  string
	edit func(*cluster.EC2Hosts)
	// contact is what happens at a login; nil for nothing.
	contact func(cluster.Host) error
	parted  []cluster.MemberName
	first   firsts
	keys    aws.CredentialsProvider
}

func newAccount(t *testing.T) *account {
	a := &account{t: t, edit: func(*cluster.EC2Hosts) {}, Server: ec2fake.New(ec2fake.Account{
		AccessKey: key, SecretKey: secret, Region: "eu-central-1",
		Subnets: []ec2fake.Subnet{
			{ID: "subnet-a", Zone: "eu-central-1a", ZoneID: "euc1-az2", VPC: "vpc-1", Prefix: netip.MustParsePrefix("10.5.1.0/24"), Public: true},
			{ID: "subnet-b", Zone: "eu-central-1b", ZoneID: "euc1-az3", VPC: "vpc-1", Prefix: netip.MustParsePrefix("10.5.2.0/24")},
			{ID: "subnet-c", Zone: "eu-central-1c", ZoneID: "euc1-az1", VPC: "vpc-1", Prefix: netip.MustParsePrefix("10.5.3.0/24")},
		},
		Images: []string{"ami-1", "ami-2"}, KeyPairs: []string{"ops"}, SecurityGroups: []string{"sg-1", "sg-2"}, Profiles: []string{"node"}, Types: []string{"m7.large", "m6.large"},
	}), keys: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: key, SecretAccessKey: secret}, nil
	})}
	server := httptest.NewServer(a.Server)
	t.Cleanup(server.Close)
	a.url = server.URL
	return a
}

// provider is a new one, as of a second command.
func (a *account) provider(name cluster.Name) *ec2.Provider {
	a.t.Helper()
	spec := cluster.EC2Hosts{Region: "eu-central-1", Image: "ami-1", InstanceTypes: []string{"m7.large", "m6.large"}, Subnets: []string{"subnet-a", "subnet-b", "subnet-c"},
		SecurityGroups: []string{"sg-1", "sg-2"}, KeyName: "ops", Volume: 20, Endpoint: a.url}
	a.edit(&spec)
	p, err := ec2.New(ec2.Config{Spec: cluster.Spec{Cluster: name, Domain: string(name) + ".test", Hosts: cluster.HostsSpec{EC2: &spec}},
		Credentials: a.keys, Pause: time.Millisecond, Paths: cluster.Paths{Config: "/etc/pleiad", Data: "/var/lib/pleiad/data"},
		FirstKey: func(name cluster.MemberName) (private, public string, err error) {
			a.first.give(name)
			return "-----BEGIN\n" + string(name) + "\nEND-----\n", "ssh-ed25519 AAAA", nil
		},
		Contact: func(_ context.Context, h cluster.Host) error {
			if a.contact != nil {
				return a.contact(h)
			}
			return nil
		},
		Part: func(name cluster.MemberName) error {
			a.parted = append(a.parted, name)
			a.first.forget(name)
			return nil
		},
		Given: func() (map[cluster.MemberName]time.Time, error) {
			given := a.first.all()
			for name := range given {
				if !slices.ContainsFunc(a.Instances(), func(i ec2fake.Instance) bool { return i.Tags["pleiad:member"] == string(name) }) {
					given[name] = time.Time{} // what was never launched was to be long ago
				}
			}
			return given, nil
		},
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return p
}

func member(i int) cluster.MemberName { return cluster.MemberName(fmt.Sprintf("etcd-k3v9qd%d", i)) }

// of is the instance of a member that lives.
func (a *account) of(name cluster.MemberName) ec2fake.Instance {
	a.t.Helper()
	for _, i := range a.Instances() {
		if i.Tags["pleiad:member"] == string(name) && i.State != ec2fake.Terminated {
			return i
		}
	}
	a.t.Fatalf("there is no instance of %s", name)
	return ec2fake.Instance{}
}

// living are the instances that are not terminated.
func (a *account) living() (out []ec2fake.Instance) {
	return slices.DeleteFunc(a.Instances(), func(i ec2fake.Instance) bool { return i.State == ec2fake.Terminated })
}

func (a *account) volume(id string) (ec2fake.Volume, bool) {
	all := a.Volumes()
	i := slices.IndexFunc(all, func(v ec2fake.Volume) bool { return v.ID == id })
	if i < 0 {
		return ec2fake.Volume{}, false
	}
	return all[i], true
}

func TestConformance(t *testing.T) {
	t.Parallel()
	lags := map[string]ec2fake.Lag{"at once": {}, "late": {Unseen: 2, Pending: 2}}
	for kind, lag := range lags {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			hoststest.Run(t, func(t *testing.T) hoststest.World {
				a := newAccount(t)
				a.SetLag(lag)
				return hoststest.World{
					Provider: func(name cluster.Name) hosts.Provider { return a.provider(name) },
					Data: func(_ cluster.Name, h cluster.Host) func() hoststest.Where {
						id := a.of(h.Name).Volumes[0]
						return func() hoststest.Where {
							switch v, there := a.volume(id); {
							case !there:
								return hoststest.Deleted
							case v.State == ec2fake.InUse:
								return hoststest.OnHost
							case v.Tags["pleiad:kept"] != "":
								return hoststest.Kept
							}
							return "lost"
						}
					},
					Obscure: func(cluster.Name, cluster.Host) func() {
						a.Deny("DescribeInstances")
						return func() { a.Allow("DescribeInstances") }
					},
				}
			})
		})
	}
}

// ready is a host that was launched and awaited.
func (a *account) ready(p *ec2.Provider, name cluster.MemberName) cluster.Host {
	a.t.Helper()
	if err := p.Launch(a.t.Context(), name, token); err != nil {
		a.t.Fatal(err)
	}
	for range 2 {
		l, err := p.List(a.t.Context())
		if err != nil {
			a.t.Fatal(err)
		}
		i := slices.IndexFunc(l.Hosts, func(h cluster.Host) bool { return h.Name == name })
		if i < 0 {
			a.t.Fatalf("%+v is without %s", l, name)
		}
		if l.Hosts[i].Pending == "" {
			return l.Hosts[i]
		}
		if err := p.Await(a.t.Context(), l.Hosts[i], func(string) {}); err != nil {
			a.t.Fatal(err)
		}
	}
	a.t.Fatalf("%s stays pending", name)
	return cluster.Host{}
}

// An instance is launched as the spec says, encrypted, with IMDSv2 alone, and
// carries its claim from the beginning.
func TestLaunched(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.edit = func(s *cluster.EC2Hosts) { s.Profile, s.Login = "node", "public" }
	h := a.ready(a.provider("dev"), member(1))
	i := a.of(member(1))
	v, _ := a.volume(i.Volumes[0])
	script, err := i.Script()
	if err != nil || script == string(i.UserData) {
		t.Errorf("user data is not zipped: %v", err)
	}
	for what, got := range map[string]struct{ is, want any }{
		"image":    {i.Image, "ami-1"},
		"type":     {i.Type, "m7.large"},
		"key":      {i.KeyName, "ops"},
		"profile":  {i.Profile, "node"},
		"subnet":   {i.Subnet, "subnet-a"},
		"groups":   {strings.Join(i.SecurityGroups, " "), "sg-1 sg-2"},
		"metadata": {i.Metadata.Tokens + fmt.Sprint(i.Metadata.HopLimit), "required1"},
		"user data": {script, "#cloud-config\nssh_deletekeys: true\nssh_genkeytypes: [ed25519]\nssh_keys:\n" +
			"  ed25519_public: ssh-ed25519 AAAA\n  ed25519_private: |\n    -----BEGIN\n    " + string(member(1)) + "\n    END-----\n"},
		"volume":         {fmt.Sprintf("%d %s %t %t", v.Size, v.Type, v.Encrypted, v.DeleteOnTermination), "20 gp3 true false"},
		"claim":          {i.Tags["pleiad:cluster"] + i.Tags["pleiad:domain"] + i.Tags["pleiad:token"] + i.Tags["Name"], "devdev.test" + string(token) + string(member(1)) + ".dev.test"},
		"volume's":       {v.Tags["pleiad:member"], string(member(1))},
		"interface's":    {i.InterfaceTags["pleiad:member"], string(member(1))},
		"contacted":      {i.Tags["pleiad:contacted"], "yes"},
		"address":        {h.Address, i.PrivateAddress},
		"way":            {h.Way, cluster.Way{Address: i.PublicAddress, Vouched: string(member(1))}},
		"volume at once": {v.Tags["pleiad:contacted"], ""},
	} {
		if got.is != got.want {
			t.Errorf("%s: %v, want %v", what, got.is, got.want)
		}
	}
}

// A fresh cluster takes one call a member, and lists that do not grow with it.
func TestCalls(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	p := a.provider("dev")
	for i := range 5 {
		a.ready(p, member(i))
	}
	calls := a.Calls()
	if calls["RunInstances"] != 5 || calls["DescribeImages"] != 1 {
		t.Errorf("calls: %v, want 5 RunInstances, 1 DescribeImages", calls)
	}
	before := calls["DescribeInstances"]
	if _, err := a.provider("dev").List(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := a.Calls()["DescribeInstances"] - before; got != 1 {
		t.Errorf("a list takes %d calls, want 1", got)
	}
}

// Members are spread over the subnets, and a new one goes where one was lost.
func TestSpread(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	p := a.provider("dev")
	var launched []chan error
	for i := range 6 {
		done := make(chan error, 1)
		launched = append(launched, done)
		go func() { done <- p.Launch(t.Context(), member(i), token) }()
	}
	for _, done := range launched {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	in := map[string]int{}
	for _, i := range a.living() {
		in[i.Subnet]++
	}
	if fmt.Sprint(in) != "map[subnet-a:2 subnet-b:2 subnet-c:2]" {
		t.Errorf("instances: %v, want two in each subnet", in)
	}
	lost := a.of(member(3))
	a.TerminateByHand(lost.ID)
	a.ready(a.provider("dev"), member(7))
	if got := a.of(member(7)).Subnet; got != lost.Subnet {
		t.Errorf("in place of one in %s, it is launched in %s", lost.Subnet, got)
	}
}

// Whatever happens to the calls of a launch, trying again makes one instance.
func TestLaunchOnce(t *testing.T) {
	t.Parallel()
	for name, befall := range map[string]func(*account){
		"the answer is lost":        func(a *account) { a.LoseAnswer("RunInstances", 1) },
		"the request is lost":       func(a *account) { a.LoseRequest("RunInstances", 1) },
		"a list is lost after it":   func(a *account) { a.LoseAnswer("DescribeInstances", 2) },
		"it is throttled":           func(a *account) { a.Throttle("RunInstances", 1) },
		"it fails inside":           func(a *account) { a.Fail("RunInstances", 1, "InternalError") },
		"lost, and unseen for long": func(a *account) { a.SetLag(ec2fake.Lag{Unseen: 5}); a.LoseAnswer("RunInstances", 1) },
		"lost, and the spec changes": func(a *account) {
			a.LoseAnswer("RunInstances", 1)
			a.After("RunInstances", 1, func() { a.edit = func(s *cluster.EC2Hosts) { s.Image = "ami-2" } })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			befall(a)
			var err error
			for range 3 {
				if err = a.provider("dev").Launch(t.Context(), member(1), token); err == nil {
					break
				}
				if fault.Lasting(err) {
					t.Fatalf("it does not pass: %v", err)
				}
			}
			if l, failed := a.provider("dev").List(t.Context()); err != nil || failed != nil || len(l.Hosts) != 1 || len(a.living()) != 1 {
				t.Errorf("hosts %+v, %v; instances %d; launch: %v", l, failed, len(a.living()), err)
			}
		})
	}
}

// A client token gives an instance that has ended again; then another one is
// launched.
func TestLaunchAfterAnEnd(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	p := a.provider("dev")
	a.ready(p, member(1))
	for range 2 {
		if err := p.Terminate(t.Context(), cluster.Host{Name: member(1)}, hosts.DeleteData); err != nil {
			t.Fatal(err)
		}
		a.ForgetTerminated() // EC2 lists it for an hour, and knows the token for a day
		a.ready(p, member(1))
	}
	if n := len(a.living()); n != 1 {
		t.Errorf("%d instances live", n)
	}
}

// A zone without room for the first type gets the next one, and stays the zone.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.SetCapacity("m7.large", "eu-central-1a", 0)
	p := a.provider("dev")
	a.ready(p, member(1))
	if i := a.of(member(1)); i.Type != "m6.large" || i.Zone != "eu-central-1a" {
		t.Errorf("it is a %s in %s", i.Type, i.Zone)
	}
	a.SetCapacity("m6.large", "eu-central-1b", 0)
	a.SetCapacity("m7.large", "eu-central-1b", 0)
	err := p.Launch(t.Context(), member(2), token)
	if err == nil || fault.Lasting(err) || !strings.Contains(strings.Join(fault.Remedy(err), ""), "hosts.ec2.instanceType") || len(a.living()) != 1 {
		t.Errorf("without any room: %v, remedy %q", err, fault.Remedy(err))
	}
}

// A stopped instance is started; one that was terminated by hand is no host, and
// its volume waits for the end of the cluster.
func TestByHand(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	p := a.provider("dev")
	h := a.ready(p, member(1))
	a.ready(p, member(2))
	a.StopByHand(a.of(member(1)).ID)
	l, err := p.List(t.Context())
	if err != nil || len(l.Hosts) != 2 || l.Hosts[0].Pending == "" || l.Hosts[0].Blank {
		t.Fatalf("with a stopped instance: %+v, %v", l, err)
	}
	logins := 0
	a.contact = func(cluster.Host) error {
		if logins++; logins == 1 {
			return errors.New("connection refused")
		}
		return nil
	}
	var told []string
	if err := p.Await(t.Context(), l.Hosts[0], func(what string) { told = append(told, what) }); err != nil {
		t.Fatal(err)
	}
	if again := a.ready(p, member(1)); again.Address != h.Address || logins != 2 || !slices.Contains(told, "connection refused") {
		t.Errorf("started again: %+v, %d logins, told %q", again, logins, told)
	}

	lost := a.of(member(2))
	a.TerminateByHand(lost.ID)
	if l, err = p.List(t.Context()); err != nil || len(l.Hosts) != 1 {
		t.Errorf("with a terminated instance: %+v, %v", l, err)
	}
	if v, there := a.volume(lost.Volumes[0]); !there || v.State != ec2fake.Available {
		t.Errorf("its volume: %+v, %t", v, there)
	}
	if err := p.Sweep(t.Context(), hosts.DeleteData); err != nil {
		t.Fatal(err)
	}
	if _, there := a.volume(lost.Volumes[0]); !there {
		t.Error("the volume is gone while the cluster lives")
	}
	if err := p.Terminate(t.Context(), cluster.Host{Name: member(1)}, hosts.KeepData); err != nil {
		t.Fatal(err)
	}
	if err := p.Sweep(t.Context(), hosts.DeleteData); err != nil {
		t.Fatal(err)
	}
	if left := a.Volumes(); len(left) != 1 || left[0].Tags["pleiad:kept"] == "" {
		t.Errorf("volumes that are left: %+v, want the one that is kept", left)
	}
	if !slices.Contains(a.parted, member(1)) {
		t.Errorf("parted from %v", a.parted)
	}
}

// An instance of another image or type than the spec wants says so; it is a host all
// the same.
func TestOutdated(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, want string
		edit       func(*cluster.EC2Hosts)
	}{
		{"as wanted", "", func(*cluster.EC2Hosts) {}},
		{"of a later type in the list", "", func(s *cluster.EC2Hosts) { s.InstanceTypes = []string{"m8.large", "m7.large"} }},
		{"another image", "image ami-1, the spec wants ami-2", func(s *cluster.EC2Hosts) { s.Image = "ami-2" }},
		{"another type", "type m7.large, the spec wants m8.large or m6.large", func(s *cluster.EC2Hosts) { s.InstanceTypes = []string{"m8.large", "m6.large"} }},
		{"both", "image ami-1, the spec wants ami-2; type m7.large, the spec wants m6.large", func(s *cluster.EC2Hosts) { s.Image, s.InstanceTypes = "ami-2", []string{"m6.large"} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			if err := a.provider("c").Launch(t.Context(), member(1), token); err != nil {
				t.Fatal(err)
			}
			a.edit = c.edit
			l, err := a.provider("c").List(t.Context())
			if err != nil || len(l.Hosts) != 1 || l.Hosts[0].Outdated != c.want {
				t.Errorf("%+v, %v, want one host that is outdated by %q", l, err, c.want)
			}
		})
	}
}

// Who destroys a cluster and keeps its data keeps it also of a host whose instance
// somebody else has terminated.
func TestSweepKeeps(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	p := a.provider("dev")
	a.ready(p, member(1))
	a.TerminateByHand(a.of(member(1)).ID)
	for _, fate := range []hosts.DataFate{hosts.KeepData, hosts.DeleteData} {
		if err := p.Sweep(t.Context(), fate); err != nil {
			t.Fatal(err)
		}
		if left := a.Volumes(); len(left) != 1 || left[0].Tags["pleiad:kept"] == "" {
			t.Errorf("volumes that are left: %+v, want the one that is kept", left)
		}
	}
}

// An instance whose launch had no answer and that no list has yet is waited for and
// terminated, whatever becomes of data: it has none. One that was never launched is given
// up after a while, and one that somebody has logged in to is left alone.
func TestSweepAwaitsWhatIsLate(t *testing.T) {
	t.Parallel()
	for _, fate := range []hosts.DataFate{hosts.KeepData, hosts.DeleteData} {
		a := newAccount(t)
		a.SetLag(ec2fake.Lag{Unseen: 6, Pending: 2})
		a.LoseAnswer("RunInstances", 1)
		if err := a.provider("dev").Launch(t.Context(), member(1), token); err == nil {
			t.Error("a launch without an answer succeeded")
		}
		a.LoseRequest("RunInstances", 1)
		if err := a.provider("dev").Launch(t.Context(), member(2), token); err == nil {
			t.Error("a launch that was lost succeeded")
		}
		if err := a.provider("dev").Sweep(t.Context(), fate); err != nil {
			t.Fatal(err)
		}
		if i, v := len(a.living()), len(a.Volumes()); i+v != 0 || len(a.parted) != 2 {
			t.Errorf("%d instances and %d volumes are left; parted from %v", i, v, a.parted)
		}
	}
	a := newAccount(t)
	a.ready(a.provider("dev"), member(1))
	if err := a.provider("dev").Sweep(t.Context(), hosts.DeleteData); err != nil || len(a.living()) != 1 || len(a.Volumes()) != 1 {
		t.Errorf("%v; %+v, want the one instance", err, a.living())
	}
}

// What belongs to others stays, however much it looks like ours.
func TestLookalikes(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	for _, tags := range []map[string]string{
		{"Name": string(member(1)) + ".dev.test"},
		{"pleiad:cluster": "dev", "pleiad:member": string(member(1)), "pleiad:token": string(token)},
		{"pleiad:cluster": "dev", "pleiad:domain": "dev.test/b2", "pleiad:member": string(member(1)), "pleiad:token": string(token)},
		{"pleiad:cluster": "DEV", "pleiad:domain": "dev.test", "pleiad:member": string(member(1)), "pleiad:token": string(token)},
	} {
		v := a.SeedVolume(ec2fake.Volume{Tags: tags})
		a.Seed(ec2fake.Instance{Tags: tags, Volumes: []string{v.ID}})
		a.SeedVolume(ec2fake.Volume{Tags: tags})
	}
	p := a.provider("dev")
	if l, err := p.List(t.Context()); err != nil || len(l.Hosts)+len(l.Places) != 0 {
		t.Fatalf("List: %+v, %v", l, err)
	}
	a.ready(p, member(1))
	if err := errors.Join(p.Terminate(t.Context(), cluster.Host{Name: member(1)}, hosts.DeleteData), p.Sweep(t.Context(), hosts.DeleteData)); err != nil {
		t.Fatal(err)
	}
	if i, v := len(a.living()), len(a.Volumes()); i != 4 || v != 8 {
		t.Errorf("%d instances and %d volumes are left, want those of others: 4 and 8", i, v)
	}
}

// Errors say what only a person can mend, and how, and nothing secret. Done as they
// say, the host is launched.
func TestErrors(t *testing.T) {
	t.Parallel()
	fails := func(action, code string) func(*account) {
		return func(a *account) { a.Fail(action, 1, code) }
	}
	spec := func(edit func(*cluster.EC2Hosts)) func(*account) { return func(a *account) { a.edit = edit } }
	credentials := func(secret string, err error) func(*account) {
		return func(a *account) {
			a.keys = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: key, SecretAccessKey: secret}, err
			})
		}
	}
	was := spec(func(*cluster.EC2Hosts) {})
	nothing := func(*account) {}
	for name, c := range map[string]struct {
		befall  func(*account)
		lasting bool
		remedy  string
		after   time.Duration
		mend    func(*account)
	}{
		"no right": {func(a *account) { a.Deny("RunInstances") }, true, "ec2:RunInstances", 0, func(a *account) { a.Allow("RunInstances") }},
		"a quota":  {func(a *account) { a.SetVCPULimit(0) }, true, "quota", 0, func(a *account) { a.SetVCPULimit(4) }},
		"no room": {func(a *account) {
			a.SetCapacity("m7.large", "eu-central-1a", 0)
			a.edit = func(s *cluster.EC2Hosts) { s.InstanceTypes = s.InstanceTypes[:1] }
		}, false, "hosts.ec2.instanceType", 0, was},
		"no such image":  {spec(func(s *cluster.EC2Hosts) { s.Image = "ami-x" }), true, "hosts.ec2", 0, was},
		"no such subnet": {spec(func(s *cluster.EC2Hosts) { s.Subnets = []string{"subnet-x"} }), true, "hosts.ec2", 0, was},
		"no address":     {fails("RunInstances", "InsufficientFreeAddressesInSubnet"), true, "hosts.ec2.subnets", 0, nothing},
		"a wrong clock":  {fails("DescribeInstances", "RequestExpired"), true, "clock", 0, nothing},
		"too many calls": {func(a *account) { a.Throttle("DescribeInstances", 1) }, false, "", 3 * time.Second, nothing},
		"another key":    {credentials("another", nil), true, "get-caller-identity", 0, credentials(secret, nil)},
		"no key":         {credentials("", errors.New("none")), true, "AWS credentials", 0, credentials(secret, nil)},
		"nobody there":   {spec(func(s *cluster.EC2Hosts) { s.Endpoint = "http://127.0.0.1:1" }), false, "allow HTTPS", 0, was},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			c.befall(a)
			err := a.provider("dev").Launch(t.Context(), member(1), token)
			if err == nil || fault.Lasting(err) != c.lasting || fault.RetryAfter(err) != c.after || !strings.Contains(strings.Join(fault.Remedy(err), "\n"), c.remedy) {
				t.Errorf("%v: lasting %t, after %s, remedy %q", err, fault.Lasting(err), fault.RetryAfter(err), fault.Remedy(err))
			}
			if err != nil && (strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), key)) {
				t.Errorf("it says a key: %v", err)
			}
			c.mend(a)
			a.ready(a.provider("dev"), member(1))
		})
	}
}

// An instance that is protected stays until its protection is gone.
func TestProtected(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	p := a.provider("dev")
	a.ready(p, member(1))
	a.Fail("TerminateInstances", 1, "OperationNotPermitted")
	err := p.Terminate(t.Context(), cluster.Host{Name: member(1)}, hosts.DeleteData)
	if !fault.Lasting(err) || !strings.Contains(strings.Join(fault.Remedy(err), ""), "protection") || len(a.living()) != 1 || len(a.Volumes()) != 1 {
		t.Errorf("%v, remedy %q", err, fault.Remedy(err))
	}
	if err := p.Terminate(t.Context(), cluster.Host{Name: member(1)}, hosts.DeleteData); err != nil || len(a.living()) != 0 {
		t.Error(err)
	}
}
