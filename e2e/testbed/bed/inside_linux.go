package bed

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// inside calls f on a thread that is in a network namespace. A socket stays in
// the namespace it was made in, so whatever f opens can be used anywhere; but f
// must open it itself, not in another goroutine.
func inside(namespace string, f func() error) error {
	errs := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := move(namespace)
		if err != nil {
			runtime.UnlockOSThread() // it never left
			errs <- err
			return
		}
		defer home.Close()
		err = f()
		// A thread that cannot go home stays locked and ends with the goroutine.
		if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back == nil {
			runtime.UnlockOSThread()
		}
		errs <- err
	}()
	return <-errs
}

// move moves the thread into a namespace and returns the one it was in.
func move(namespace string) (*os.File, error) {
	there, err := os.Open(namespace)
	if err != nil {
		return nil, fmt.Errorf("enter the bed's network: %w", err)
	}
	defer there.Close()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("enter the bed's network: %w", err)
	}
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		home.Close()
		return nil, fmt.Errorf("enter the bed's network: %w", err)
	}
	return home, nil
}
