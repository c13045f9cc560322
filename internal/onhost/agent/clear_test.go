package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/onhost/agent"
	"github.com/pleiad-etcd/pleiad/internal/onhost/member"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
)

// hostsBefore is a hosts file as no tool would write it.
const hostsBefore = "127.0.0.1\tlocalhost\r\n\n# mine\n10.0.0.1 printer"

// lived is a machine on which a member has run, and what was there before.
func lived(t *testing.T, edit ...func(*cluster.Spec)) (s *stage, before map[string]string) {
	s = newStage(t)
	s.Write(t, node.SystemHosts, hostsBefore)
	s.Write(t, wants+"/../other.service", "somebody else's")
	before = s.Files(t)
	s.install(s.rendered(0, edit...), credentials(0))
	for path, text := range map[string]string{
		filepath.Join(s.host.Paths.Data, "member", "wal", "0.wal"): "acknowledged",
		filepath.Join(s.host.Paths.Config, member.LockFile):        "",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s, before
}

// kept is where the stage's data goes if it is kept.
func (s *stage) kept() string { return fmt.Sprintf("%s/%s-%s", node.KeptFolder, s.host.Name, token) }

func (s *stage) clear(keep bool) {
	s.Helper()
	if err := s.agent.Clear(s.Context(), s.host, keep); err != nil {
		s.Fatalf("Clear: %v", err)
	}
}

// wantFiles fails unless the machine holds what it held before, and the data
// where it was to be kept.
func (s *stage) wantFiles(before map[string]string, keep bool) {
	s.Helper()
	after := s.Files(s.T)
	if keep {
		if got := after[s.kept()+"/member/wal/0.wal"]; !strings.HasSuffix(got, "acknowledged") {
			s.Errorf("what was kept in %s is %q, want the data", s.kept(), got)
		}
		if got := after[node.KeptFolder+"/"]; got != "drwx------" {
			s.Errorf("%s is %s, want it closed", node.KeptFolder, got)
		}
		for name := range after {
			if strings.HasPrefix(name, node.KeptFolder+"/") {
				delete(after, name)
			}
		}
	}
	if diff := cmp.Diff(before, after); diff != "" {
		s.Errorf("after Clear (-before +after):\n%s", diff)
	}
	if s.Loaded() != "" {
		s.Error("systemd still knows the unit")
	}
}

func TestClearLeavesTheMachineAsItWas(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{false, true} {
		s, before := lived(t)
		s.clear(keep)
		s.wantFiles(before, keep)
		s.Calls()
		s.clear(keep)
		s.wantFiles(before, keep)
		if calls := s.Calls(); len(calls) > 0 {
			t.Errorf("Clear of a machine that is clear runs %q, want nothing", calls)
		}
	}
}

// However a Clear is cut short, the next one finishes it.
func TestClearCutShort(t *testing.T) {
	t.Parallel()
	cut := errors.New("cut short")
	for call := range 3 { // disable, daemon-reload, reset-failed
		for _, cancelled := range []bool{false, true} {
			for _, keep := range []bool{false, true} {
				t.Run(fmt.Sprintf("program %d, cancelled %t, keep %t", call, cancelled, keep), func(t *testing.T) {
					t.Parallel()
					s, before := lived(t)
					ctx, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					s.failAt(call, func() error {
						if cancelled {
							cancel(cut)
							return nil
						}
						return cut
					})
					err := s.agent.Clear(ctx, s.host, keep)
					if forgiven := call == 2 && !cancelled; !errors.Is(err, cut) && !forgiven {
						t.Errorf("Clear: %v, want %v", err, cut)
					}
					s.Before = nil
					s.clear(keep)
					s.wantFiles(before, keep)
				})
			}
		}
	}
}

func TestClearRefusesARunningMember(t *testing.T) {
	t.Parallel()
	s, _ := lived(t)
	self, err := process.Self()
	if err != nil {
		t.Fatal(err)
	}
	write := func(st member.Status) {
		t.Helper()
		b, err := json.Marshal(st)
		if err == nil {
			err = os.WriteFile(filepath.Join(s.host.Paths.Config, member.StatusFile), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write(member.Status{Version: member.StatusVersion, Process: self, Since: time.Now()})
	before := s.Files(t)
	for _, keep := range []bool{false, true} {
		if err := s.agent.Clear(t.Context(), s.host, keep); !errors.Is(err, agent.ErrBusy) {
			t.Errorf("Clear under a running member: %v, want ErrBusy", err)
		}
	}
	if diff := cmp.Diff(before, s.Files(t)); diff != "" {
		t.Errorf("refused, but (-before +after):\n%s", diff)
	}
	write(member.Status{Version: member.StatusVersion, Process: self, Exit: "R6: refused"})
	s.clear(false)
}

// Clear takes away what is left, whatever somebody took away before.
func TestClearOfWhatIsHalfThere(t *testing.T) {
	t.Parallel()
	for _, gone := range []string{node.UnitFile, node.HostsFile, wants, node.StateFolder, node.StateFolder + "/config", node.StateFolder + "/data"} {
		s, before := lived(t)
		if err := os.RemoveAll(s.Path(gone)); err != nil {
			t.Fatal(err)
		}
		s.clear(false)
		if gone == node.StateFolder { // nothing says that systemd knows more than there is
			continue
		}
		s.wantFiles(before, false)
	}
}
