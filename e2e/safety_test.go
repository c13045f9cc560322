//go:build unix

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/system/process/processtest"
)

// R3: an address that vanishes between publishing and starting keeps every
// member at its gate; when it is back, the same up finishes by itself.
func TestNoMemberStartsWithoutTheWholeList(t *testing.T) {
	b := newBed(t)
	var once sync.Once
	var victim string
	waited := false
	cmd := b.command("up", "--cluster", "gate")
	socket := breakpoints(t, func(line string) {
		member, starting := strings.CutPrefix(line, "before start member ")
		if starting {
			once.Do(func() {
				victim = member
				b.nsupdate("gate", "update delete "+member+".gate.test. A")
			})
			return
		}
		// The next change of records after all were started is the repair.
		if line == "before publish records of gate.test" && victim != "" {
			waited = true
			if dirs, _ := filepath.Glob(filepath.Join(b.state, "gate", "hosts", "*", "data", "member", "wal")); len(dirs) > 0 {
				t.Errorf("members started although %s had no address: %v", victim, dirs)
			}
			members, _ := b.children("gate")
			for _, m := range members {
				var status struct{ Gate string }
				readJSON(b, filepath.Join(m.dir, "config", "status.json"), &status)
				if !strings.Contains(status.Gate, "R3") || !strings.Contains(status.Gate, victim) {
					t.Errorf("gate of %s says %q, want R3 and %s", m.name, status.Gate, victim)
				}
			}
		}
	})
	cmd.Env = append(cmd.Environ(), "PLEIAD_BREAKPOINT="+socket)
	r := b.finish(cmd)
	if !waited {
		t.Errorf("up never came to repair the records: %s", r)
	}
	if r.code != 0 {
		t.Fatalf("up after the record is back: %s", r)
	}
	b.must("health", "--cluster", "gate")
}

// R3, said to the person: a list that stays incomplete ends up with an error
// that names the rule and the name. Each time the list is repaired the members
// do not run until it is incomplete again: one that saw it whole would be right
// to start.
func TestGateIsExplained(t *testing.T) {
	b := newBed(t)
	cmd := b.command("up", "--cluster", "gate", "--timeout", "3s")
	var victim string
	remove := func() { b.nsupdate("gate", "update delete "+victim+".gate.test. A") }
	socket := breakpoints(t, func(line string) {
		if member, ok := strings.CutPrefix(line, "before start member "); ok && victim == "" {
			victim = member
			remove()
		}
		if victim == "" {
			return
		}
		members, _ := b.children("gate")
		switch line {
		case "before publish records of gate.test":
			for _, m := range members {
				if err := processtest.Stop(m.stamp.PID); err != nil {
					t.Error(err)
				}
			}
		case "after publish records of gate.test":
			remove()
			for _, m := range members {
				if err := m.stamp.Signal(syscall.SIGCONT); err != nil {
					t.Error(err)
				}
			}
		}
	})
	cmd.Env = append(cmd.Environ(), "PLEIAD_BREAKPOINT="+socket)
	r := b.finish(cmd)
	if r.code == 0 || !r.says("R3", victim) {
		t.Fatalf("want an error with R3 and %s, got %s", victim, r)
	}
	b.must("up", "--cluster", "gate")
}

// R3: an address that goes and comes back all the time while the members start
// makes them wait, or start; it never makes a cluster of the others.
func TestAddressThatComesAndGoes(t *testing.T) {
	b := newBed(t)
	cmd := b.command("up", "--cluster", "flap")
	stop, stopped := make(chan struct{}), make(chan struct{})
	var once sync.Once
	socket := breakpoints(t, func(line string) {
		member, ok := strings.CutPrefix(line, "before start member ")
		if !ok {
			return
		}
		once.Do(func() {
			var host struct{ Address string }
			readJSON(b, filepath.Join(b.state, "flap", "hosts", member, "host.json"), &host)
			off, on := "update delete "+member+".flap.test. A", "update add "+member+".flap.test. 60 A "+host.Address
			b.nsupdate("flap", off)
			go func() {
				defer close(stopped)
				for {
					select {
					case <-stop:
						return
					default:
						b.nsupdate("flap", on+"\nsend\n"+off+"\nsend\n"+on+"\nsend\n"+off+"\nsend\n"+on)
					}
				}
			}()
		})
	})
	cmd.Env = append(cmd.Environ(), "PLEIAD_BREAKPOINT="+socket)
	r := b.finish(cmd)
	close(stop)
	<-stopped
	if r.says("R2", "in cluster") || r.says("founded cluster") {
		t.Errorf("a cluster was founded wrongly: %s", r)
	}
	b.must("up", "--cluster", "flap")
	b.must("health", "--cluster", "flap")
}

