package hosts

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/pleiad-etcd/pleiad/e2e/site"
	"github.com/pleiad-etcd/pleiad/e2e/snapshot"
	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
)

// R10: what is somebody else's, on one host of three or in the zone, is said
// and left exactly as it is, and so is all the rest.
func TestForeignThings(t *testing.T) {
	t.Parallel()
	w, o := newWorld(t, 3)
	h2 := w.Hosts[1]
	const theirs = serverSRV + " 60 SRV 0 0 2380 db1." + domain
	for _, c := range []struct {
		name        string
		come, leave func()
		says        []string
	}{
		{"an etcd", func() {
			w.on(h2, `set -e
mkdir -p /var/lib/etcd/default/member/wal
echo precious >/var/lib/etcd/default/member/wal/0.wal
systemd-run --quiet --unit=theirs systemd-socket-activate --accept --listen=2380 /bin/cat
until ss -ltn | grep -q ':2380 '; do sleep 0.05; done`)
		}, func() { w.on(h2, "systemctl stop theirs; rm -r /var/lib/etcd") },
			[]string{h2.Addr.String(), "something listens on port 2380", "/var/lib/etcd/default/member", "give the cluster other machines"}},
		{"a claim", func() {
			w.on(h2, `mkdir -p /etc/pleiad
echo '{"version":1,"cluster":"theirs","domain":"theirs.example","token":"0123456789abcdef","name":"etcd-zzzzzzz","address":"`+h2.Addr.String()+`"}' >/etc/pleiad/host.json`)
		}, func() { w.on(h2, "rm -r /etc/pleiad") },
			[]string{h2.Addr.String(), "it is host etcd-zzzzzzz of cluster theirs on theirs.example"}},
		{"an SRV set", func() { w.nsupdate("update add " + theirs) }, func() { w.nsupdate("update delete " + serverSRV + " SRV") },
			[]string{serverSRV, "0 0 2380 db1." + domain, "is not ours", "discoveryName"}},
		{"a marker", func() {
			w.nsupdate(`update add _pleiad.` + domain + ` 60 TXT "v=1 cluster=` + site.Cluster + ` owner=0000000000000000 gen=1 token=0123456789abcdef state=sealed members=etcd-zzzzzzz"`)
		}, func() { w.nsupdate("update delete _pleiad." + domain + " TXT") },
			[]string{"belongs to owner 0000000000000000", "work from the state directory"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.in(t)
			o := o.in(w)
			c.come()
			zone := w.zone()
			before, err := snapshot.Take(t.Context(), h2)
			w.ok(err)
			o.refused(5, append(c.says, "refused by rule R10"), "up", "--timeout", "5s")
			after, err := snapshot.Take(t.Context(), h2)
			w.ok(err)
			if d := snapshot.Diff(before, after); d != "" {
				t.Errorf("%s was touched:\n%s", h2.Name, d)
			}
			for _, h := range []*bed.Host{w.Hosts[0], w.Hosts[2]} {
				if name := w.claimed(h); name != "" {
					t.Errorf("%s was claimed as %s", h.Name, name)
				}
			}
			if after := w.zone(); after != zone {
				t.Errorf("the zone was touched: it was\n%s\nand is\n%s", zone, after)
			}
			c.leave()
		})
	}
	if t.Failed() {
		return
	}
	since := w.now()
	o.must("up")
	w.wantOne(since)
}

// An address record of somebody else's that comes up on a member's name after
// the claim, and one that is added to a living member's.
func TestForeignAddress(t *testing.T) {
	t.Parallel()
	w, o := newWorld(t, 1)
	h := w.Hosts[0]
	var once sync.Once
	name := ""
	foreign := func() string { return name + "." + domain + " 60 A 192.0.2.66" }
	up := o.startAt(func(_ *run, line string) {
		if line == "before publish records of "+site.Domain {
			once.Do(func() {
				name = w.claimed(h)
				w.nsupdate("update add " + foreign())
			})
		}
	}, "up", "--timeout", "5s")
	up.ends(5, "R10", name+"."+domain, "192.0.2.66")
	if got := w.records(name+"."+domain, "A"); !slices.Contains(got, "192.0.2.66") {
		t.Errorf("the foreign record is gone: %v", got)
	}
	if ids := w.formed([]*bed.Host{h}, "today"); len(ids) != 0 {
		t.Errorf("a cluster was formed: %v", ids)
	}
	w.nsupdate("update delete " + foreign())
	o.must("up")
	w.nsupdate("update add " + foreign())
	o.refused(5, []string{"R10", name + "." + domain, "192.0.2.66"}, "up", "--timeout", "5s")
	if got := w.records(name+"."+domain, "A"); !slices.Equal(got, []string{h.Addr.String(), "192.0.2.66"}) {
		t.Errorf("the records are %v, want both", got)
	}
	w.nsupdate("update delete " + foreign())
	o.must("up")
}

// Two operators whose state directories do not know each other: one makes the
// cluster, the other is told whose it is, at once or later.
func TestTwoOperators(t *testing.T) {
	t.Parallel()
	w, o := newWorld(t, 3)
	since := w.now()
	both := []operator{o, w.operator("b")}
	// Both have looked and found nothing before either of them claims.
	var arrived sync.WaitGroup
	arrived.Add(2)
	var runs []*run
	for _, o := range both {
		var once sync.Once
		runs = append(runs, o.startAt(func(_ *run, line string) {
			if line == "before claim records of "+site.Domain {
				once.Do(func() {
					arrived.Done()
					arrived.Wait()
				})
			}
		}, "up"))
	}
	codes := []int{runs[0].end(), runs[1].end()}
	winner := slices.Index(codes, 0)
	if winner < 0 || codes[1-winner] == 0 {
		t.Fatalf("exits %v, want one to win: %s%s", codes, runs[0], runs[1])
	}
	runs[1-winner].ends(5, "R10", "belongs to owner", "work from the state directory that made the cluster", "pleiad take-over")
	w.wantOne(since)
	zone := w.zone()
	for _, command := range [][]string{{"up"}, {"destroy", "--yes"}} {
		both[1-winner].refused(5, []string{"R10", "belongs to owner"}, command...)
	}
	if after := w.zone(); after != zone {
		t.Errorf("the loser changed the zone: it was\n%s\nand is\n%s", zone, after)
	}
	both[winner].must("health")
	w.wantOne(since)

	// The state directory is moved, as the hint says.
	here, there := both[1-winner], both[winner]
	w.ok(os.RemoveAll(filepath.Join(here.StateDir, site.Cluster)))
	here.refused(6, []string{"belongs to owner", "its members: etcd-", "it runs since", "copy the whole directory to " + filepath.Join(here.StateDir, site.Cluster), "pleiad take-over"}, "status")
	w.ok(exec.Command("cp", "-a", filepath.Join(there.StateDir, site.Cluster), filepath.Join(here.StateDir, site.Cluster)).Run())
	here.must("take-over", "--yes")
	here.must("up")
	w.wantOne(since)
}
