package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/converge/spec"
	"github.com/pleiad-etcd/pleiad/internal/operate"
	"github.com/pleiad-etcd/pleiad/internal/world/real"
	"github.com/pleiad-etcd/pleiad/internal/world/statedir"
)

// put puts a spec where an earlier up would have.
func put(t *testing.T, root, text string) {
	t.Helper()
	s, err := spec.Parse("pleiad.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	h, err := statedir.Create(context.Background(), root, s.Cluster, statedir.SeatOf(s))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.SaveSpec(spec.Encode(s)); err != nil {
		t.Fatal(err)
	}
}

func TestFind(t *testing.T) {
	const blue = "cluster: blue\ndomain: b.example\nmembers: 5\ntls: off\n"
	file := func(text string) spec.Flags {
		path := filepath.Join(t.TempDir(), "pleiad.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return spec.Flags{File: path}
	}
	for name, test := range map[string]struct {
		flags spec.Flags
		want  string // cluster domain members tls home, or the error
		exit  Exit
	}{
		"defaults":             {spec.Flags{}, "dev dev.test 3 true false", OK},
		"unknown name":         {spec.Flags{Cluster: ptr("red")}, "red red.test 3 true false", OK},
		"what was used last":   {spec.Flags{Cluster: ptr("blue")}, "blue b.example 5 false true", OK},
		"another size":         {spec.Flags{Cluster: ptr("blue"), Members: ptr(3)}, "blue b.example 3 false true", OK},
		"TLS for the planner":  {spec.Flags{Cluster: ptr("blue"), TLS: ptr("auto")}, "blue b.example 5 true true", OK},
		"the same domain":      {spec.Flags{Cluster: ptr("blue"), Domain: ptr("b.example")}, "blue b.example 5 false true", OK},
		"another domain":       {spec.Flags{Cluster: ptr("blue"), Domain: ptr("c.example")}, "its domain is b.example, not c.example", BadSpec},
		"file":                 {file(blue), "blue b.example 5 false true", OK},
		"file, fewer keys":     {file("cluster: blue\ndomain: b.example\n"), "blue b.example 3 true true", OK},
		"file, other domain":   {file("cluster: blue\ndomain: c.example\n"), "its domain is b.example, not c.example", BadSpec},
		"file, discoveryName":  {file(blue + "discoveryName: c2\n"), `its discoveryName is "", not "c2"`, BadSpec},
		"file, other provider": {file(blue + "dns: {rfc2136: {server: 192.0.2.1, zone: b.example, keyFile: /k}}\n"), "its records are in zone b.example (embedded), not in zone b.example (rfc2136)", BadSpec},
		"file and flag":        {spec.Flags{File: file(blue).File, Members: ptr(3)}, "cannot be combined with -f", BadSpec},
		"no such file":         {spec.Flags{File: "/nonexistent/pleiad.yaml"}, "cannot read the spec: open /nonexistent/pleiad.yaml", BadSpec},
	} {
		t.Run(name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "state")
			put(t, root, blue)
			g := &globals{flags: test.flags, stateDir: root}
			found, err := g.find(t.Context(), &System{Streams: Streams{Env: os.Getenv}})
			if err != nil {
				f := explain(context.Background(), g, cannot("find it", err))
				if Exit(f.Exit) != test.exit || !strings.Contains(f.Error, test.want) {
					t.Errorf("exit %s: %s; want %s: %s", f.Name, f.Error, test.exit, test.want)
				}
				return
			}
			s := found.Spec
			got := strings.Join([]string{string(s.Cluster), s.Domain, string(rune('0' + s.Members)), boolean(s.TLS), boolean(found.Home != nil)}, " ")
			if got != test.want || test.exit != OK {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

// What a file names is found from wherever the next command is typed, and the
// members of a cluster are not looked for in another place than they run in.
func TestFindMachines(t *testing.T) {
	root, dir := filepath.Join(t.TempDir(), "state"), t.TempDir()
	const records = "cluster: red\ndomain: r.example\ndns: {rfc2136: {server: 192.0.2.53, zone: r.example, keyFile: /k}}\n"
	const machines = records + "hosts: {ssh: {addresses: [192.0.2.11, 192.0.2.12, 192.0.2.13], identityFile: id, knownHosts: ~/known, binaries: {arm64: p}}}\n"
	path := filepath.Join(dir, "pleiad.yaml")
	if err := os.WriteFile(path, []byte(machines), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	find := func() (operate.Target, error) {
		g := &globals{flags: spec.Flags{File: "pleiad.yaml"}, stateDir: root}
		return g.find(t.Context(), &System{Streams: Streams{Env: os.Getenv}})
	}
	found, err := find()
	if err != nil {
		t.Fatal(err)
	}
	ssh := found.Spec.Hosts.SSH
	got := []string{ssh.IdentityFile, ssh.KnownHosts, ssh.Binaries["arm64"]}
	for i, want := range []string{filepath.Join(dir, "id"), "~/known", filepath.Join(dir, "p")} {
		if got[i] != want {
			t.Errorf("%s, want %s", got[i], want)
		}
	}
	put(t, root, records)
	const refusal = "its hosts are of kind local, not ssh"
	if _, err := find(); err == nil || !strings.Contains(err.Error(), refusal) {
		t.Errorf("%v, want %s", err, refusal)
	}
	put(t, root, machines)
	if _, err := find(); err != nil {
		t.Error(err)
	}
}

// Instances are looked for in the region that the spec names: in another one there
// would seem to be none.
func TestFindInstances(t *testing.T) {
	root, path := filepath.Join(t.TempDir(), "state"), filepath.Join(t.TempDir(), "pleiad.yaml")
	const instances = "cluster: red\ndomain: r.example\ndns: {cloudflare: {}}\nhosts: {ec2: {region: eu-central-1, image: ami-0123456789abcdef0, " +
		"instanceType: m6i.large, subnets: [subnet-0aaaaaaaaaaaaaaaa], securityGroups: [sg-0123456789abcdef0], keyName: ops}}\n"
	put(t, root, instances)
	for text, want := range map[string]string{
		instances: "",
		strings.ReplaceAll(instances, "m6i.large", "[m7i.large, m6i.large]"): "",
		strings.ReplaceAll(instances, "eu-central-1", "us-east-1"):           "its instances are in region eu-central-1, not us-east-1",
		"cluster: red\ndomain: r.example\ndns: {cloudflare: {}}\n":           "its hosts are of kind ec2, not local",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		g := &globals{flags: spec.Flags{File: path}, stateDir: root}
		_, err := g.find(t.Context(), &System{Streams: Streams{Env: os.Getenv}})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("with %q: %v, want %q", text, err, want)
		}
	}
}

func boolean(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

func TestKnownSaysWhatThereIs(t *testing.T) {
	root := filepath.Join(t.TempDir(), "state")
	put(t, root, "cluster: blue\ndomain: b.example\n")
	g := &globals{stateDir: root}
	_, err := g.known(t.Context(), &System{Streams: Streams{Env: os.Getenv}, Open: real.Open})
	f := explain(context.Background(), g, err)
	if hints := strings.Join(f.Hints, "\n"); Exit(f.Exit) != NoCluster || !strings.Contains(hints, "--cluster blue") || !strings.Contains(hints, "pleiad up") {
		t.Errorf("exit %s, hints %q", f.Name, hints)
	}
}

func TestEndangered(t *testing.T) {
	host := cluster.Host{Name: "etcd-a"}
	q := operate.Question{Road: []plan.Plan{
		{Steps: []plan.Step{plan.LaunchHost{Member: "etcd-b"}, plan.StopMember{Host: host}}},
		{Steps: []plan.Step{plan.TerminateHost{Host: host}}},
		{Steps: []plan.Step{plan.StopMember{Host: cluster.Host{Name: "etcd-c"}, Back: true, Reason: plan.Reason{Why: "this is older"}}}},
	}}
	if got := endangered(q); len(got) != 2 || !strings.HasPrefix(got[0], "terminate host etcd-a") || got[1] != "restart member etcd-c: this is older" {
		t.Errorf("%q, want the end of etcd-a and an older program for etcd-c", got)
	}
}

func TestChooseMember(t *testing.T) {
	list := []cluster.MemberName{"etcd-abc", "etcd-abd", "etcd-xyz", "etcd-ab"}
	for name, want := range map[string]string{"etcd-xyz": "etcd-xyz", "etcd-x": "etcd-xyz", "xyz": "etcd-xyz", "x": "etcd-xyz", "etcd-ab": "etcd-ab", "ab": "", "q": "", "": ""} {
		got, err := choose(list, name)
		if err == nil && string(got) != want || err != nil && want != "" {
			t.Errorf("%q is %s, %v; want %s", name, got, err, want)
		}
	}
	var f *failure
	if _, err := choose(list, "q"); !errors.As(err, &f) || f.exit != NoCluster {
		t.Errorf("no such member: %v", err)
	}
	if _, err := choose(list, "ab"); !errors.As(err, &f) || f.exit != Usage || !strings.Contains(f.hints[0], "etcd-abc") {
		t.Errorf("several: %v", err)
	}
}

func TestEtcdctlEnvironment(t *testing.T) {
	root := filepath.Join(t.TempDir(), "state")
	put(t, root, "cluster: blue\ndomain: b.example\n")
	h, err := statedir.Open(root, "blue")
	if err != nil {
		t.Fatal(err)
	}
	secure := environment([]string{"https://a:1", "https://b:1"}, operate.Target{Home: h, Spec: cluster.Spec{TLS: true}})
	if secure[0].Value != "https://a:1,https://b:1" || !strings.HasSuffix(secure[3].Value, ".key") {
		t.Errorf("with TLS: %v", secure)
	}
	for _, v := range environment([]string{"http://a:1"}, operate.Target{Home: h})[1:] {
		if v.Value != "" {
			t.Errorf("without TLS %s is %s; it must be unset", v.Name, v.Value)
		}
	}
	for args, want := range map[string]bool{"--endpoints=x get": true, "--endpoints x": true, "get --endpointsx": false, "get a": false, "--cacert=": false} {
		if got := overridden("ETCDCTL_ENDPOINTS", strings.Fields(args)); got != want {
			t.Errorf("%q overrides the endpoints: %t", args, got)
		}
	}
}

// An owner without a spec is no fresh start: the defaults would begin a second
// cluster. A file that says where the cluster lives is the way out.
func TestLostSpec(t *testing.T) {
	root, dir := filepath.Join(t.TempDir(), "state"), t.TempDir()
	const machines = "cluster: red\ndomain: r.example\ndns: {rfc2136: {server: 192.0.2.53, zone: r.example, keyFile: /k}}\n" +
		"hosts: {ssh: {addresses: [192.0.2.11, 192.0.2.12, 192.0.2.13]}}\n"
	put(t, root, machines)
	h, err := statedir.Open(root, "red")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Create(t.Context(), "0wner", true); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(h.Dir(), "spec.yaml")); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"":                                       "spec.yaml: missing, but this directory owns cluster red",
		"cluster: red\ndomain: r.example\n":      "its records are in zone r.example",
		machines:                                 "",
		strings.ReplaceAll(machines, "53", "54"): "",
	} {
		g := &globals{flags: spec.Flags{Cluster: ptr("red")}, stateDir: root}
		if text != "" {
			g.flags = spec.Flags{File: filepath.Join(dir, "pleiad.yaml")}
			if err := os.WriteFile(g.flags.File, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := g.find(t.Context(), &System{Streams: Streams{Env: os.Getenv}})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("with %q: %v, want %q", text, err, want)
		}
	}
}
