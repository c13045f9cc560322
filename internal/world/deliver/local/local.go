// Package local delivers to hosts that are folders on this machine: it writes
// files, and starts and stops `pleiad member` as a child process that outlives
// the command.
//
// [New] first. What is on a host and who runs there is read from the host's
// own files each time; package member, which writes status.json and holds the
// lock beside it, is authoritative. Nothing is cached here.
//
// What it promises beyond deliver.Deliverer: a process is signalled only if pid
// and start time are those in status.json, so never another program's; and a
// host that was terminated meanwhile does not reappear, since no folder above a
// host's own is ever created.
package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/onhost/member"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver"
)

// Deliverer is a deliver.Deliverer for local hosts.
type Deliverer struct {
	argv    func(configDir string) []string
	program cluster.Program
}

var _ deliver.Deliverer = (*Deliverer)(nil)

// New returns a deliverer. argv is the command that runs a member from its
// configuration folder, its program first; which program that is may be unknown.
// Whichever pleiad starts a member runs it: no program is kept on a host.
func New(argv func(configDir string) []string, program cluster.Program) *Deliverer {
	return &Deliverer{argv: argv, program: program}
}

// Inspect implements deliver.Deliverer.
func (d *Deliverer) Inspect(ctx context.Context, h cluster.Host) (cluster.Node, error) {
	n, err := member.Inspect(ctx, h.Paths)
	if err != nil {
		return cluster.Node{}, fmt.Errorf("inspect %s: %w", h.Name, err)
	}
	n.Offered = d.program
	if n.Installed != "" {
		n.Next.Program = d.program
	}
	if n.Former != nil {
		n.Former.Program = d.program
	}
	return n, nil
}

// Stop implements deliver.Deliverer. A member at its start gate, and an etcd
// that has not joined its quorum, end at once; others finish what clients wait
// for and hand over leadership first.
func (d *Deliverer) Stop(ctx context.Context, h cluster.Host, grace time.Duration) error {
	if err := d.stop(ctx, h, grace); err != nil {
		return fmt.Errorf("stop %s: %w", h.Name, err)
	}
	return nil
}

func (d *Deliverer) stop(ctx context.Context, h cluster.Host, grace time.Duration) error {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		s, err := member.ReadStatus(h.Paths.Config)
		if err != nil {
			return err
		}
		if seen := h.Node.Or(cluster.Node{}).Process.PID; seen != 0 && s.Process.PID != seen {
			// It has ended, whatever was started since, or its folder was removed.
			return orphan(ctx, h, seen, grace)
		}
		if s.Process.Alive() {
			return s.Process.Stop(ctx, grace)
		}
		held, err := lockHeld(h)
		if err != nil || !held {
			return err
		}
		// It has begun and is about to say who it is.
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until the process that holds %s says who it is: %w", lockPath(h), ctx.Err())
		case <-tick.C:
		}
	}
}

// orphan ends the process of a host whose folder was removed while it ran, if it
// is the one that was seen; see [process.Orphans].
func orphan(ctx context.Context, h cluster.Host, seen int, grace time.Duration) error {
	found, err := process.Orphans(h.Paths.Config)
	if err != nil {
		return err
	}
	if s := found[lockPath(h)]; s.PID == seen {
		return s.Stop(ctx, grace)
	}
	return nil
}

// poll is how often a starting or stopping member is looked at. Members start
// one after the other, so that each poll adds to a bootstrap three times.
const poll = 2 * time.Millisecond

func lockPath(h cluster.Host) string { return filepath.Join(h.Paths.Config, member.LockFile) }

// lockHeld says whether a process holds the member's lock. It takes the lock
// for a moment, which a member that starts in that moment does not survive: ask
// only where nobody is known to run or to start.
func lockHeld(h cluster.Host) (bool, error) {
	if _, err := os.Stat(lockPath(h)); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	l, err := process.Acquire(lockPath(h))
	if errors.Is(err, process.ErrHeld) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return false, l.Release()
}
