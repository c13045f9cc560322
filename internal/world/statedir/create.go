package statedir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
)

// Create makes the home of a cluster, or opens it if it is there and of this
// domain. While another command is just making or removing it, Create waits;
// when ctx ends meanwhile the error is a [*HeldError].
func Create(ctx context.Context, root string, name cluster.Name, seat Seat) (*Home, error) {
	h, err := homeAt(root, name)
	if err != nil {
		return nil, err
	}
	for {
		there, err := Open(root, name)
		if err == nil && there.seat.Domain != seat.Domain {
			return nil, &Error{Path: h.dir, Problem: fmt.Sprintf("it is of cluster %s on domain %s, not %s", name, there.seat.Domain, seat.Domain),
				Hint: "use another cluster name, or destroy that cluster first", Kind: ErrForeign}
		}
		if !errors.Is(err, ErrNone) {
			return there, err
		}
		done, err := h.create(seat)
		if err != nil {
			return nil, err
		}
		if done {
			return h, nil
		}
		if err := sleep(ctx, poll); err != nil {
			return nil, &HeldError{Cluster: name, Holder: h.holder()}
		}
	}
}

// create makes the home, under its lock: another command may already have written
// an owner, which must not be lost. It returns false if another command holds the
// lock or has removed the folder.
func (h *Home) create(seat Seat) (bool, error) {
	if err := h.makeFolder(); err != nil {
		return false, err
	}
	if real, err := filepath.EvalSymlinks(filepath.Dir(h.dir)); err == nil { // it may be new
		h.dir = filepath.Join(real, filepath.Base(h.dir))
	}
	if err := checkFolder(h.dir, self()); err != nil {
		return false, orNone(err)
	}
	lock, err := process.Acquire(h.path(lockFile))
	if errors.Is(err, process.ErrHeld) || errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, unwritable(h.dir, err)
	}
	defer lock.Release()
	if _, err := h.meta(); !errors.Is(err, ErrNone) {
		return false, orNone(err)
	}
	here, err := locationOf(h.dir)
	if err == nil {
		err = h.setMeta(meta{Version: Version, Cluster: h.cluster, Seat: seat, location: here})
	}
	if err != nil {
		h.abandon()
		return false, err
	}
	h.seat, h.location = seat, here
	return true, nil
}

// orNone is nil for the absence of a home.
func orNone(err error) error {
	if errors.Is(err, ErrNone) {
		return nil
	}
	return err
}

func (h *Home) makeFolder() error {
	root := filepath.Dir(h.dir)
	if err := os.MkdirAll(root, 0o700); err != nil {
		return unwritable(root, err)
	}
	if err := h.disk.mkdir(h.dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return unwritable(h.dir, err)
	}
	if err := h.disk.syncDir(root); err != nil {
		return unwritable(root, err)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
