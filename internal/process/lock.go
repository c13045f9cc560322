package process

import (
	"errors"
	"fmt"
	"os"
)

// ErrHeld says that another process holds a lock.
var ErrHeld = errors.New("held by another process")

// Lock is an exclusive lock on a file; the kernel releases it when its holder
// ends, however it ends.
type Lock struct{ file *os.File }

// Acquire takes the lock at path, made if absent, without waiting; it returns
// [ErrHeld] if somebody has it.
func Acquire(path string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := lockFile(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &Lock{file: f}, nil
}

// Release gives the lock back. The file stays: removing it would let two
// processes hold two locks of one name.
func (l *Lock) Release() error { return l.file.Close() }
