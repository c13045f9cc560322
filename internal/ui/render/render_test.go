package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/converge/verify"
	"github.com/pleiad-etcd/pleiad/internal/operate"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files; commit only a difference you can explain")

// golden compares text with testdata/NAME.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
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
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// show is a value in all its forms: text, text in colour with its escape
// sequences readable, JSON.
func show(t *testing.T, v Value) string {
	t.Helper()
	var b strings.Builder
	for _, form := range []struct {
		title   string
		printer Printer
	}{{"text", Printer{Format: Text}}, {"colour", Printer{Format: Text, Screen: Screen{Color: true}}}, {"json", Printer{Format: JSON}}} {
		var out bytes.Buffer
		form.printer.Screen.W = &out
		if err := form.printer.Show(v); err != nil {
			t.Fatal(err)
		}
		text := out.String()
		if form.printer.Format == JSON {
			text = indent(t, out.Bytes())
		}
		fmt.Fprintf(&b, "-- %s --\n%s", form.title, strings.ReplaceAll(text, "\x1b", "␛"))
	}
	return b.String()
}

func indent(t *testing.T, line []byte) string {
	t.Helper()
	if bytes.Count(line, []byte("\n")) != 1 || line[len(line)-1] != '\n' {
		t.Errorf("want one line of JSON, got %q", line)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, line, "", "  "); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	return out.String()
}

func at(ms int) time.Time {
	return time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC).Add(time.Duration(ms) * time.Millisecond)
}

func TestValues(t *testing.T) {
	refusal := plan.Refusal{Rule: "R6", What: "start member etcd-a", Evidence: []string{"/x/data is empty, but member 1f once had data"},
		Remedy: []plan.Remedy{plan.PutDataBack.Say(), plan.StartOver.Say()}}
	files := CertificateFiles{CA: "/home/o'neil/a b/ca.crt", Cert: "/home/o'neil/a b/patroni.crt", Key: "/home/o'neil/a b/patroni.key"}
	for name, v := range map[string]Value{
		"fault": Fault{Error: "cannot destroy dev: there is no such cluster", Hints: []string{"see what there is: pleiad status"}, Exit: 6, Name: "no-cluster"},
		"outcome-up": Outcome{Command: "up", Cluster: "dev", Domain: "dev.test", Members: 3, Reached: true, Steps: 15, Took: 712 * time.Millisecond,
			Health: &Health{Domain: "dev.test", Verdict: operate.Healthy, Members: []operate.MemberHealth{{ID: "8211f1d0f64f3269", Name: "etcd-a", URL: "https://etcd-a.dev.test:2379", Healthy: true}}},
			Next:   []string{"pleiad etcdctl -- put greeting hello"}},
		"outcome-same":    Outcome{Command: "up", Cluster: "dev", Domain: "dev.test", Members: 1, Reached: true, Took: 51 * time.Millisecond},
		"outcome-refused": Outcome{Command: "up", Cluster: "dev", Domain: "dev.test", Members: 3, Refusals: []plan.Refusal{refusal}, Differences: []verify.Difference{{Where: "etcd-a", What: "not running"}}},
		"outcome-destroy": Outcome{Command: "destroy", Cluster: "dev", Domain: "dev.test", Members: 3, Reached: true, Steps: 9, Took: 61 * time.Second},
		"health": Health{Domain: "dev.test", Verdict: operate.Degraded, Problems: []string{"member 3 (etcd-c) is not in the client records"}, Members: []operate.MemberHealth{
			{ID: "8211f1d0f64f3269", Name: "etcd-a", URL: "https://etcd-a.dev.test:2379", Healthy: true},
			{Name: "etcd-b", URL: "https://etcd-b.dev.test:2379", Detail: "no answer from https://etcd-b.dev.test:2379: connection refused"}}},
		"endpoints": Endpoints{Domain: "dev.test", Service: "_etcd-client-ssl._tcp.dev.test.", Endpoints: []Endpoint{
			{URL: "https://etcd-a.dev.test:2379", Host: "etcd-a.dev.test", Port: 2379, TLS: true, Addresses: []string{"127.71.0.11"}}}},
		"environment": Variables{Note: []string{"for sh"}, Variables: []Variable{{"ETCDCTL_ENDPOINTS", "https://127.71.0.11:2379"},
			{"ETCDCTL_CACERT", "/home/o'neil/a b/ca.crt"}, {"ETCDCTL_USER", ""}}},
		"certificate": Certificate{Cluster: "dev", Name: "patroni", User: "patroni", NotAfter: time.Date(2027, 2, 25, 12, 30, 0, 0, time.UTC), Files: files,
			Settings: files.Settings(Finder{Domain: "dev.test", DiscoveryName: "c2", Service: "_etcd-client-ssl-c2._tcp.dev.test."}, true)},
		"certificate-local": Certificate{Cluster: "dev", Name: "batch", NotAfter: time.Date(2027, 2, 25, 12, 30, 0, 0, time.UTC), Files: files,
			Settings: files.Settings(Finder{Domain: "dev.test", Service: "_etcd-client-ssl._tcp.dev.test.", Endpoints: []string{"127.71.0.2:2379", "127.71.0.3:2379"}}, false)},
		"version": Version{Release: "(devel)", Revision: "abcdef0+changes", Etcd: "3.7.3", Go: "go1.26.8", Platform: "linux/amd64"},
		"findings": Findings{Worst: Warning, Findings: []Finding{{Check: "state directory", Grade: Fine, Found: "/x is writable"},
			{Check: "disk", Grade: Warning, Found: "fdatasync p99 14ms", Remedy: "keep the state on a faster disk"}}},
		"findings-hosts": Findings{Worst: Broken, Findings: []Finding{{Check: "TSIG key", Grade: Fine, Found: "accepted"},
			{Check: "host", Grade: Broken, Found: "login denied", Remedy: "let a key in: ssh-copy-id root@10.5.1.81\nor name another user", Host: "10.5.1.81"},
			{Check: "host", Grade: Fine, Found: "reached", Host: "10.5.1.82"}, {Check: "ports", Grade: Fine, Found: "free", Host: "10.5.1.82"}}},
		"hostile": Fault{Error: "marker \"\x1b[31m\u202ev=1\a\" is\nnot ours", Hints: []string{"\x1b]0;title\a"}},
	} {
		t.Run(name, func(t *testing.T) { golden(t, name+".golden", show(t, v)) })
	}
}

