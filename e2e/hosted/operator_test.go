package hosted

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// operator is somebody who has a spec, a secret, and a resolver that knows the zone.
type operator struct {
	t           *testing.T
	folder      string
	secret      string
	environment []string
	told        strings.Builder
}

// newOperator gives somebody a spec whose dns is this, beside a resolver that shows the
// records.
func newOperator(t *testing.T, dns string, records func() []string, secret string, environment ...string) *operator {
	o := &operator{t: t, folder: t.TempDir(), secret: secret}
	o.environment = append(append(os.Environ(), "HOME="+o.folder, "XDG_STATE_HOME="+filepath.Join(o.folder, "state")), environment...)
	o.write("resolv.conf", "nameserver "+serve(t, records)+"\n")
	o.write("pleiad.yaml", "cluster: e2e-hosted\ndomain: c1."+zone+"\nhosts: {local: {}}\ndns: "+dns+"\n")
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
	c.Env = o.environment
	out, err := c.CombinedOutput()
	o.told.Write(out)
	if ended := new(exec.ExitError); errors.As(err, &ended) {
		err = nil
	}
	return string(out), c.ProcessState.ExitCode(), err
}

// nowhere looks for the secret in all that was said and kept, and in the arguments
// and environment of every process.
func (o *operator) nowhere() {
	o.t.Helper()
	if strings.Contains(o.told.String(), o.secret) {
		o.t.Error("the secret was printed")
	}
	holds := func(path string) bool {
		b, err := os.ReadFile(path)
		return err == nil && strings.Contains(string(b), o.secret)
	}
	err := filepath.WalkDir(o.folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && holds(path) {
			o.t.Errorf("the secret is in %s", path)
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
			o.t.Errorf("the secret is with process %s", filepath.Base(p))
		}
	}
}

// api is what a walk needs of a zone behind an API.
type api struct {
	changes func() int   // how often the records were changed
	left    func() []any // all records, of others too
	disturb func()       // what people do in a dashboard
	granted string       // what doctor says of the rights
	drift   string       // what status says of one disturbance
}

// life is that of a cluster in a zone: found through it, disturbed there, repaired, and
// taken down. Records of others stay, and the secret is nowhere.
func (o *operator) life(a api) {
	t, theirs := o.t, a.left()
	t.Helper()
	if out := o.run(0, "doctor"); !strings.Contains(out, a.granted) {
		t.Error(out)
	}
	before := a.changes()
	if out := o.run(0, "up"); !strings.Contains(out, "cluster is healthy") {
		t.Error(out)
	}
	// The claim, the list, the seal.
	if got := a.changes() - before; got != 3 {
		t.Errorf("up changed the records %d times, want 3", got)
	}
	o.nowhere()
	before = a.changes()
	o.run(0, "up")
	if got := a.changes(); got != before {
		t.Errorf("up without need changed the records %d times", got-before)
	}

	a.disturb()
	if out := o.run(0, "status"); !strings.Contains(out, a.drift) || !strings.Contains(out, "SRV") {
		t.Error(out)
	}
	o.run(2, "plan")
	o.run(0, "up")
	if out := o.run(0, "status"); strings.Contains(out, "drift") {
		t.Error(out)
	}

	o.run(0, "destroy --yes")
	if diff := cmp.Diff(theirs, a.left()); diff != "" {
		t.Errorf("left of the zone (-want +got): %s", diff)
	}
	o.nowhere()
}

// anything is a list of any kind.
func anything[T any](list []T) (out []any) {
	for _, one := range list {
		out = append(out, one)
	}
	return out
}
