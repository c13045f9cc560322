// Package given reads the files that a person names: a spec, a key, what ssh is
// configured with.
//
// [Read] is the one function. Such a file may be a pipe in which data
// arrives late or never, such as the <(command) of a shell, and a device that
// never ends. So Read takes no more than a limit, whatever the size of the file
// says, and ends with its context. [Regular] is for code of others that opens
// files itself.
package given

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/system/bound"
)

// Sizes that no file of a kind reaches: the largest RSA keys have 13 kB, and a
// known_hosts with every host of a large company some MB.
const (
	Key    = 64 << 10
	Config = 1 << 20
	List   = 64 << 20
)

// Read reads a file to its end, which must come within limit bytes. It waits
// for whoever writes into a pipe, until ctx ends. Errors are of type
// [*fs.PathError].
func Read(ctx context.Context, path string, limit int) ([]byte, error) {
	fail := func(op string, err error) ([]byte, error) {
		var file *fs.PathError
		if errors.As(err, &file) {
			err = file.Err
		}
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, &fs.PathError{Op: op, Path: path, Err: err}
	}
	if ctx.Err() != nil {
		return fail("open", ctx.Err())
	}
	f, err := open(path)
	if err != nil {
		return fail("open", err)
	}
	defer f.Close()
	// Where this has no effect a read does not wait.
	stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	b, err := bound.ReadAll(patient(f), int64(limit))
	if err != nil {
		return fail("read", err)
	}
	return b, nil
}

// Regular is an error unless a path leads to a regular file of at most
// limit bytes. The null device is nothing to be afraid of: ssh has it for no
// file at all.
func Regular(path string, limit int64) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case path == os.DevNull:
		return nil
	case info.IsDir():
		return &fs.PathError{Op: "read", Path: path, Err: errors.New("is a directory")}
	case !info.Mode().IsRegular():
		return &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	case info.Size() > limit:
		return &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("%w: more than %d bytes", bound.ErrTooLong, limit)}
	}
	return nil
}
