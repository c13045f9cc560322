package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/system/untrusted"
)

// logPoll is how often a followed log is looked at.
const logPoll = 50 * time.Millisecond

// Logs writes the log of a host's member to w, oldest line first, with what
// was rotated away but still exists. With follow it goes on with what is added
// until ctx ends, which then is no error, or until the host is gone.
//
// etcd rotates by renaming etcd.log to etcd-TIME.log and making it anew
// (gopkg.in/natefinch/lumberjack.v2); TIME sorts as text. No line is lost or
// written twice by a rotation meanwhile.
func (d *Deliverer) Logs(ctx context.Context, h cluster.Host, follow bool, w io.Writer) error {
	l := logs{path: h.Paths.Log, out: w}
	defer l.close()
	err := l.copy(ctx, follow)
	if follow && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read log of %s: %w", h.Name, err)
	}
	return nil
}

// logs reads the files of one log one after the other. The file that was read
// last stays open, so that it is known again under its rotated name.
type logs struct {
	path string
	out  io.Writer
	file *os.File   // being read; nil before the first
	next []*os.File // newer than file, oldest first
}

func (l *logs) close() {
	closeAll(append(l.next, l.file))
	l.next, l.file = nil, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close() // nothing was written; nil is no file and no harm
	}
}

func (l *logs) copy(ctx context.Context, follow bool) error {
	tick := time.NewTicker(logPoll)
	defer tick.Stop()
	for {
		if err := l.more(ctx); err != nil {
			return err
		}
		if !follow && l.file != nil {
			return nil
		}
		if !follow {
			if names, err := rotated(l.path); err != nil || len(names) == 0 {
				return errors.Join(err, fmt.Errorf("open %s: %w", l.path, fs.ErrNotExist))
			}
			continue // rotations were faster than we
		}
		if _, err := os.Stat(filepath.Dir(l.path)); errors.Is(err, fs.ErrNotExist) {
			return nil // the host is gone, nothing will be added
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// more writes all that has been added. A file is read to its end once more
// after a newer one was seen: only then is it complete.
func (l *logs) more(ctx context.Context) error {
	if err := l.findNewer(ctx); err != nil {
		return err
	}
	for {
		if err := l.drain(ctx); err != nil || len(l.next) == 0 {
			return err
		}
		closeAll([]*os.File{l.file})
		l.file, l.next = l.next[0], l.next[1:]
	}
}

// drain writes what is left of the open file. A file that became shorter was
// emptied by hand and is read anew.
func (l *logs) drain(ctx context.Context) error {
	if l.file == nil {
		return nil
	}
	at, err := l.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() < at {
		if _, err := l.file.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	_, err = io.Copy(l.out, readerUntil{ctx, l.file})
	return err
}

// findNewer opens the files that are newer than the one that was read last. If
// that one is not among them, it was the oldest and has been removed, so that
// all are newer.
func (l *logs) findNewer(ctx context.Context) error {
	current, names, err := l.look(ctx)
	if err != nil {
		return err
	}
	if same(current, l.file) {
		closeAll([]*os.File{current})
		return nil
	}
	l.next = []*os.File{current} // newest first, until the end
	for _, name := range slices.Backward(names) {
		f, err := openIfThere(name)
		if err != nil {
			return err
		}
		if same(f, l.file) {
			closeAll([]*os.File{f})
			break
		}
		l.next = append(l.next, f)
	}
	slices.Reverse(l.next)
	l.next = slices.DeleteFunc(l.next, func(f *os.File) bool { return f == nil })
	return nil
}

// look opens the current file, nil if there is none just then, and lists those
// that were rotated away before it. It looks again if a rotation came between.
func (l *logs) look(ctx context.Context) (current *os.File, names []string, err error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if current, err = openIfThere(l.path); err != nil {
			return nil, nil, err
		}
		names, err = rotated(l.path)
		after, opened := openIfThere(l.path)
		calm := same(current, after) || current == nil && after == nil
		closeAll([]*os.File{after})
		if err := errors.Join(err, opened); err != nil {
			closeAll([]*os.File{current})
			return nil, nil, err
		}
		if calm {
			return current, names, nil
		}
		closeAll([]*os.File{current})
	}
}

// openIfThere returns nil for a file that does not exist: between two renames,
// or removed as the oldest.
func openIfThere(path string) (*os.File, error) {
	f, err := untrusted.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return f, err
}

// same says whether two open files are one; nil is the same as none.
func same(a, b *os.File) bool {
	if a == nil || b == nil {
		return false
	}
	first, err1 := a.Stat()
	second, err2 := b.Stat()
	return err1 == nil && err2 == nil && os.SameFile(first, second)
}

// rotated are the paths of what was rotated away from a log, oldest first; none
// if the folder does not exist.
func rotated(path string) ([]string, error) {
	folder, ext := filepath.Dir(path), filepath.Ext(path)
	prefix := strings.TrimSuffix(filepath.Base(path), ext) + "-"
	entries, err := os.ReadDir(folder) // sorted by name
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var paths []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) && strings.HasSuffix(e.Name(), ext) {
			paths = append(paths, filepath.Join(folder, e.Name()))
		}
	}
	return paths, nil
}

// readerUntil reads until ctx ends.
type readerUntil struct {
	ctx context.Context
	io.Reader
}

func (r readerUntil) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(b)
}
