package statedir

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/pleiad-etcd/pleiad/internal/system/process"
	"github.com/pleiad-etcd/pleiad/internal/system/untrusted"
)

// Lock is held by the one command that works on a cluster. The kernel releases it
// when that command ends, however it ends.
type Lock struct {
	home *Home
	lock *process.Lock
}

// Lock takes the lock for a command, such as "pleiad up", which is shown to
// others. The error is a [*HeldError] if somebody has it, and [ErrNone] if the
// home is gone.
func (h *Home) Lock(command string) (*Lock, error) {
	lock, err := process.Acquire(h.path(lockFile))
	switch {
	case errors.Is(err, process.ErrHeld):
		return nil, &HeldError{Cluster: h.cluster, Holder: h.holder()}
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("cluster %s: %w", h.cluster, ErrNone)
	case err != nil:
		return nil, unwritable(h.dir, err)
	}
	l := &Lock{home: h, lock: lock}
	_, err = h.meta()
	if err == nil {
		err = h.sign(command)
	}
	if errors.Is(err, ErrNone) {
		h.abandon()
	}
	if err != nil {
		return nil, errors.Join(err, l.Release())
	}
	return l, nil
}

// abandon removes the lock file that we made after the home was removed, and the
// folder if nothing else is in it. Nothing depends on it.
func (h *Home) abandon() {
	_ = h.disk.remove(h.path(lockFile))
	_ = h.disk.remove(h.dir)
}

// LockWait is [Home.Lock], but waits while somebody else has the lock. It
// calls onWait with each holder it waits for. The error is a [*HeldError] if
// ctx ends meanwhile, and [ErrNone] if the other command removed the home.
func (h *Home) LockWait(ctx context.Context, command string, onWait func(Holder)) (*Lock, error) {
	var shown *Holder
	for {
		lock, err := h.Lock(command)
		var held *HeldError
		if !errors.As(err, &held) {
			return lock, err
		}
		if shown == nil || shown.PID != held.Holder.PID && held.Holder.PID != 0 {
			onWait(held.Holder)
			shown = &held.Holder
		}
		if sleep(ctx, poll) != nil {
			return nil, err
		}
	}
}

// Release releases the lock.
func (l *Lock) Release() error {
	signature := discard(l.home.disk, l.home.path(holderFile)) // before the next holder signs
	if err := errors.Join(signature, l.lock.Release()); err != nil {
		return fmt.Errorf("release lock of cluster %s: %w", l.home.cluster, err)
	}
	return nil
}

// sign writes to lock.json that we hold the lock. The file stays if we are killed:
// the kernel's lock decides, not the file.
func (h *Home) sign(command string) error {
	stamp, err := process.Self()
	if err != nil {
		stamp = process.Stamp{PID: os.Getpid()}
	}
	b, err := json.Marshal(Holder{Stamp: stamp, Command: command, Since: h.now().UTC(), Host: here()})
	if err != nil {
		return fmt.Errorf("encode %s: %w", holderFile, err)
	}
	// Neither synced nor atomic: after a crash it means nothing, and half of it is
	// read as an unknown holder.
	f, err := untrusted.Create(h.path(holderFile))
	if err != nil {
		return unwritable(h.dir, err)
	}
	_, err = f.Write(append(b, '\n'))
	if err := errors.Join(err, f.Truncate(int64(len(b))+1), f.Close()); err != nil {
		return unwritable(h.dir, err)
	}
	return nil
}

// holder reads who holds the lock. It is unknown for the moment between taking
// the lock and signing; what a killed command left is not taken for it.
func (h *Home) holder() Holder {
	b, err := readOwn(h.path(holderFile))
	if err != nil {
		return Holder{}
	}
	var who Holder
	if json.Unmarshal(b, &who) != nil {
		return Holder{}
	}
	if who.Host == here() && who.Started != "" && !who.Alive() {
		return Holder{}
	}
	return who
}
