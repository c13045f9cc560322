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
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/member"
	"github.com/pleiad-etcd/pleiad/internal/process"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver"
)

// Times of a start.
const (
	// gateWaits is how long a start gate must wait before it counts as
	// waiting: DNS on this machine is often right a moment later.
	gateWaits = 300 * time.Millisecond
	// staysPut is how long somebody must listen on a port to occupy it.
	staysPut = 300 * time.Millisecond
	// startTimeout bounds a start that neither succeeds nor fails.
	startTimeout = time.Minute
)

// Start implements deliver.Deliverer. Two Starts at once may both spawn a
// process; the member's lock decides, the loser ends by itself, and both Starts
// wait for the winner. When ctx ends, a process that was spawned stays.
func (d *Deliverer) Start(ctx context.Context, h cluster.Host) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("neither up nor down after %s; see %s", startTimeout, h.Paths.Log))
	defer cancel()
	if err := d.start(ctx, h); err != nil {
		return fmt.Errorf("start %s: %w", h.Name, err)
	}
	return nil
}

func (d *Deliverer) start(ctx context.Context, h cluster.Host) error {
	s := starting{host: h}
	var err error
	if s.before, err = member.ReadStatus(h.Paths.Config); err != nil {
		return err
	}
	if s.before.Running() {
		return s.await(ctx)
	}
	// One that has refused to start or is stopping still holds the lock.
	if err := s.before.Process.Wait(ctx); err != nil {
		return err
	}
	n, err := d.Inspect(ctx, h)
	if err != nil {
		return err
	}
	if n.Installed == "" {
		return errors.New("nothing was delivered to it")
	}
	if free, err := s.vacant(ctx); err != nil {
		return err
	} else if free {
		if err := s.spawn(d.argv(h.Paths.Config)); err != nil {
			return err
		}
	}
	return s.await(ctx)
}

// starting is a member on its way up.
type starting struct {
	host   cluster.Host
	before member.Status // as the last process left it
	logged int64         // size of the log before, in bytes
	child  *process.Child
}

// vacant waits until nobody listens on the host's ports. It returns false if
// that is the member itself, started by somebody else meanwhile: it says who it
// is before it listens. Who goes within [staysPut] is no occupant: a place that
// is being chosen for another host, or a process on its way out.
func (s *starting) vacant(ctx context.Context) (bool, error) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for began := time.Now(); ; {
		occupied := occupied(ctx, s.host)
		now, err := member.ReadStatus(s.host.Paths.Config)
		switch {
		case err != nil:
			return false, err
		case now.Running():
			return false, nil
		case occupied == nil:
			return true, nil
		case time.Since(began) >= staysPut:
			return false, occupied
		}
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

func (s *starting) spawn(argv []string) error {
	if info, err := os.Stat(s.host.Paths.Log); err == nil {
		s.logged = info.Size()
	}
	c, err := process.Spawn(argv, environment(os.Environ()), s.host.Paths.Log)
	if err != nil {
		return err
	}
	s.child = &c
	return nil
}

// environment is that of the members: without the variables that would steer
// etcd (its flags may come from ETCD_*) or its traffic between peers (proxies).
func environment(all []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		name = strings.ToUpper(name)
		return strings.HasPrefix(name, "ETCD_") && name != "ETCD_UNSUPPORTED_ARCH" ||
			slices.Contains([]string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"}, name)
	})
}

// await returns nil when the member serves its peers or its gate waits, and
// the reason if its process ended.
func (s *starting) await(ctx context.Context) error {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	var waits time.Time // since when the gate waits; zero if it does not
	for {
		status, err := member.ReadStatus(s.host.Paths.Config)
		if err != nil {
			return err
		}
		switch {
		case !status.Running():
			if err := s.ended(ctx); err != nil {
				return err
			}
		case status.Gate == "":
			waits = time.Time{}
			if serves(ctx, s.host) {
				return s.settle(ctx, status)
			}
		case waits.IsZero():
			waits = time.Now()
		case time.Since(waits) >= gateWaits:
			return s.settle(ctx, status)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// settle waits for the end of our process if it is not the one that runs: as
// long as it has not tried the lock it could still come up, later, when the
// other one has been stopped.
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

// ended returns why the start has failed, or nil if there still is a process
// that has not said yet who it is.
func (s *starting) ended(ctx context.Context) error {
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
	reason := s.reason()
	if strings.Contains(reason, syscall.EADDRINUSE.Error()) { // somebody was faster than etcd
		if err := occupied(ctx, s.host); err != nil {
			return fmt.Errorf("its process ended: %w", err)
		}
	}
	return fmt.Errorf("its process ended: %s", reason)
}

// reason is the last word of a process that ended: its own, if it came as far
// as its status, else the last line of what it printed.
func (s *starting) reason() string {
	nothing := "it left no reason in " + s.host.Paths.Log
	n, err := member.InspectPaths(s.host.Paths)
	if err != nil {
		return err.Error()
	}
	if now, err := member.ReadStatus(s.host.Paths.Config); err != nil || now.Process != s.before.Process {
		return cmp.Or(n.Process.Exit, nothing)
	}
	f, err := os.Open(s.host.Paths.Log)
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

// serves says whether etcd serves its peers. Its peer port is open long before
// that, and a member that starts meanwhile asks it and waits for up to 7 s; the
// metrics listener is the last one etcd opens (server/embed/etcd.go,
// StartEtcd), whether or not there is a quorum yet.
func serves(ctx context.Context, h cluster.Host) bool { return accepts(ctx, h, h.Ports.Metrics) }

// accepts says whether somebody listens on a port of a host. It dials rather
// than bind, because it may be the member's own process that is just about to.
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
