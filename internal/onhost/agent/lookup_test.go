package agent_test

import (
	"context"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/onhost/agent"
)

// To find the member's user takes a process, which an act does not start again and
// again while it waits.
func TestUserIsFoundOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.install(s.rendered(0), nil)
	found, find, asked := 0, s.agent.User, 0
	s.agent.User = func(ctx context.Context, create bool) (agent.User, error) {
		found++
		return find(ctx, create)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	run := s.agent.Run
	s.agent.Run = func(ctx context.Context, program string, args ...string) (string, error) {
		if program == "systemctl" {
			if asked++; asked == 6 { // it has waited for long
				cancel()
			}
		}
		return run(ctx, program, args...)
	}
	if err := s.agent.Start(ctx, s.host); err == nil {
		t.Error("it is up, though nothing was started")
	}
	if found != 1 {
		t.Errorf("Start looked for the user %d times", found)
	}
	found = 0
	if _, err := s.agent.Inspect(t.Context(), s.host); err != nil || found != 1 {
		t.Errorf("Inspect looked for the user %d times; %v", found, err)
	}
}
