package agent_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
)

func (s *stage) stage(n node.Node, c *node.Credentials) {
	s.Helper()
	if err := s.agent.Stage(s.Context(), s.host, n, c, binary, true); err != nil {
		s.Fatalf("Stage: %v", err)
	}
}

func (s *stage) list() node.Stage {
	s.Helper()
	b, err := os.ReadFile(s.Path(node.StageFolder + "/" + node.StageList))
	if err != nil {
		s.Fatal(err)
	}
	list, err := node.DecodeStage(b)
	if err != nil {
		s.Fatal(err)
	}
	return list
}

// What Chef is to lay down is readable for root alone, the same each time, and not
// laid down by the agent. Certificates stay until there are others.
func TestStage(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.stage(s.rendered(0), credentials(0))
	before := s.Files(t)
	for path, is := range before {
		if strings.HasPrefix(path, node.StageFolder+"/") && !strings.HasPrefix(is, "drwx------") && !strings.HasPrefix(is, "-rw-------") && !strings.HasSuffix(path, "/"+node.StageBinary) {
			t.Errorf("%s is open to others: %s", path, is)
		}
	}
	if _, err := os.Stat(s.Path(node.UnitFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the unit: %v, want it left to Chef", err)
	}
	missing, err := s.agent.Unlaid(t.Context(), s.host)
	if err != nil || !slices.Contains(missing, node.UnitFile) || len(missing) != 8+3+1 { // the binary is there, the link is not
		t.Errorf("Unlaid = %q, %v; want all files but the binary", missing, err)
	}
	s.stage(s.rendered(1), nil)
	if n := len(s.list().Files); n != 8+3 {
		t.Errorf("%d files after a node without certificates, want those that were delivered before", n)
	}
	s.stage(s.rendered(0), nil)
	if after := s.Files(t); after[node.StageFolder+"/"+node.StageList] != before[node.StageFolder+"/"+node.StageList] {
		t.Errorf("the list after the same node:\n%s, was\n%s", after[node.StageFolder+"/"+node.StageList], before[node.StageFolder+"/"+node.StageList])
	}
}

// What is laid down by the agent takes the stage away.
func TestInstallTakesTheStageAway(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.stage(s.rendered(0), credentials(0))
	s.install(s.rendered(1), credentials(0))
	if _, err := os.Stat(s.Path(node.StageFolder)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the stage: %v, want none", err)
	}
}

// A run of Chef in progress is waited for, and not for ever.
func TestStageWaitsForChef(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.stage(s.rendered(0), credentials(0))
	lock, err := process.Acquire(s.Path(node.StageFolder + "/" + node.StageLock))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err = s.agent.Stage(ctx, s.host, s.rendered(1), nil, binary, true)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "a run of Chef is at work") {
		t.Errorf("Stage during a run: %v", err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	s.stage(s.rendered(1), nil)
}
