package agent

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/pleiad-etcd/pleiad/internal/system/process"
)

// lockFile is held while something on the machine is changed, and removed
// afterwards: two controllers may deliver at the same time, and two writers of
// one file would mix their contents.
const lockFile = "/run/pleiad.lock"

// exclusively does something while no other agent does.
func (h *Host) exclusively(ctx context.Context, do func() error) error {
	path := h.path(lockFile)
	for {
		lock, err := process.Acquire(path)
		if err == nil {
			defer lock.Release()
			defer os.Remove(path) // while it is held: see process.Acquire
			return do()
		}
		if !errors.Is(err, process.ErrHeld) {
			return err
		}
		if err := sleep(ctx, poll); err != nil {
			return fmt.Errorf("another pleiad is at work on the machine: %w", err)
		}
	}
}
