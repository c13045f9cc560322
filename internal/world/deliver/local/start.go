package local

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/onhost/member"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
	"github.com/pleiad-etcd/pleiad/internal/system/untrusted"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver"
)

// startTimeout bounds a start that neither succeeds nor fails.
const startTimeout = time.Minute

// Start implements deliver.Deliverer. Two Starts at once may both spawn a
// process; the member's lock decides, the loser ends by itself, and both Starts
// wait for the winner. When ctx ends, a process that was spawned stays.
func (d *Deliverer) Start(ctx context.Context, h cluster.Host) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("neither up nor down after %s; see %s", startTimeout, h.Paths.Log))
	defer cancel()
	began := time.Now()
	err := d.start(ctx, h)
	if err := errors.Join(err, d.noteStart(ctx, h, began, err)); err != nil {
		return fmt.Errorf("start %s: %w", h.Name, err)
	}
	return nil
}

// noteStart notes on the host whether the member came up with what it is started with
// now. A port that somebody else has says nothing of that, nor does a command that
// was interrupted, or a process that was there before.
func (d *Deliverer) noteStart(ctx context.Context, h cluster.Host, began time.Time, failed error) error {
	if errors.Is(failed, deliver.ErrOccupied) || ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil
	}
	found, err := d.Inspect(context.WithoutCancel(ctx), h)
	if err != nil || found.Installed == "" { // the next inspection reports the error
		return nil
	}
	if p := found.Process; p.Running && p.Since.Before(began) {
		return nil
	}
	return member.NoteStart(h.Paths.Config, found.Next, failed, -1, -1)
}

func (d *Deliverer) start(ctx context.Context, h cluster.Host) error {
	before, err := member.ReadStatus(h.Paths.Config)
	if err != nil {
		return err
	}
	s := starting{host: h, before: before}
	watch := member.Starting{Status: func() (member.Status, error) { return member.ReadStatus(h.Paths.Config) }, Poll: poll, Ended: s.ended,
		Occupied: func(ctx context.Context) error { return occupied(ctx, h) },
		Serves:   func(ctx context.Context) bool { return accepts(ctx, h, h.Ports.Metrics) }}
	if before.Running() {
		_, err := watch.Await(ctx)
		return err
	}
	// One that has refused to start or is stopping still holds the lock.
	if err := before.Process.Wait(ctx); err != nil {
		return err
	}
	n, err := d.Inspect(ctx, h)
	if err != nil {
		return err
	}
	if n.Installed == "" {
		return errors.New("nothing was delivered to it")
	}
	if free, err := watch.Vacant(ctx); err != nil {
		return err
	} else if free {
		if err := s.spawn(d.argv(h.Paths.Config)); err != nil {
			return err
		}
	}
	up, err := watch.Await(ctx)
	if err != nil {
		return err
	}
	return s.settle(ctx, up)
}

// starting is a member that is being started.
type starting struct {
	host   cluster.Host
	before member.Status // as the last process left it
	logged int64         // size of the log before, in bytes
	child  *process.Child
}

func (s *starting) spawn(argv []string) error {
	if info, err := os.Stat(s.host.Paths.Log); err == nil {
		s.logged = info.Size()
	}
	c, err := process.Spawn(argv, nil, s.host.Paths.Log)
	if err != nil {
		return err
	}
	s.child = &c
	return nil
}

// settle waits for the end of our process if another one runs: until ours has
// tried the lock, it could still start later, after the other one has been
// stopped.
func (s *starting) settle(ctx context.Context, winner member.Status) error {
	if s.child == nil || s.child.Stamp == winner.Process {
		return nil
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.child.Exited:
		return nil
	}
}

// ended returns why the start has failed, or nil if there still is a process that
// has not written its status yet.
func (s *starting) ended(ctx context.Context, _ member.Status) error {
	if s.child != nil {
		select {
		case <-s.child.Exited:
			s.child = nil // look again: did it lose to another one?
		default:
		}
		return nil
	}
	if held, err := lockHeld(s.host); err != nil || held {
		return err
	}
	reason := s.reason(ctx)
	if strings.Contains(reason, syscall.EADDRINUSE.Error()) { // somebody was faster than etcd
		if err := occupied(ctx, s.host); err != nil {
			return fmt.Errorf("its process ended: %w", err)
		}
	}
	return fmt.Errorf("its process ended: %s", reason)
}

// reason is why a process ended: from its status, if it wrote one, otherwise the
// last line of its output.
func (s *starting) reason(ctx context.Context) string {
	nothing := "it left no reason in " + s.host.Paths.Log
	n, err := member.Inspect(ctx, s.host.Paths)
	if err != nil {
		return err.Error()
	}
	if now, err := member.ReadStatus(s.host.Paths.Config); err != nil || now.Process != s.before.Process {
		return cmp.Or(n.Process.Exit, nothing)
	}
	f, err := untrusted.Open(s.host.Paths.Log)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	const longest = 4 << 10
	b, err := io.ReadAll(io.NewSectionReader(f, s.logged, longest))
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return cmp.Or(string(lines[len(lines)-1]), nothing)
}

// accepts says whether something listens on a port of a host. It dials instead of
// binding: the member itself may be about to bind.
func accepts(ctx context.Context, h cluster.Host, port uint16) bool {
	dialer := net.Dialer{Timeout: time.Second}
	c, err := dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(h.Address, port).String())
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// occupied is deliver.ErrOccupied, with the port and its owner, if somebody
// listens on a port of a host.
func occupied(ctx context.Context, h cluster.Host) error {
	for _, port := range []uint16{h.Ports.Peer, h.Ports.Client, h.Ports.Metrics} {
		if accepts(ctx, h, port) {
			at := netip.AddrPortFrom(h.Address, port)
			if who := listener(at); who != "" {
				return fmt.Errorf("%s: %w by %s", at, deliver.ErrOccupied, who)
			}
			return fmt.Errorf("%s: %w", at, deliver.ErrOccupied)
		}
	}
	return nil
}
