package agent_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/onhost/agent"
	"github.com/pleiad-etcd/pleiad/internal/onhost/member"
)

// newer is where another pleiad lies on the machine.
var newer = node.BinaryPath(strings.Repeat("fedcba9876543210", 4))

func (s *stage) inspect() cluster.Node {
	s.Helper()
	n, err := s.agent.Inspect(s.Context(), s.host)
	if err != nil {
		s.Fatal(err)
	}
	return n
}

func (s *stage) deliver(n node.Node, binary string, renew bool) {
	s.Helper()
	if _, err := s.agent.Install(s.Context(), s.host, n, nil, binary, renew); err != nil {
		s.Fatal(err)
	}
}

// starts is the program that the unit starts.
func (s *stage) starts() string {
	s.Helper()
	unit, err := os.ReadFile(s.Path(node.UnitFile))
	if err != nil {
		s.Fatal(err)
	}
	for line := range strings.Lines(string(unit)) {
		if command, ok := strings.CutPrefix(line, "ExecStart="); ok {
			return strings.Fields(command)[0]
		}
	}
	return ""
}

// A member is started by another program only if that is wanted, or if its own is not
// there.
func TestInstallKeepsTheProgram(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.Write(t, newer, "another pleiad")
	for _, step := range []struct {
		what   string
		before func()
		binary string
		renew  bool
		want   string
	}{
		{what: "the first", binary: binary, want: binary},
		{what: "another node", binary: newer, want: binary},
		{what: "a new program", binary: newer, renew: true, want: newer},
		{what: "where it is gone", binary: binary, want: binary, before: func() {
			if err := os.Remove(s.Path(newer)); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		if step.before != nil {
			step.before()
		}
		s.deliver(s.rendered(1), step.binary, step.renew)
		if got := s.starts(); got != step.want {
			t.Errorf("%s: the unit starts %s, want %s", step.what, got, step.want)
		}
		if n := s.inspect(); n.Next.Program.Build == "" || n.Next.Flags != s.rendered(1).Flags() {
			t.Errorf("%s: it would start with %+v", step.what, n.Next)
		}
	}
}

// With a third program the first one goes: each has tens of megabytes.
func TestProgramsThatNothingNamesGo(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	third := node.BinaryPath(strings.Repeat("0011223344556677", 4))
	s.Write(t, newer, "another pleiad")
	s.Write(t, third, "one more pleiad")
	s.Write(t, node.BinaryFolder+"/etcd-3.6.5/etcd", "a release")
	for _, step := range []struct {
		binary string
		renew  bool
		left   []string
	}{
		{binary, false, []string{third, binary, newer}},
		{newer, true, []string{binary, newer}},
		{newer, true, []string{binary, newer}},
	} {
		s.deliver(s.rendered(0), step.binary, step.renew)
		var left []string
		for _, b := range []string{third, binary, newer} {
			if _, err := os.Stat(s.Path(b)); err == nil {
				left = append(left, b)
			}
		}
		if !slices.Equal(left, step.left) {
			t.Errorf("with %s there are %q, want %q", step.binary, left, step.left)
		}
	}
	if _, err := os.Stat(s.Path(node.BinaryFolder + "/etcd-3.6.5/etcd")); err != nil {
		t.Error(err)
	}
}

func TestRevertToTheProgramOfBefore(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.Write(t, newer, "another pleiad")
	s.deliver(s.rendered(0), binary, true)
	before := s.inspect()
	s.deliver(s.rendered(1), newer, true)
	after := s.inspect()
	if after.Former == nil || !after.Former.Same(before.Next) || after.Next.Same(before.Next) {
		t.Fatalf("kept is %+v, want %+v", after.Former, before.Next)
	}
	// What else is delivered meanwhile stays.
	moved := s.rendered(1)
	moved.Pins["etcd-zzzzzzz.dev.test"] = "10.5.1.200"
	s.deliver(moved, newer, false)
	s.Calls()
	if err := s.agent.Revert(t.Context(), s.host); err != nil {
		t.Fatal(err)
	}
	if calls := s.Calls(); !slices.Contains(calls, "systemctl stop "+node.UnitName) {
		t.Errorf("it ran %q, want the member stopped", calls)
	}
	n := s.inspect()
	if s.starts() != binary || !n.Next.Same(before.Next) || n.Former != nil || len(n.Drift) > 0 {
		t.Errorf("the unit starts %s, with %+v, kept %+v, drift %q", s.starts(), n.Next, n.Former, n.Drift)
	}
	installed, err := member.Installed(s.host.Paths.Config)
	if err != nil || installed.Pins["etcd-zzzzzzz.dev.test"] != "10.5.1.200" {
		t.Errorf("the node has pins %v, %v; want those delivered last", installed.Pins, err)
	}
	if err := s.agent.Revert(t.Context(), s.host); !errors.Is(err, agent.ErrNoFormer) {
		t.Errorf("once more: %v, want ErrNoFormer", err)
	}
}

// What is kept is the member's own file, and root starts what it names: only a
// program that was delivered counts.
func TestRevertTrustsNoPath(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/bin/sh", binary + "\nUser=root", node.BinaryFolder + "/../../../tmp/0123456789abcdef/pleiad", newer} {
		s := newStage(t)
		s.deliver(s.rendered(0), binary, true)
		text, err := json.Marshal(member.Former{Args: []string{"--name=x"}, Binary: path})
		if err == nil {
			err = os.WriteFile(filepath.Join(s.host.Paths.Config, member.FormerFile), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if n := s.inspect(); n.Former != nil {
			t.Errorf("%q: kept is %+v, want nothing", path, n.Former)
		}
		if err := s.agent.Revert(t.Context(), s.host); !errors.Is(err, agent.ErrNoFormer) {
			t.Errorf("%q: %v, want ErrNoFormer", path, err)
		}
		if got := s.starts(); got != binary {
			t.Errorf("%q: the unit starts %q", path, got)
		}
	}
}
