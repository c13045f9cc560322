package cloud

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/e2e/hosted/edge"
	"github.com/pleiad-etcd/pleiad/e2e/spill"
	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/cloudflare/cloudflaretest"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts/ec2/ec2fake"
)

const (
	accessKey = "AKIDEXAMPLE"
	secretKey = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"
	token     = "v1dQ3mXh7sYb2KpLw9ZtRf4NcJg6AeUo8TiBqxSH"
	region    = "eu-test-1"
	image     = "ami-0fedcba9876543210"
	newImage  = "ami-0aaaaaaaaaaaaaaa1"
	group     = "sg-0fedcba9876543210"

	zone    = "bed.example"
	domain  = "c1." + zone
	cluster = "c1"

	// ec2Endpoint and zoneEndpoint are where the APIs are, on the controller of the bed.
	ec2Endpoint  = "127.0.0.1:8111"
	zoneEndpoint = "127.0.0.1:8112"
)

// operator is somebody with an account at EC2, a zone at Cloudflare, and a spec.
type operator struct {
	*testing.T
	bed     *bed.Bed
	ec2     *ec2fake.Server
	zone    *cloudflaretest.Fake
	boxes   *machines
	folder  string
	text    string // of the spec, for three members
	members int    // that the spec wants
	told    strings.Builder
	watch   *spill.Watch
	wrote   map[string]string // what machines wrote, by where
}

func newOperator(t *testing.T) *operator {
	o := &operator{T: t, bed: bed.Up(t, 0), folder: t.TempDir(), zone: cloudflaretest.New(t)}
	o.watch, o.wrote = spill.Start(binary), map[string]string{}
	t.Cleanup(o.watch.Stop)
	o.boxes = &machines{bed: o.bed, made: map[string]*bed.Host{}}
	o.ec2 = ec2fake.New(ec2fake.Account{AccessKey: accessKey, SecretKey: secretKey, Region: region, Subnets: subnets(o.bed),
		Images: []string{image, newImage}, KeyPairs: []string{"ops"}, SecurityGroups: []string{group}, Types: []string{"m7.large"}})
	o.ec2.Machines = o.boxes
	o.zone.AddZone(cloudflaretest.Zone{Name: zone, NameServers: []string{edge.Server(zone)}})
	o.zone.Allow(token, zone, cloudflaretest.EditRecords)
	o.serve(ec2Endpoint, o.ec2)
	o.serve(zoneEndpoint, o.zone)
	o.answer()
	o.write("credentials", fmt.Sprintf("export AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY=%s CLOUDFLARE_API_TOKEN=%s\n", accessKey, secretKey, token))
	o.spec()
	return o
}

// write writes a file of the operator's.
func (o *operator) write(name, text string) {
	o.Helper()
	o.ok(os.WriteFile(filepath.Join(o.folder, name), []byte(text), 0o600))
}

func (o *operator) ok(err error) {
	o.Helper()
	if err != nil {
		o.Fatal(err)
	}
}

// subnetID is that of the subnet in a zone.
func subnetID(zone string) string { return "subnet-0123456789abcdef" + zone }

// subnets are parts of the bed's network, in three zones.
func subnets(b *bed.Bed) (out []ec2fake.Subnet) {
	base := b.Prefix().Addr().As4()
	for i, zone := range []string{"a", "b", "c"} {
		base[3] = byte(64 + 16*i)
		out = append(out, ec2fake.Subnet{ID: subnetID(zone), Zone: region + zone, ZoneID: "use1-az" + fmt.Sprint(i+1), VPC: "vpc-1",
			Prefix: netip.PrefixFrom(netip.AddrFrom4(base), 28)})
	}
	return out
}

// serve serves an API on the controller.
func (o *operator) serve(at string, api http.Handler) {
	l, err := o.bed.Listen(o.Context(), netip.MustParseAddrPort(at))
	o.ok(err)
	server, ended := &http.Server{Handler: api, BaseContext: func(net.Listener) context.Context { return context.Background() }}, make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	o.Cleanup(func() {
		server.Close()
		<-ended
	})
}

// answer makes the name server of the zone, which the resolver of all machines asks.
func (o *operator) answer() {
	at, err := o.bed.Address(o.Context())
	o.ok(err)
	l, err := o.bed.Listen(o.Context(), netip.AddrPortFrom(at, 53))
	o.ok(err)
	p, err := o.bed.ListenPacket(o.Context(), netip.AddrPortFrom(at, 53))
	o.ok(err)
	stop := (&edge.Edge{Records: edge.Cloudflare(o.zone, zone), Zone: zone, At: at, Delay: time.Second}).Serve(l, p)
	o.Cleanup(func() {
		if err := stop(); err != nil {
			o.Error(err)
		}
	})
	o.ok(o.bed.Forward(o.Context(), zone+".", at))
}