// R3: a member with another cluster's data before the seal, as etcd left it that
// looked for its peers by itself, is told as that, and the way out works.
func TestFoundedWrongly(t *testing.T) {
	b := newBed(t)
	b.must("up", "--cluster", "other", "--members", "1")
	cmd := b.command("up", "--cluster", "wrong")
	socket := breakpoints(t, func(line string) {
		if line == "before seal records of wrong.test" {
			if err := processtest.Kill(cmd.Process.Pid); err != nil {
				t.Error(err)
			}
		}
	})
	cmd.Env = append(cmd.Environ(), "PLEIAD_BREAKPOINT="+socket)
	b.finish(cmd)
	others, _ := b.children("other")
	members, _ := b.children("wrong")
	others[0].kill(t)
	members[0].kill(t)
	data := filepath.Join(members[0].dir, "data")
	if err := errors.Join(os.RemoveAll(data), os.CopyFS(data, os.DirFS(filepath.Join(others[0].dir, "data")))); err != nil {
		t.Fatal(err)
	}
	b.refuses(5, []string{"R3", members[0].name, "founded cluster", "pleiad destroy", "pleiad up"}, "up", "--cluster", "wrong")
	b.must("destroy", "--cluster", "wrong", "--yes")
	b.must("up", "--cluster", "wrong")
	b.must("health", "--cluster", "wrong")
}

// R6: a wiped data directory is never started again; its member is replaced.
func TestWipedMemberIsReplaced(t *testing.T) {
	b := newBed(t)
	b.must("up", "--cluster", "wipe")
	b.put("wipe", "a", "b")
	members, _ := b.children("wipe")
	members[0].kill(t)
	if err := os.RemoveAll(filepath.Join(members[0].dir, "data")); err != nil {
		t.Fatal(err)
	}
	// Not even by hand.
	r := b.finish(b.command("member", "--dir", filepath.Join(members[0].dir, "config")))
	if r.code == 0 || !r.says("R6") {
		t.Errorf("started by hand: %s", r)
	}
	if r := b.must("up", "--cluster", "wipe"); !r.says("remove member "+members[0].name, "promote learner etcd-") {
		t.Errorf("up: %s", r)
	}
	after, _ := b.children("wipe")
	if b.running("wipe") != 3 || slices.ContainsFunc(after, func(m child) bool { return m.name == members[0].name }) {
		t.Errorf("after up: %v", after)
	}
	b.wantValue("wipe", "a", "b")
}

