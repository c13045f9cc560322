package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/pleiad-etcd/pleiad/internal/system/untrusted"
)

// ErrHeld says that another process holds a lock.
var ErrHeld = errors.New("held by another process")

// Lock is an exclusive lock on a file; the kernel releases it when its holder
// ends, however it ends.
type Lock struct{ file *os.File }

// Acquire takes the lock at path, made if absent, without waiting; it returns
// [ErrHeld] if somebody has it. Only the holder may remove the file, together
// with what it guards: whoever had opened it by then holds a lock on nothing,
// which is noticed here.
func Acquire(path string) (*Lock, error) {
	for {
		f, err := untrusted.Create(path)
		if err != nil {
			return nil, fmt.Errorf("open lock: %w", err)
		}
		if err := lockFile(f); err != nil {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		ok, err := current(f, path)
		if ok {
			return &Lock{file: f}, nil
		}
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
	}
}

// current says whether an open file is still the one at path.
func current(f *os.File, path string) (bool, error) {
	ours, err := f.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(ours, there), err
}

// Release gives the lock back. The file stays for the next holder. To close it
// is not enough: a child that another goroutine is just starting shares it until
// it executes its program.
func (l *Lock) Release() error { return errors.Join(unlockFile(l.file), l.file.Close()) }