// spec makes a spec of what init prints, as a person would.
func (o *operator) spec() {
	o.Helper()
	out, err := exec.CommandContext(o.Context(), binary, "init", "--hosts", "ec2", "--dns", "cloudflare").Output()
	o.ok(err)
	o.text, o.members = string(out), 3
	for _, change := range [][2]string{
		{"cluster: etcd-1\n", "cluster: " + cluster + "\n"},
		{"domain: etcd.example.com\n", "domain: " + domain + "\n"},
		{"    region: eu-central-1\n", "    region: " + region + "\n    endpoint: http://" + ec2Endpoint + "\n"},
		{"image: ami-0123456789abcdef0\n", "image: " + image + "\n"},
		{"instanceType: m6i.large\n", "instanceType: m7.large\n"},
		{"- subnet-0aaaaaaaaaaaaaaaa\n", "- " + subnetID("a") + "\n"},
		{"- subnet-0bbbbbbbbbbbbbbbb\n", "- " + subnetID("b") + "\n"},
		{"- subnet-0cccccccccccccccc\n", "- " + subnetID("c") + "\n"},
		{"- sg-0123456789abcdef0\n", "- " + group + "\n"},
		{"keyName: etcd\n", "keyName: ops\n"},
		{"    user: admin\n", "    user: debian\n    identityFile: " + o.bed.Key() + "\n"},
		{"    zone: example.com\n", "    zone: " + zone + "\n    endpoint: http://" + zoneEndpoint + "/client/v4\n"},
	} {
		o.edit(change[0], change[1])
	}
}

// edit changes the spec, by a text that is in it once.
func (o *operator) edit(old, text string) {
	o.Helper()
	if strings.Count(o.text, old) != 1 {
		o.Fatalf("the spec does not have %q once", old)
	}
	o.text = strings.Replace(o.text, old, text, 1)
	o.want(o.members)
}

// want writes the spec.
func (o *operator) want(members int) {
	o.Helper()
	o.members = members
	o.write("pleiad.yaml", strings.Replace(o.text, "members: 3\n", fmt.Sprintf("members: %d\n", members), 1))
}

// run runs a command of pleiad that must end with an exit code, and returns what it
// says.
func (o *operator) run(exit int, command string, arguments ...string) string {
	o.Helper()
	ctx, cancel := context.WithTimeout(o.Context(), 10*time.Minute)
	defer cancel()
	c := o.command(ctx, command, arguments...)
	begun := time.Now()
	out, err := c.CombinedOutput()
	o.told.Write(out)
	o.Logf("pleiad %s %s: %s", command, strings.Join(arguments, " "), time.Since(begun).Round(10*time.Millisecond))
	if code := c.ProcessState.ExitCode(); code != exit {
		o.Fatalf("pleiad %s: %v, exit code %d, want %d\n%s", command, err, code, exit, out)
	}
	return string(out)
}

// command is pleiad, which alone has the credentials in its environment: they come
// from a file that a shell reads before it becomes pleiad.
func (o *operator) command(ctx context.Context, command string, arguments ...string) *exec.Cmd {
	arguments = append([]string{command, "-f", filepath.Join(o.folder, "pleiad.yaml"), "--state-dir", filepath.Join(o.folder, "state")}, arguments...)
	shell := []string{"-c", `. "$0" && exec "$@"`, filepath.Join(o.folder, "credentials"), binary}
	c := o.bed.Command(ctx, "sh", append(shell, arguments...)...)
	c.Env = append(c.Env, "HOME="+o.folder, "SSH_AUTH_SOCK=", "AWS_EC2_METADATA_DISABLED=true")
	return c
}

// living are the instances of the cluster that are not terminated.
func (o *operator) living() []ec2fake.Instance {
	return slices.DeleteFunc(o.ec2.Instances(), func(i ec2fake.Instance) bool {
		return i.State == ec2fake.Terminated || i.Tags["pleiad:domain"] != domain
	})
}

// script is what an instance was given to run at its first boot.
func (o *operator) script(i ec2fake.Instance) string {
	o.Helper()
	text, err := i.Script()
	if err != nil {
		o.Fatal(err)
	}
	return text
}
