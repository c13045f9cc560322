package hosts

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/e2e/snapshot"
	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// chefRepo is where hosts have the cookbooks that Chef runs by itself.
const chefRepo = "/opt/chef-repo"

// giveChef puts a client of Chef's onto hosts: a stand-in, which Debian's Ruby
// runs; or the real one, if PLEIAD_CHEF is the folder of its source, as
// docs/deliver-chef.md says.
func (w *world) giveChef() {
	w.Helper()
	pack := `dpkg -L ruby ruby3.1 libruby3.1 libgmp10 libyaml-0-2`
	client, err := os.ReadFile("testdata/cinc-client")
	w.ok(err)
	if source := os.Getenv("PLEIAD_CHEF"); source != "" {
		pack = fmt.Sprintf(`dpkg -L $(dpkg-query -W -f '${Package}\n' | grep -E '^(ruby|libruby|libarchive|libyajl|libgmp|libyaml|libxml2|libicu|libnettle|liblz4|libffi)'); find %s -path '*/.git' -prune -o -type f -print | grep -v -E '/(spec|distro|knife184|docs)/'`, source)
		client = fmt.Appendf(nil, "#!/bin/bash\n. %[1]s/env.sh\nexec /usr/bin/ruby %[1]s/bin/client.rb \"$@\"\n", source)
	}
	tarball, err := exec.CommandContext(w.Context(), "sh", "-c", "{ "+pack+"; } | sort -u | while read -r f; do if [ -L \"$f\" ] || [ -f \"$f\" ]; then echo \"$f\"; fi; done | "+
		"grep -v -E '^/usr/share/(doc|man|ri)' | tar -C / --no-recursion -czf - -T - 2>/dev/null").Output()
	w.ok(err)
	w.each(w.Hosts, func(h *bed.Host, ctx context.Context) error {
		if err := w.send(ctx, h, "tar -xzf - --skip-old-files -C /", tarball); err != nil {
			return err
		}
		return w.send(ctx, h, "cat >/usr/bin/cinc-client && chmod 755 /usr/bin/cinc-client && cinc-client --version", client)
	})
}

// send runs a command on a host that reads data.
func (w *world) send(ctx context.Context, h *bed.Host, command string, data []byte) error {
	cmd := w.Command(ctx, "ssh", "-F", w.SSHConfig(), h.Name, command)
	cmd.Stdin = bytes.NewReader(data)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s on %s: %w: %s", command, h.Name, err, out)
	}
	return nil
}

// byChef is the spec of an operator whose nodes Chef lays down.
func (o operator) byChef(members string, more string) {
	o.Helper()
	text := regexp.MustCompile(`members: \d`).ReplaceAllString(o.Spec(o.Hosts), "members: "+members)
	o.ok(os.WriteFile(o.SpecFile, []byte(text+"deliver: chef\n"+more), 0o600))
}

// converges is a run of Chef on a host that nobody at pleiad asked for, and how much
// it updated.
func (w *world) converges(h *bed.Host) (updated string) {
	w.Helper()
	said := w.on(h, chefRun("recipe[etcd-server]"))
	found := regexp.MustCompile(`(\d+)/\d+ resources updated`).FindStringSubmatch(said)
	if found == nil {
		w.Fatalf("Chef's run on %s says no count: %s", h.Name, said)
	}
	w.Logf("a run of Chef's own on %s: %s", h.Name, found[0])
	return found[1]
}

func chefRun(list string) string {
	return "cinc-client -z -c " + chefRepo + "/client.rb -r '" + list + "' -F doc --force-formatter -l warn -L STDOUT 2>&1"
}

// keepRepo makes the cookbook that pleiad sent one of the host's own: what a run on
// Chef's timer has is not in pleiad's folder.
func (w *world) keepRepo(h *bed.Host) {
	w.Helper()
	w.on(h, fmt.Sprintf("mkdir -p %[1]s && cp -a %[2]s/cookbooks-*/cookbooks %[1]s/ && printf '%%s\\n' 'local_mode true' \"chef_repo_path '%[1]s'\" \"cookbook_path '%[1]s/cookbooks'\" \"cache_path '%[1]s/cache'\" \"file_cache_path '%[1]s/cache'\" >%[1]s/client.rb",
		chefRepo, node.StageFolder))
}

// timers has Chef run all the time on hosts, until the test asks for the end.
func (w *world) timers(hosts ...*bed.Host) (stop func()) {
	w.Helper()
	for _, h := range hosts {
		w.keepRepo(h)
		w.on(h, "systemd-run --quiet --unit=chef-timer sh -c \"while :; do "+strings.ReplaceAll(chefRun("recipe[etcd-server]"), "'", `\"`)+" >>/run/chef-timer.log; sleep 2; done\"")
	}
	return func() {
		for _, h := range hosts {
			w.on(h, "systemctl stop chef-timer")
			log := w.on(h, "cat /run/chef-timer.log; rm -f /run/chef-timer.log")
			if !strings.Contains(log, "resources updated") || strings.Contains(log, "FATAL") {
				w.Errorf("Chef's own runs on %s: %s", h.Name, log)
			}
		}
	}
}

// startedAt is when each member's process began.
func (w *world) startedAt(h *bed.Host) string {
	return w.on(h, "systemctl show --property=MainPID,ExecMainStartTimestampMonotonic "+node.UnitName)
}

