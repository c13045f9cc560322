//go:build unix

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A kill at any boundary of up, and up again, always gives a healthy cluster.
func TestKillAtEveryBoundaryOfUp(t *testing.T) {
	b := newBed(t)
	for n := 1; ; n++ {
		cluster := fmt.Sprintf("edge%d", n)
		killed, at, r := b.killAt(n, "up", "--cluster", cluster)
		if !killed {
			if r.code != 0 {
				t.Fatalf("up without a kill: %s", r)
			}
			t.Logf("%d boundaries", n-1)
			if n < 20 {
				t.Errorf("only %d boundaries: is the breakpoint still called?", n-1)
			}
			return
		}
		if r := b.run("up", "--cluster", cluster); r.code != 0 {
			t.Fatalf("up after a kill %q: %s", at, r)
		}
		b.must("health", "--cluster", cluster)
		b.must("destroy", "--cluster", cluster, "--yes")
		b.wantNothingLeft()
	}
}

// A kill at any boundary of destroy, and destroy again, leaves nothing; up in
// between is refused or begins anew, and never brings half a cluster back.
func TestKillAtEveryBoundaryOfDestroy(t *testing.T) {
	b := newBed(t)
	for n := 1; ; n++ {
		cluster := fmt.Sprintf("fall%d", n)
		b.must("up", "--cluster", cluster, "--members", "1")
		killed, at, r := b.killAt(n, "destroy", "--cluster", cluster, "--yes")
		if !killed {
			if r.code != 0 {
				t.Fatalf("destroy without a kill: %s", r)
			}
			t.Logf("%d boundaries", n-1)
			break
		}
		if r := b.run("destroy", "--cluster", cluster, "--yes"); r.code != 0 && r.code != 6 {
			t.Fatalf("destroy after a kill %q: %s", at, r)
		}
		b.wantNothingLeft()
	}
}

// A kill at any boundary of an exchange of the leader: a plain up ends what was begun, and
// nothing is lost.
func TestKillAtEveryBoundaryOfReplace(t *testing.T) {
	b := newBed(t)
	b.must("up")
	b.must("etcdctl", "--", "put", "greeting", "hello")
	for n := 1; ; n++ {
		leader := b.leader()
		killed, at, r := b.killAt(n, "replace", leader, "--yes")
		t.Logf("boundary %d: %q", n, at)
		b.whole(at, 3)
		if status := b.must("status").out; strings.Contains(status, leader) && n > 1 {
			// Before the marker names it, nothing was asked for.
			t.Errorf("killed %q, and the leader of then is still there:\n%s", at, status)
		}
		if !killed {
			if r.code != 0 || n < 40 {
				t.Fatalf("replace without a kill after %d boundaries: %s", n-1, r)
			}
			break
		}
	}
	b.dropKept()
}

// The same where the cluster is to be smaller.
func TestKillAtEveryBoundaryOfShrink(t *testing.T) {
	b := newBed(t)
	b.must("up")
	b.must("etcdctl", "--", "put", "greeting", "hello")
	for n := 1; ; n++ {
		killed, at, r := b.killAt(n, "up", "--members", "1", "--yes")
		t.Logf("boundary %d: %q", n, at)
		b.whole(at, 1)
		if !killed {
			if r.code != 0 || n < 20 {
				t.Fatalf("shrinking without a kill after %d boundaries: %s", n-1, r)
			}
			break
		}
		b.must("up", "--members", "3", "--yes")
	}
	b.dropKept()
}

// whole runs up after a kill, and wants a cluster of this size with its data.
func (b *bed) whole(at string, members int) {
	b.Helper()
	if r := b.run("up", "--members", fmt.Sprint(members), "--yes"); r.code != 0 {
		b.Fatalf("up after a kill %q: %s", at, r)
	}
	b.must("health")
	if r := b.must("etcdctl", "--", "get", "greeting"); !strings.Contains(r.out, "hello") {
		b.Fatalf("after a kill %q the data is %q", at, r.out)
	}
	if r := b.must("plan"); !strings.Contains(r.out, "nothing to do") {
		b.Fatalf("after a kill %q and up: %s", at, r)
	}
}

// dropKept removes what the members left, whose data is kept.
func (b *bed) dropKept() {
	b.Helper()
	if err := os.RemoveAll(filepath.Join(b.state, "dev", "kept")); err != nil {
		b.Error(err)
	}
}

// leader is the member that leads.
func (b *bed) leader() string {
	b.Helper()
	r := b.must("status")
	for line := range strings.Lines(r.out) {
		if fields := strings.Fields(line); strings.Contains(line, " leader ") {
			return fields[0]
		}
	}
	b.Fatalf("nobody leads: %s", r)
	return ""
}

// A kill at a random moment, and up again.
func TestKillAtRandomMoments(t *testing.T) {
	b := newBed(t)
	begun := time.Now()
	b.must("up", "--cluster", "whole")
	whole := time.Since(begun)
	b.must("destroy", "--cluster", "whole", "--yes")
	killed := 0
	for n := range 50 {
		cluster := fmt.Sprintf("moment%d", n)
		after := time.Duration(rand.Int64N(int64(whole)))
		if b.killAfter(after, "up", "--cluster", cluster) {
			killed++
		}
		if r := b.run("up", "--cluster", cluster); r.code != 0 {
			t.Fatalf("up after a kill at %s of %s: %s", after, whole, r)
		}
		b.must("health", "--cluster", cluster)
		b.must("destroy", "--cluster", cluster, "--yes")
		b.wantNothingLeft()
	}
	t.Logf("killed %d of 50 within %s", killed, whole)
	if killed < 25 {
		t.Errorf("only %d of 50 were still running when they were killed", killed)
	}
}
