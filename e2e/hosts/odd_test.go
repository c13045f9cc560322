package hosts

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/e2e/snapshot"
	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// R1: a machine whose shell prints something at each login is still a healthy
// member, and destroy takes it down like the others.
func TestNoisyLogin(t *testing.T) {
	t.Parallel()
	w, o := newWorld(t, 3)
	noisy := w.Hosts[1]
	w.on(noisy, `sed -i '1i [ ! -e /run/noise ] || { echo "$(hostname) is in maintenance until Friday"; echo "This system is monitored." >&2; }' /root/.bashrc`)
	before := w.snapshots()
	o.must("up")
	w.on(noisy, "touch /run/noise")
	if out, err := noisy.Exec(t.Context(), "true"); err != nil || !strings.Contains(out, "maintenance") {
		t.Fatalf("the login of %s printed %q, want noise: %v", noisy.Name, out, err)
	}
	for _, h := range o.status().Hosts {
		if h.Health != "healthy" {
			t.Errorf("%s is %s: %s", h.Name, h.Health, h.Detail)
		}
	}
	o.must("status").wantSaid("3 of 3 members healthy")
	o.wantNothingToDo()
	o.must("doctor")
	o.must("destroy", "--yes")
	w.wantRecords(false)
	w.on(noisy, "rm /run/noise")
	for i, after := range w.snapshots() {
		if diff := snapshot.Diff(before[i], after); diff != "" {
			t.Errorf("%s is not as it was:\n%s", w.Hosts[i].Name, diff)
		}
	}
}

// R1: a claim that cannot be read is unknown. Nothing is changed until it was
// written again, as the refusal says.
func TestDamagedClaim(t *testing.T) {
	t.Parallel()
	w, o := newWorld(t, 3)
	before := w.snapshots()
	o.must("up")
	damaged := w.Hosts[1]
	damage := func(command, what string, then ...string) {
		w.on(damaged, command)
		r := o.refused(5, []string{damaged.Addr.String(), node.ClaimFile + " " + what, "write the claim again"}, then...)
		if state := w.on(damaged, "systemctl is-active "+node.UnitName+" || true"); state != "active\n" {
			t.Errorf("the member of %s is %s", damaged.Name, state)
		}
		w.writeClaimAgain(damaged, r)
	}
	damage(": >"+node.ClaimFile, "is empty", "up")
	o.must("status").wantSaid("3 of 3 members healthy")
	o.wantNothingToDo()
	damage("truncate -s 40 "+node.ClaimFile, "is not a claim", "up")
	o.wantNothingToDo()
	damage(": >"+node.ClaimFile, "is empty", "destroy", "--yes")
	o.must("destroy", "--yes")
	w.wantRecords(false)
	for i, after := range w.snapshots() {
		if diff := snapshot.Diff(before[i], after); diff != "" {
			t.Errorf("%s is not as it was:\n%s", w.Hosts[i].Name, diff)
		}
	}
}

// writeClaimAgain does on a host what a refusal printed.
func (w *world) writeClaimAgain(h *bed.Host, r *run) {
	w.Helper()
	_, command, ok := strings.Cut(r.said.String(), " echo '")
	command, _, _ = strings.Cut(command, "\n")
	if !ok {
		w.Fatalf("no command that writes the claim: %s", r)
	}
	var doc struct{ Token, Name string }
	w.ok(json.Unmarshal([]byte(w.on(h, "cat "+node.MachinePaths().Config+"/"+node.FileName)), &doc))
	if doc.Token == "" || doc.Name == "" {
		w.Fatalf("%s has no token or no name: %+v", node.FileName, doc)
	}
	w.on(h, "echo '"+strings.NewReplacer("TOKEN", doc.Token, "NAME", doc.Name).Replace(command))
}

// With the state directory lost, and the marker or not, every command says that there
// is a cluster, and plan what is to be done by hand. Done as printed, nothing is left,
// and up makes a new cluster.
func TestStateDirectoryLost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		marker bool
		said   []string
		plan   []string // the command that says what to do by hand
	}{
		{"and the marker", false, []string{"nor is there a marker on", "but hosts of it exist", "  host etcd-", "pleiad plan"}, []string{"up"}},
		{"alone", true, []string{"belongs to owner", "its members: etcd-", "it runs since", "pleiad plan --destroy"}, []string{"plan", "--destroy"}},
	} {
		t.Run(c.name, func(t *testing.T) { loseStateDirectory(t, c.marker, c.said, c.plan) })
	}
}