func spec3() cluster.Spec {
	return cluster.Spec{Cluster: "dev", Domain: "dev.test", Members: 3, TLS: true,
		Hosts: cluster.HostsSpec{Local: &cluster.LocalHosts{}}, DNS: cluster.DNSSpec{Embedded: &cluster.EmbeddedDNS{}}}
}

// Prose stays in its column where a terminal is narrow; commands stay whole.
func TestFindingsNarrow(t *testing.T) {
	var narrow bytes.Buffer
	found := Findings{Worst: Warning, Findings: []Finding{{Check: "clock", Grade: Warning, Found: "1.9s ahead of this machine's, give or take 1ms",
		Remedy: "let NTP synchronize both clocks; check there and here: timedatectl"}}}
	if err := (Printer{Format: Text, Screen: Screen{W: &narrow, Size: func() (int, int) { return 40, 24 }}}).Show(found); err != nil {
		t.Fatal(err)
	}
	golden(t, "findings-narrow.golden", narrow.String())
}

// again spells a command for the cluster of the spec in here.yaml.
func again(command string) string { return "pleiad " + command + " -f here.yaml" }

// nothing is the state before the first up.
func nothing() cluster.State {
	return cluster.State{At: at(0), Control: cluster.Known(cluster.Control{}), Server: cluster.Known(cluster.NameServer{Managed: true}), Records: cluster.Known(cluster.Records{}), Hosts: cluster.Known([]cluster.Host{}),
		Fresh: cluster.Fresh{Members: []cluster.MemberName{"etcd-aaaaaaa", "etcd-bbbbbbb", "etcd-ccccccc"}, Owner: "owner1", Token: "token1"}}
}

func TestRoad(t *testing.T) {
	spec := spec3()
	ahead := func(s cluster.State) Road {
		batches, err := plan.Road(plan.Up, spec, s)
		if err != nil {
			t.Fatal(err)
		}
		return NewRoad(spec, batches, again)
	}
	road := ahead(nothing())
	brief := road
	brief.Brief = true
	golden(t, "road.golden", show(t, road))
	golden(t, "road-brief.golden", show(t, brief))
	var narrow bytes.Buffer
	small := Screen{W: &narrow, Size: func() (int, int) { return 50, 24 }}
	if err := (Printer{Format: Text, Screen: small}).Show(brief); err != nil {
		t.Fatal(err)
	}
	golden(t, "road-narrow.golden", narrow.String())
	golden(t, "road-nothing.golden", show(t, NewRoad(spec, nil, again)))
	stuck := nothing()
	stuck.Server.Edit(func(n *cluster.NameServer) { n.Running = true })
	stuck.Hosts = cluster.Unknown[[]cluster.Host]("permission denied")
	golden(t, "road-refused.golden", show(t, ahead(stuck)))
}

