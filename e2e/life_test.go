//go:build unix

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/system/process"
)

func TestKillOneMember(t *testing.T) {
	b := newBed(t)
	b.must("up", "--cluster", "one")
	b.put("one", "a", "b")
	if r := b.must("health", "--cluster", "one"); !r.says("cluster is healthy") || strings.Count(r.out, " is healthy:") != 3 {
		t.Errorf("health: %s", r)
	}
	members, _ := b.children("one")
	members[1].kill(t)
	b.refuses(1, []string{members[1].name}, "health", "--cluster", "one")
	b.must("up", "--cluster", "one")
	b.must("health", "--cluster", "one")
	b.wantValue("one", "a", "b")
}

func TestKillEverything(t *testing.T) {
	b := newBed(t)
	b.must("up", "--cluster", "all")
	b.put("all", "a", "b")
	members, server := b.children("all")
	for _, c := range append(members, server) {
		c.kill(t)
	}
	b.refuses(1, nil, "health", "--cluster", "all", "--timeout", "5s")
	r := b.must("up", "--cluster", "all")
	if r.says("launch host") || r.says("claim records") {
		t.Errorf("something was bootstrapped: %s", r)
	}
	b.wantValue("all", "a", "b")
	again, _ := b.children("all")
	for i := range again {
		if again[i].name != members[i].name {
			t.Errorf("member %s became %s", members[i].name, again[i].name)
		}
	}
}

// R9: without any DNS the cluster serves, and each member survives a restart.
func TestLifeWithoutDNS(t *testing.T) {
	b := newBed(t)
	b.must("up", "--cluster", "nodns")
	b.put("nodns", "a", "b")
	env := b.env("nodns")
	members, server := b.children("nodns")
	server.kill(t)
	for i, m := range members {
		m.kill(t)
		// Started as a supervisor would, for up would bring the name server back.
		argv := []string{binary, "member", "--dir", filepath.Join(m.dir, "config")}
		if _, err := process.Spawn(argv, os.Environ(), filepath.Join(m.dir, "etcd.log")); err != nil {
			t.Fatal(err)
		}
		key := fmt.Sprintf("after-%d", i)
		b.eventually("all three serve again after a restart of "+m.name, 30*time.Second, func() bool {
			cmd := exec.Command("etcdctl", "endpoint", "health")
			cmd.Env = env
			return cmd.Run() == nil
		})
		for _, args := range [][]string{{"put", key, m.name}, {"get", key}} {
			cmd := exec.Command("etcdctl", args...)
			cmd.Env = env
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("etcdctl %v: %v\n%s", args, err, out)
			}
		}
	}
	if _, s := b.children("nodns"); s.alive() {
		t.Error("the name server came back: this test has shown nothing")
	}
	b.must("up", "--cluster", "nodns")
	b.wantValue("nodns", "a", "b")
}

// env is the environment that `pleiad env` prints.
func (b *bed) env(cluster string) []string {
	b.Helper()
	env := append(os.Environ(), "ETCDCTL_API=3")
	for line := range strings.Lines(b.must("env", "--cluster", cluster).out) {
		if assignment, ok := strings.CutPrefix(strings.TrimSpace(line), "export "); ok {
			name, value, _ := strings.Cut(assignment, "=")
			env = append(env, name+"="+strings.Trim(value, `'"`))
		}
	}
	return env
}

// Ctrl-C in the middle leaves a state that the next up continues from.
func TestInterrupt(t *testing.T) {
	b := newBed(t)
	cmd := b.command("up", "--cluster", "ctrlc")
	socket := breakpoints(t, func(line string) {
		if strings.HasPrefix(line, "after start member") {
			_ = cmd.Process.Signal(os.Interrupt)
		}
	})
	cmd.Env = append(cmd.Environ(), "PLEIAD_BREAKPOINT="+socket)
	if r := b.finish(cmd); r.code != 130 || !r.says("interrupted") {
		t.Errorf("interrupted up: %s", r)
	}
	b.must("up", "--cluster", "ctrlc")
	b.must("health", "--cluster", "ctrlc")
}

// Other options mean a rolling restart; the data stays and the cluster serves.
func TestOptionsRoll(t *testing.T) {
	b := newBed(t)
	spec := filepath.Join(t.TempDir(), "pleiad.yaml")
	write := func(options string) {
		text := "cluster: roll\ndomain: roll.test\nmembers: 3\netcd:\n  options: " + options + "\nhosts:\n  local: {}\ndns:\n  embedded: {}\n"
		if err := os.WriteFile(spec, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("{heartbeat-interval: 100}")
	b.must("up", "-f", spec)
	b.put("roll", "a", "b")
	before, _ := b.children("roll")
	write("{heartbeat-interval: 150}")
	b.must("up", "-f", spec)
	after, _ := b.children("roll")
	for i := range after {
		if after[i].stamp == before[i].stamp {
			t.Errorf("%s was not restarted", after[i].name)
		}
	}
	b.must("health", "-f", spec)
	b.wantValue("roll", "a", "b")
}
