package cloudflare

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/e2e/cloudflare/edge"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/cloudflare/cloudflaretest"
)

const (
	zone  = "twindb.test"
	token = "v1dQ3mXh7sYb2KpLw9ZtRf4NcJg6AeUo8TiBqxSH"
)

// operator is somebody who has a spec, a token, and a resolver that knows the
// zone.
type operator struct {
	t      *testing.T
	fake   *cloudflaretest.Fake
	folder string
	told   strings.Builder
}

func newOperator(t *testing.T) *operator {
	f := cloudflaretest.New(t)
	f.AddZone(cloudflaretest.Zone{Name: zone, NameServers: []string{edge.Server(zone)}})
	f.Allow(token, zone, cloudflaretest.EditRecords)
	o := &operator{t: t, fake: f, folder: t.TempDir()}
	o.write("resolv.conf", "nameserver "+serve(t, f)+"\n")
	o.write("pleiad.yaml", "cluster: e2e-cloudflare\ndomain: c1."+zone+"\nhosts: {local: {}}\ndns: {cloudflare: {endpoint: "+f.URL+"}}\n")
	t.Cleanup(func() { _, _, _ = o.try("destroy --yes") }) // where the test has not come so far
	return o
}

func (o *operator) write(name, text string) {
	o.t.Helper()
	if err := os.WriteFile(filepath.Join(o.folder, name), []byte(text), 0o600); err != nil {
		o.t.Fatal(err)
	}
}

// run runs a command of pleiad that must end with an exit code, and returns what
// it says.
func (o *operator) run(exit int, arguments string) string {
	o.t.Helper()
	out, code, err := o.try(arguments)
	if err != nil || code != exit {
		o.t.Errorf("pleiad %s: %v, exit code %d, want %d\n%s", arguments, err, code, exit, out)
	}
	return out
}

// try runs a command of pleiad in a mount namespace with a resolver of its own.
func (o *operator) try(arguments string) (said string, code int, err error) {
	c := exec.Command("unshare", "-m", "sh", "-c", `mount --bind resolv.conf /etc/resolv.conf && exec "$0" "$@"`, pleiad)
	c.Args = append(append(c.Args, strings.Fields(arguments)...), "-f", "pleiad.yaml")
	c.Dir = o.folder
	c.Env = append(os.Environ(), "HOME="+o.folder, "XDG_STATE_HOME="+filepath.Join(o.folder, "state"), "CLOUDFLARE_API_TOKEN="+token)
	out, err := c.CombinedOutput()
	o.told.Write(out)
	if ended := new(exec.ExitError); errors.As(err, &ended) {
		err = nil
	}
	return string(out), c.ProcessState.ExitCode(), err
}

// A cluster in a zone at Cloudflare, found through it, disturbed there, repaired,
// and taken down; records of others stay, and the token is nowhere.
func TestLifeAtCloudflare(t *testing.T) {
	o := newOperator(t)
	theirs := []cloudflaretest.Record{
		{Type: "A", Name: "www." + zone, Content: "192.0.2.80", TTL: 300},
		{Type: "A", Name: "etcd-aaaaaaa.xc1." + zone, Content: "192.0.2.81", TTL: 300},
		{Type: "TXT", Name: "c1." + zone, Content: `"v=spf1 -all"`, TTL: 300},
	}
	for i := range theirs {
		theirs[i] = o.fake.Put(zone, theirs[i])
	}
	if out := o.run(0, "doctor"); !strings.Contains(out, "may edit the records of zone "+zone) {
		t.Error(out)
	}
	before := o.fake.Calls()
	if out := o.run(0, "up"); !strings.Contains(out, "cluster is healthy") {
		t.Error(out)
	}
	// The claim, the list, the seal.
	if got := o.fake.Calls().Batches - before.Batches; got != 3 {
		t.Errorf("up changed the records %d times, want 3", got)
	}
	o.nowhere()
	before = o.fake.Calls()
	o.run(0, "up")
	if got := o.fake.Calls(); got.Batches != before.Batches {
		t.Errorf("up without need: %+v, then %+v", before, got)
	}

	o.disturb()
	if out := o.run(0, "status"); !strings.Contains(out, "proxied; want") || !strings.Contains(out, "SRV") {
		t.Error(out)
	}
	o.run(2, "plan")
	o.run(0, "up")
	if out := o.run(0, "status"); strings.Contains(out, "drift") {
		t.Error(out)
	}

	o.run(0, "destroy --yes")
	if left := o.fake.Records(zone); !slices.Equal(left, theirs) {
		t.Errorf("left of the zone: %+v, want %+v", left, theirs)
	}
	o.nowhere()
}

// disturb does what people do in a dashboard: an address becomes proxied, a
// service loses a member.
func (o *operator) disturb() {
	proxied, deleted := false, false
	for _, r := range o.fake.Records(zone) {
		switch {
		case r.Type == "A" && strings.HasSuffix(r.Name, ".c1."+zone) && !proxied:
			r.Proxied, r.TTL, proxied = true, 1, true
			o.fake.Put(zone, r)
		case r.Type == "SRV" && !deleted:
			deleted = true
			o.fake.Delete(zone, r.ID)
		}
	}
	if !proxied || !deleted {
		o.t.Fatal("there was nothing to disturb")
	}
}

// nowhere looks for the token in all that was said and kept, and in the arguments
// and environment of every process.
func (o *operator) nowhere() {
	o.t.Helper()
	if strings.Contains(o.told.String(), token) {
		o.t.Error("the token was printed")
	}
	holds := func(path string) bool {
		b, err := os.ReadFile(path)
		return err == nil && strings.Contains(string(b), token)
	}
	err := filepath.WalkDir(o.folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && holds(path) {
			o.t.Errorf("the token is in %s", path)
		}
		return err
	})
	if err != nil {
		o.t.Error(err)
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil || len(processes) == 0 {
		o.t.Errorf("no processes: %v", err)
	}
	for _, p := range processes {
		if holds(p+"/environ") || holds(p+"/cmdline") {
			o.t.Errorf("the token is with process %s", filepath.Base(p))
		}
	}
}