// What will be paid for stands beside the steps, on one line.
func TestRoadLaunches(t *testing.T) {
	spec := spec3()
	spec.Hosts = cluster.HostsSpec{EC2: &cluster.EC2Hosts{Region: "eu-central-1", Image: "ami-0123456789abcdef0", InstanceTypes: []string{"m7i.large", "m6i.large"},
		Subnets: []string{"subnet-a", "subnet-b", "subnet-c"}, Volume: 20}}
	founding := plan.Plan{Together: true}
	for _, m := range nothing().Fresh.Members {
		founding.Steps = append(founding.Steps, plan.LaunchHost{Reason: plan.Reason{Why: "there is no such host"}, Member: m})
	}
	golden(t, "road-launches.golden", show(t, NewRoad(spec, []plan.Plan{founding}, again)))
	for name, v := range map[string]struct {
		spec cluster.Spec
		road []plan.Plan
	}{"a road that launches nothing": {spec, []plan.Plan{{Steps: []plan.Step{plan.AwaitHost{}}}}}, "hosts on this machine": {spec3(), []plan.Plan{founding}}} {
		if got := NewRoad(v.spec, v.road, again).Launches; got != nil {
			t.Errorf("%s launches %s", name, got)
		}
	}
	spec.Hosts.EC2.InstanceTypes, spec.Hosts.EC2.Volume, spec.Hosts.EC2.Subnets = []string{"m6i.large"}, 0, []string{"subnet-a"}
	const want = "launches in EC2, region eu-central-1: 1 instance of type m6i.large with a volume as large as the image says each, in 1 subnet; the cluster will have 10 records"
	one := []plan.Plan{{Steps: founding.Steps[:1]}}
	if got := NewRoad(spec, one, again).Launches.String(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// living is a state with one member as it should be, one without a client
// record that is down, and one whose host is gone.
func living() cluster.State {
	s := nothing()
	spec := spec3()
	s.Server = cluster.Known(cluster.NameServer{Managed: true, Running: true, Address: "127.71.0.1:53"})
	s.Control = cluster.Known(cluster.Control{Owner: "owner1", CA: "ca1", Operator: &cluster.Certificate{NotAfter: at(0).AddDate(1, 0, 0), RenewAt: at(0).AddDate(0, 8, 0)}})
	marker := cluster.Marker{Cluster: "dev", Owner: "owner1", Generation: 4, Token: "token1", Phase: cluster.Sealed, ID: 0xc1, CA: "ca1",
		Members: []cluster.MemberName{"etcd-aaaaaaa", "etcd-bbbbbbb", "etcd-ccccccc"}}
	member := func(name cluster.MemberName, id cluster.MemberID, last byte) cluster.Host {
		return cluster.Host{Name: name, Address: netip.AddrFrom4([4]byte{127, 71, 0, last}), Ports: cluster.StandardPorts(), Token: "token1",
			Node: cluster.Known(cluster.Node{Installed: "d", Sealed: true, Made: cluster.Made{Member: id, ID: 0xc1}, Data: cluster.Data{Present: true, Born: true, Member: id, Cluster: 0xc1},
				Certificate: &cluster.Certificate{NotAfter: at(0).AddDate(0, 1, 0), RenewAt: at(0).AddDate(0, 0, -int(last))}})}
	}
	a, b := member("etcd-aaaaaaa", 0xa, 11), member("etcd-bbbbbbb", 0xb, 12)
	a.Node.Edit(func(n *cluster.Node) {
		n.Process = cluster.Process{Running: true, PID: 4711, Restarts: 2, Since: at(0).Add(-26 * time.Hour)}
	})
	a.View = cluster.Known(cluster.View{ID: 0xa, Cluster: 0xc1, Leader: 0xa, Revision: 12, Version: "3.7.3", DBSize: 20480, Members: []cluster.Member{{ID: 0xa, Name: a.Name}, {ID: 0xb, Name: b.Name}, {ID: 0xc, Name: "etcd-ccccccc"}}})
	b.Node.Edit(func(n *cluster.Node) { n.Process.Exit = "the disk is full" })
	b.View = cluster.Unknown[cluster.View]("not running")
	s.Hosts = cluster.Known([]cluster.Host{a, b})
	service := func(hosts ...cluster.MemberName) (out []string) {
		for _, h := range hosts {
			out = append(out, cluster.Service{Target: spec.HostName(h) + ".", Port: 2380}.Value())
		}
		return out
	}
	s.Records = cluster.Known(cluster.Records{Sets: []cluster.RecordSet{
		cluster.NewRecordSet(spec.MarkerName(), cluster.TXT, marker.String()),
		spec.HostRecord(a.Name, a.Address), spec.HostRecord(b.Name, b.Address),
		cluster.NewRecordSet(spec.ServerService(), cluster.SRV, service(marker.Members...)...),
		cluster.NewRecordSet(spec.ClientService(), cluster.SRV, "0 0 2379 etcd-aaaaaaa.dev.test."),
	}})
	return s
}

func TestStatus(t *testing.T) {
	golden(t, "status.golden", show(t, NewStatus(spec3(), living(), again)))
	golden(t, "status-nothing.golden", show(t, NewStatus(spec3(), nothing(), again)))
	var narrow bytes.Buffer
	small := Screen{W: &narrow, Size: func() (int, int) { return 80, 24 }}
	if err := (Printer{Format: Text, Screen: small}).Show(NewStatus(spec3(), living(), again)); err != nil {
		t.Fatal(err)
	}
	golden(t, "status-narrow.golden", narrow.String())
	blind := living()
	blind.Records = cluster.Unknown[cluster.Records]("no answer within 5s")
	blind.Hosts.Or(nil)[1].Node = cluster.Unknown[cluster.Node]("permission denied")
	golden(t, "status-unknown.golden", show(t, NewStatus(spec3(), blind, again)))
	unlisted := living()
	unlisted.Hosts = cluster.Unknown[[]cluster.Host]("no answer within 3s")
	golden(t, "status-unlisted.golden", show(t, NewStatus(spec3(), unlisted, again)))
	old := living()
	old.Hosts.Or(nil)[0].Outdated = "image ami-1, the spec wants ami-2; type m5.large, the spec wants m7.large or m6.large"
	golden(t, "status-outdated.golden", show(t, NewStatus(spec3(), old, again)))
	crowded := spec3()
	crowded.Members = 0 // while members leave
	if text := show(t, NewStatus(crowded, living(), again)); strings.Contains(text, " of 0 ") || !strings.Contains(text, "healthy, 0 wanted") {
		t.Errorf("more members than the spec wants are told as:\n%s", text)
	}
	keyless := living()
	for i := range keyless.Hosts.Or(nil) {
		keyless.Hosts.Or(nil)[i].View = cluster.UnknownFor[cluster.View](cluster.Why{Text: "the member was not asked: no key", Unasked: true})
	}
	if text := show(t, NewStatus(spec3(), keyless, again)); strings.Contains(text, "unhealthy") || !strings.Contains(text, "unknown") {
		t.Errorf("members that nobody could ask are told as:\n%s", text)
	}
	dark := living()
	dark.Hosts = cluster.Known(append(dark.Hosts.Or(nil), cluster.Host{Name: "etcd-ccccccc"}))
	for i := range dark.Hosts.Or(nil) {
		dark.Hosts.Or(nil)[i].Node = cluster.Unknown[cluster.Node]("no answer within 3s")
	}
	places := living()
	places.Hosts, places.Places = cluster.Known[[]cluster.Host](nil), []cluster.Place{{Address: netip.MustParseAddr("192.0.2.1"), Unknown: "no answer within 3s"}}
	for what, state := range map[string]cluster.State{"the list": unlisted, "every host": dark, "every place": places} {
		if text := show(t, NewStatus(spec3(), state, again)); !strings.Contains(text, "members unknown") || strings.Contains(text, " of 3 ") {
			t.Errorf("%s was not seen, and health is told:\n%s", what, text)
		}
	}
}

type brokenWriter struct{}

var errBroken = errors.New("broken pipe")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestShowReportsTheWriter(t *testing.T) {
	for _, format := range []Format{Text, JSON} {
		if err := (Printer{Format: format, Screen: Screen{W: brokenWriter{}}}).Show(Version{}); !errors.Is(err, errBroken) {
			t.Errorf("%s: %v, want %v", format, err, errBroken)
		}
	}
}

// A row says "all" only where all of its records are right.
func TestPublished(t *testing.T) {
	all := []string{"address", "server", "client"}
	for _, test := range []struct {
		records, wrong []string
		want           string
	}{
		{all, nil, "all"},
		{all, []string{"address"}, "wrong address"},
		{all, []string{"server", "client"}, "wrong server+client"},
		{all[:2], nil, "address+server"},
		{all[:2], []string{"address"}, "server, wrong address"},
		{all[:1], []string{"address"}, "wrong address"},
		{nil, nil, "-"},
	} {
		if got := (HostStatus{Records: test.records, WrongRecords: test.wrong}).published(); got != test.want {
			t.Errorf("%v, of them wrong %v: %q, want %q", test.records, test.wrong, got, test.want)
		}
	}
}
