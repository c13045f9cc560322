// Package process starts children that outlive the command that started them,
// and finds them again. Local members and the embedded name server run as such
// children; no other package deals with pids.
//
// A child is identified by a [Stamp], its pid together with the moment it was
// started, so that a recycled pid is never taken for it and never signalled.
// The child writes its own stamp down ([Self]) while it holds a [Lock]; thus
// there is no moment in which it runs unknown to others.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/system/untrusted"
)

// Stamp identifies one process on this machine for as long as it lives.
type Stamp struct {
	PID int `json:"pid"`
	// Started is the start time in the kernel's own unit, together with the
	// boot: opaque, only ever compared.
	Started string `json:"started"`
}

// Self is the stamp of this process.
func Self() (Stamp, error) {
	started, _, err := startOf(os.Getpid())
	if err != nil {
		return Stamp{}, fmt.Errorf("read own start time: %w", err)
	}
	return Stamp{PID: os.Getpid(), Started: started}, nil
}

// Alive says whether the process still runs; a zombie does not.
func (s Stamp) Alive() bool {
	if s.PID <= 0 {
		return false
	}
	started, ended, err := startOf(s.PID)
	return err == nil && !ended && started == s.Started
}

// Signal sends a signal to the process if it is alive.
func (s Stamp) Signal(sig os.Signal) error {
	p, err := os.FindProcess(s.PID) // a handle where the system has such, and pids where not
	if err != nil {
		return fmt.Errorf("signal process %d: %w", s.PID, err)
	}
	defer p.Release()
	if !s.Alive() { // after the handle: it is this process's and no later one's
		return nil
	}
	if err := p.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal process %d: %w", s.PID, err)
	}
	return nil
}

// poll is how often Stop and Wait look whether a process has gone. There is no
// way to be told of the end of a process that is not one's child.
const poll = 2 * time.Millisecond

// Stop asks the process to end, forces it after grace, and returns when it is
// gone. A process that does not run is no error.
func (s Stamp) Stop(ctx context.Context, grace time.Duration) error {
	if err := s.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	polite, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if s.Wait(polite) == nil {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("stop process %d: %w", s.PID, err)
	}
	if err := s.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	return s.Wait(ctx)
}

// Wait returns when the process is gone, or with the error of ctx.
func (s Stamp) Wait(ctx context.Context) error {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for s.Alive() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for process %d to end: %w", s.PID, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// Child is a process that this one has just started.
type Child struct {
	Stamp Stamp
	// Exited is closed when the child has ended and was reaped. The goroutine
	// behind it lives exactly as long as the child or this process.
	Exited <-chan struct{}
}

// Spawn starts argv in a session of its own, so that neither Ctrl-C nor the
// end of this command reaches it, with standard output and error appended to
// logFile, standard input empty, and the environment that [Environment] leaves it,
// with more added.
func Spawn(argv, more []string, logFile string) (Child, error) {
	out, err := untrusted.Append(logFile)
	if err != nil {
		return Child{}, fmt.Errorf("open log: %w", err)
	}
	defer out.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.Dir = append(Environment(), more...), out, out, "/"
	cmd.SysProcAttr = detached()
	if err := cmd.Start(); err != nil {
		return Child{}, fmt.Errorf("start %s: %w", argv[0], err)
	}
	// It may have ended already; it is known until it is reaped, below.
	started, _, err := startOf(cmd.Process.Pid)
	if err != nil {
		return Child{}, errors.Join(fmt.Errorf("read start time of process %d: %w", cmd.Process.Pid, err), cmd.Process.Kill(), cmd.Wait())
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait() // how it ended is in its log and status; here it only must not stay a zombie
	}()
	return Child{Stamp: Stamp{PID: cmd.Process.Pid, Started: started}, Exited: exited}, nil
}