// Chef lays nodes down: from bare hosts to a cluster and back, with Chef's own
// runs in between, which change nothing.
func TestFromBareHostsAndBackByChef(t *testing.T) {
	w, o := newWorld(t, 3)
	o.byChef("3", "")
	begun := time.Now()
	w.giveChef()
	t.Logf("a client of Chef's is on the hosts after %s", tenths(time.Since(begun)))
	before := w.snapshots()
	since := w.now()
	t.Logf("up took %s", tenths(o.must("up").took))
	w.wantOne(since)
	o.must("health")
	w.wantUnits()
	o.wantNothingToDo()
	for _, h := range w.Hosts {
		w.keepRepo(h)
		process := w.startedAt(h)
		if n := w.converges(h); n != "0" {
			t.Errorf("a run of Chef's own on %s updated %s resources, want 0", h.Name, n)
		}
		if now := w.startedAt(h); now != process {
			t.Errorf("a run of Chef's own restarted the member of %s: %s, was %s", h.Name, now, process)
		}
		if open := w.on(h, "stat --format=%a%u "+node.StageFolder+"; find "+node.StageFolder+"/[a-z]*.json "+node.StageFolder+"/pki -perm /077"); open != "7000\n" {
			t.Errorf("%s of %s has mode, owner, and open to others: %s", node.StageFolder, h.Name, open)
		}
	}
	w.wantRepaired(w.Hosts[0])
	o.wantNothingToDo()
	o.must("destroy", "--yes")
	for i, h := range w.Hosts {
		// Chef goes on, and brings nothing back.
		if n := w.converges(h); n != "0" {
			t.Errorf("after destroy, Chef updated %s resources on %s", n, h.Name)
		}
		w.on(h, "rm -rf "+chefRepo)
		after, err := snapshot.Take(t.Context(), h)
		w.ok(err)
		if diff := snapshot.Diff(before[i], after); diff != "" && os.Getenv("PLEIAD_CHEF") == "" {
			t.Errorf("%s is not as it was:\n%s", h.Name, diff)
		}
	}
}

// wantRepaired has Chef repair what somebody broke, which restarts no member.
func (w *world) wantRepaired(h *bed.Host) {
	w.Helper()
	process := w.startedAt(h)
	w.on(h, "echo '# mine' >>"+node.UnitFile+"; rm /var/lib/pleiad/config/pki/peer.crt")
	for _, want := range []bool{true, false} {
		if n := w.converges(h); n != "0" != want {
			w.Errorf("a run of Chef's own on %s updated %s resources; something was broken: %t", h.Name, n, want)
		}
	}
	if now := w.startedAt(h); now != process {
		w.Errorf("the repair restarted the member of %s: %s, was %s", h.Name, now, process)
	}
}

// Members come, go and are rolled while Chef runs on its own all the time; a run
// that fails leaves the rest as it is, and what a wrapper says is held against
// what was delivered.
func TestMembersChangeByChef(t *testing.T) {
	t.Parallel()
	w, o := newWorld(t, 4)
	w.giveChef()
	o.byChef("1", "")
	o.must("up")
	o.must("etcdctl", "--", "put", "greeting", "hello")
	holds := func() {
		t.Helper()
		if out, _ := o.output("etcdctl", "--", "get", "greeting"); !strings.Contains(out, "hello") {
			t.Fatalf("the data is %q", out)
		}
	}

	first := w.taken()[0]
	stops := []func(){w.timers(first)}
	o.byChef("3", "")
	t.Logf("to grow took %s", tenths(o.must("up").ends(0, "3 members on").took))
	holds()
	for _, h := range w.taken() {
		if h != first {
			stops = append(stops, w.timers(h))
		}
	}
	o.byChef("3", "etcd: {options: {max-snapshots: 6}}\n")
	t.Logf("to roll took %s", tenths(o.must("up").ends(0, "restart").took))
	holds()
	t.Logf("to replace took %s", tenths(o.must("replace", w.claimed(first), "--yes").ends(0, "promote learner").took))
	holds()
	o.wantNothingToDo()
	for _, stop := range stops {
		stop()
	}

	// One host's runs fail. The others are changed, or wait; none is worse off.
	broken := w.taken()[0]
	w.on(broken, "echo 'Cannot write to /var: read-only file system' >/chef-fails")
	o.byChef("3", "etcd: {options: {max-snapshots: 7}}\n")
	o.start("up", "--timeout", "20s").ends(1, broken.Addr.String(), "FATAL: RuntimeError: Cannot write to /var: read-only file system")
	o.must("health")
	holds()
	w.on(broken, "rm /chef-fails")
	o.must("up")
	o.wantNothingToDo()

	w.wantWrapper(o, w.taken()[0])
	o.must("destroy", "--yes")
}

// wantWrapper has a wrapper cookbook say what was delivered, and then something else.
func (w *world) wantWrapper(o operator, h *bed.Host) {
	w.Helper()
	w.keepRepo(h)
	wrapper := func(attributes string) string {
		w.Helper()
		w.ok(w.send(w.Context(), h, fmt.Sprintf("mkdir -p %[1]s/attributes %[1]s/recipes && cat >%[1]s/attributes/default.rb && printf '%%s\\n' \"name 'our-etcd'\" \"version '1.0.0'\" \"depends 'etcd-server'\" >%[1]s/metadata.rb && echo \"include_recipe 'etcd-server'\" >%[1]s/recipes/default.rb",
			filepath.Join(chefRepo, "cookbooks/our-etcd")), []byte(attributes)))
		return w.on(h, chefRun("recipe[our-etcd]")+" || true")
	}
	if said := wrapper("default['etcd-server']['discovery_srv'] = 'c1.bed.example'\n"); !strings.Contains(said, "complete, 0/") {
		w.Errorf("a wrapper that says what was delivered: %s", said)
	}
	if said := wrapper("default['etcd-server']['discovery_srv'] = 'twindb.com'\n"); !strings.Contains(said, `['discovery_srv'] is "twindb.com", but pleiad delivered "c1.bed.example"`) {
		w.Errorf("a wrapper that says something else: %s", said)
	}
	o.must("health")
}
