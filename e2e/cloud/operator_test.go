package cloud

import (
	"context"
	"fmt"
	"io/fs"
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

	"github.com/pleiad-etcd/pleiad/e2e/site"
	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts/ec2/ec2fake"
)

const (
	accessKey = "AKIDEXAMPLE"
	secretKey = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"
	region    = "eu-test-1"
	// endpoint is where the API is, on the controller of the bed.
	endpoint = "127.0.0.1:8111"
)

// operator is somebody with an account at EC2, a zone in BIND, and a spec.
type operator struct {
	*testing.T
	site   *site.Site
	ec2    *ec2fake.Server
	boxes  *machines
	folder string
	told   strings.Builder
}

func newOperator(t *testing.T) *operator {
	o := &operator{T: t, folder: t.TempDir()}
	s, err := site.Open(t.Context(), o.folder, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	o.site, o.boxes = s, &machines{t: t, site: s, made: map[string]*bed.Host{}}
	o.ec2 = ec2fake.New(ec2fake.Account{AccessKey: accessKey, SecretKey: secretKey, Region: region, Subnets: subnets(s),
		Images: []string{"ami-0123456789abcdef0"}, KeyPairs: []string{"ops"}, SecurityGroups: []string{"sg-0123456789abcdef0"}, Types: []string{"m7.large"}})
	o.ec2.Machines = o.boxes
	o.serve()
	o.want(3)
	return o
}

// subnetID is that of the subnet in a zone.
func subnetID(zone string) string { return "subnet-0123456789abcdef" + zone }

// subnets are parts of the bed's network, in three zones.
func subnets(s *site.Site) (out []ec2fake.Subnet) {
	base := s.Prefix().Addr().As4()
	for i, zone := range []string{"a", "b", "c"} {
		base[3] = byte(64 + 16*i)
		out = append(out, ec2fake.Subnet{ID: subnetID(zone), Zone: region + zone, ZoneID: "use1-az" + fmt.Sprint(i+1), VPC: "vpc-1",
			Prefix: netip.PrefixFrom(netip.AddrFrom4(base), 28)})
	}
	return out
}

func (o *operator) serve() {
	l, err := o.site.Listen(o.Context(), netip.MustParseAddrPort(endpoint))
	if err != nil {
		o.Fatal(err)
	}
	server, ended := &http.Server{Handler: o.ec2, BaseContext: func(net.Listener) context.Context { return context.Background() }}, make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	o.Cleanup(func() {
		server.Close()
		<-ended
	})
}

// want writes the spec.
func (o *operator) want(members int) {
	o.Helper()
	spec := fmt.Sprintf(`cluster: %s
domain: %s
members: %d
hosts:
  ec2:
    region: %s
    image: ami-0123456789abcdef0
    instanceType: m7.large
    subnets: [%s, %s, %s]
    securityGroups: [sg-0123456789abcdef0]
    keyName: ops
    user: debian
    identityFile: %s
    endpoint: http://%s
dns:
  rfc2136:
    server: %s
    zone: %s
    keyFile: %s
`, site.Cluster, site.Domain, members, region, subnetID("a"), subnetID("b"), subnetID("c"), o.site.Key(), endpoint, o.site.Server.Addr(), site.Zone, o.site.Server.KeyFile())
	if err := os.WriteFile(filepath.Join(o.folder, "pleiad.yaml"), []byte(spec), 0o600); err != nil {
		o.Fatal(err)
	}
}

// run runs a command of pleiad that must end with an exit code, and returns what it
// says.
func (o *operator) run(exit int, command string, arguments ...string) string {
	o.Helper()
	ctx, cancel := context.WithTimeout(o.Context(), 5*time.Minute)
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

func (o *operator) command(ctx context.Context, command string, arguments ...string) *exec.Cmd {
	arguments = append([]string{command, "-f", filepath.Join(o.folder, "pleiad.yaml"), "--state-dir", filepath.Join(o.folder, "state")}, arguments...)
	c := o.site.Command(ctx, binary, arguments...)
	c.Env = append(c.Env, "HOME="+o.folder, "SSH_AUTH_SOCK=", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_ACCESS_KEY_ID="+accessKey, "AWS_SECRET_ACCESS_KEY="+secretKey)
	return c
}

// living are the instances of the cluster that are not terminated.
func (o *operator) living() []ec2fake.Instance {
	return slices.DeleteFunc(o.ec2.Instances(), func(i ec2fake.Instance) bool {
		return i.State == ec2fake.Terminated || i.Tags["pleiad:domain"] != site.Domain
	})
}

// nowhere looks for what is secret in all that was said, kept and sent.
func (o *operator) nowhere() {
	o.Helper()
	holds := func(where, text string) {
		if strings.Contains(text, secretKey) {
			o.Errorf("the secret key is in %s", where)
		}
	}
	holds("the output", o.told.String())
	for _, i := range o.ec2.Instances() {
		holds("user data", o.script(i))
		holds("tags", fmt.Sprint(i.Tags))
	}
	err := filepath.WalkDir(filepath.Join(o.folder, "state"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			text, _ := os.ReadFile(path)
			holds(path, string(text))
		}
		return err
	})
	if err != nil {
		o.Error(err)
	}
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