func loseStateDirectory(t *testing.T, marker bool, said, plan []string) {
	w, o := newWorld(t, 3)
	before := w.snapshots()
	o.must("up")
	if !marker {
		w.nsupdate("update delete _pleiad." + domain + " TXT")
	}
	o = w.operator("b")
	o.refused(6, said, "destroy", "--yes")
	r := o.refused(5, []string{"work from the state directory that made the cluster", "remove the cluster by hand"}, plan...)
	for line := range strings.Lines(r.said.String()) {
		if where, command, ok := strings.Cut(strings.TrimSpace(line), ", as root: "); ok {
			i := slices.IndexFunc(w.Hosts, func(h *bed.Host) bool { return "on "+h.Addr.String() == where })
			if i < 0 {
				t.Fatalf("no host: %q", line)
			}
			w.on(w.Hosts[i], command)
		}
		if _, set, ok := strings.Cut(strings.TrimSpace(line), ": delete "); ok {
			w.nsupdate("update delete " + set)
		}
	}
	w.wantRecords(false)
	for i, after := range w.snapshots() {
		if diff := snapshot.Diff(before[i], after); diff != "" {
			t.Errorf("%s is not as it was:\n%s", w.Hosts[i].Name, diff)
		}
	}
	o.must("up")
	o.must("health")
	o.must("destroy", "--yes")
}

// hostStatus is a host as status shows it.
type hostStatus struct{ Name, Address, Health, Detail, Member string }

// status is what status shows.
type status struct {
	Hosts  []hostStatus
	Places []struct{ Address, Unknown string }
	took   time.Duration
}

func (o operator) status() (s status) {
	o.Helper()
	out, r := o.output("status", "--output", "json")
	o.ok(json.Unmarshal([]byte(out), &s))
	s.took = r.took
	return s
}

// One host with a slow login, one that does not answer and one on which sudo
// waits for a name server hide none of the others, nor one another.
func TestStatusOfOddHosts(t *testing.T) {
	t.Parallel()
	w, o := newWorld(t, 9)
	o.SpecFile = w.spec("user: root", "user: admin")
	o.must("up")
	slow, dead, mute := w.Hosts[2], w.Hosts[4], w.Hosts[6]
	odd := map[string]string{}
	for _, h := range []*bed.Host{slow, dead, mute} {
		odd[w.claimed(h)] = h.Addr.String()
	}
	w.on(slow, "sed -i '1i sleep 6' ~admin/.bashrc")
	w.muteNames(mute)
	w.ok(dead.PullCable(t.Context()))
	s := o.status()
	t.Logf("status of %d hosts took %s", len(s.Hosts), tenths(s.took))
	if s.took > 5*time.Second {
		t.Errorf("status took %s, want at most 5s", tenths(s.took))
	}
	if len(s.Hosts) != len(w.Hosts) {
		t.Errorf("status shows %d hosts, want %d", len(s.Hosts), len(w.Hosts))
	}
	reasons := map[string]bool{}
	for _, h := range s.Hosts {
		t.Logf("%+v", h)
		address, trouble := odd[h.Name]
		switch {
		case !trouble && (h.Health != "healthy" || h.Member == ""):
			t.Errorf("%s is %s (%s), want a whole row", h.Name, h.Health, h.Detail)
		case trouble && h.Detail != "":
			reasons[address] = true
		}
	}
	for _, p := range s.Places {
		t.Logf("%+v", p)
		reasons[p.Address] = reasons[p.Address] || p.Unknown != ""
	}
	for name, address := range odd {
		if !reasons[address] {
			t.Errorf("no reason for %s at %s", name, address)
		}
	}
	t.Log(o.must("status"))
	w.ok(dead.Heal(t.Context()))
}

// muteNames gives a host a name server that never answers, and has it ask that
// one for its own name.
func (w *world) muteNames(h *bed.Host) {
	w.Helper()
	addr, err := w.Address(w.Context())
	w.ok(err)
	silent, err := w.ListenPacket(w.Context(), netip.AddrPortFrom(addr, 53))
	w.ok(err)
	w.Cleanup(func() { _ = silent.Close() })
	w.ok(h.SetResolver(w.Context(), addr))
	w.on(h, `grep -vw "$(hostname)" /etc/hosts >/tmp/hosts || true
cat /tmp/hosts >/etc/hosts
sed -i 's/ myhostname//' /etc/nsswitch.conf`)
	begun := time.Now()
	w.on(h, "runuser -u admin -- sudo -n true")
	if took := time.Since(begun); took < 5*time.Second {
		w.Fatalf("sudo on %s took %s, want it to wait for the name server", h.Name, tenths(took))
	}
}