// R6: data of before some acknowledged writes, such as a snapshot of a disk has,
// is never started: the two members that could then form a quorum would not know
// of them.
func TestOlderDataStaysDown(t *testing.T) {
	b := newBed(t)
	b.must("up", "--cluster", "old")
	members, _ := b.children("old")
	members[0].kill(t)
	saved := filepath.Join(t.TempDir(), "data")
	data := filepath.Join(members[0].dir, "data")
	replace := func(from, to string) {
		t.Helper()
		if err := os.RemoveAll(to); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	replace(data, saved)
	mark := func() string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(members[0].dir, "mark.json"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	before := mark()
	b.must("up", "--cluster", "old")
	members, _ = b.children("old")
	members[2].kill(t)
	b.eventually("a leader among the rest", 30*time.Second, func() bool {
		return b.run("etcdctl", "--cluster", "old", "--", "get", "key").code == 0
	})
	for i := range 10 {
		b.put("old", fmt.Sprint("key", i), "acknowledged")
	}
	// A crash before the mark has followed the log leaves nothing to tell by.
	b.eventually("the mark follows the log", 10*time.Second, func() bool { return mark() != before })
	members[0].kill(t)
	members[1].kill(t)
	newest := filepath.Join(t.TempDir(), "data")
	replace(data, newest)
	replace(saved, data)
	// And the other member that has the writes is away.
	away := filepath.Join(members[1].dir, "config", "status.json")
	address := hostAddress(b, members[1])
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()

	if r := b.run("up", "--cluster", "old", "--timeout", "20s"); r.code == 0 || !r.says("R6", members[0].name, "older", "newest data directory") {
		t.Errorf("want a refusal of %s by R6, got %s", members[0].name, r)
	}
	if members[0].alive() || stampIn(b, filepath.Join(members[0].dir, "config", "status.json")).Alive() {
		t.Error("the member with older data was started")
	}
	if r := b.finish(b.command("member", "--dir", filepath.Join(members[0].dir, "config"))); r.code == 0 || !r.says("R6", "not the newest") {
		t.Errorf("started by hand: %s", r)
	}
	if stampIn(b, away).Alive() {
		t.Error("the member that is away runs: this proves nothing")
	}

	// The remedy that is printed.
	replace(newest, data)
	l.Close()
	b.must("up", "--cluster", "old")
	for i := range 10 {
		b.wantValue("old", fmt.Sprint("key", i), "acknowledged")
	}
}

// hostAddress is where a member listens for its peers.
func hostAddress(b *bed, c child) string {
	var claim struct {
		Address string
		Ports   struct{ Peer uint16 }
	}
	readJSON(b, filepath.Join(c.dir, "host.json"), &claim)
	return net.JoinHostPort(claim.Address, fmt.Sprint(claim.Ports.Peer))
}

// R1: without its marker, a living cluster is not bootstrapped over.
func TestNoBootstrapOverTheLiving(t *testing.T) {
	b := newBed(t)
	b.must("up", "--cluster", "mark")
	b.put("mark", "a", "b")
	b.nsupdate("mark", "update delete _pleiad.mark.test. TXT")
	r := b.refuses(5, []string{"R1", "_pleiad.mark.test."}, "up", "--cluster", "mark")
	if b.running("mark") != 3 {
		t.Error("members were stopped")
	}
	b.wantValue("mark", "a", "b")

	// The remedy that it prints works.
	for line := range strings.Lines(r.out + r.err) {
		if i := strings.Index(line, "_pleiad.mark.test. 60 TXT"); i >= 0 {
			b.nsupdate("mark", "update add "+strings.TrimSpace(line[i:]))
			b.must("up", "--cluster", "mark")
			return
		}
	}
	t.Errorf("no record to put back: %s", r)
}

// R10: foreign records on our names are printed and left alone, and the command that is
// printed removes them and nothing else.
func TestForeignRecordsStay(t *testing.T) {
	b := newBed(t)
	b.must("up", "--cluster", "ours")
	for _, foreign := range []string{
		"update add _etcd-server-ssl._tcp.ours.test. 60 SRV 0 0 2380 evil.ours.test.",
		`update add _pleiad.ours.test. 60 TXT "it's \"theirs\""`,
		"update add _etcd-client._tcp.ours.test. 60 SRV 0 0 2379 evil.ours.test.",
	} {
		b.nsupdate("ours", foreign)
		r := b.refuses(5, []string{"R10", "with nsupdate: printf"}, "up", "--cluster", "ours")
		_, command, _ := strings.Cut(r.out, "with nsupdate: ")
		command, _, _ = strings.Cut(command, "\n")
		if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
		if r := b.must("up", "--cluster", "ours"); !r.says("nothing to do") {
			t.Errorf("after %s: %s", command, r)
		}
	}
}

// R2: a marker from the past is not obeyed, and the record that the refusal
// prints puts it right.
func TestMarkerFromThePast(t *testing.T) {
	b := newBed(t)
	b.must("up", "--cluster", "past")
	b.put("past", "a", "b")
	host, port, err := net.SplitHostPort(b.server("past"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("dig", "+short", "@"+host, "-p", port, "_pleiad.past.test.", "TXT").Output()
	if err != nil || !strings.Contains(string(out), "state=sealed") {
		t.Fatalf("dig: %v %s", err, out)
	}
	marker := strings.ReplaceAll(strings.Trim(string(out), "\"\n"), `" "`, "")
	old := regexp.MustCompile(` id=\S+`).ReplaceAllString(strings.NewReplacer("state=sealed", "state=bootstrapping", "gen=3", "gen=1").Replace(marker), "")
	members, _ := b.children("past")
	for _, m := range members {
		m.kill(t)
	}
	if err := os.RemoveAll(members[0].dir); err != nil {
		t.Fatal(err)
	}
	replace := func(text string) {
		b.nsupdate("past", "update delete _pleiad.past.test. TXT\nupdate add _pleiad.past.test. 60 TXT \""+text+"\"")
	}
	replace(old)
	r := b.refuses(5, []string{"R2", "_pleiad.past.test."}, "up", "--cluster", "past")
	if _, err := os.Stat(members[0].dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the lost host was made again: %v", err)
	}
	// What has its own data was started all the same, and serves.
	b.wantValue("past", "a", "b")
	for line := range strings.Lines(r.out + r.err) {
		if _, text, ok := strings.Cut(line, "_pleiad.past.test. 60 TXT "); ok {
			replace(strings.Trim(text, "\"\n"))
			b.must("up", "--cluster", "past") // what is lost is replaced
			b.wantValue("past", "a", "b")
			return
		}
	}
	t.Errorf("no record to put back: %s", r)
}
