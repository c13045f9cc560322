package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/onhost/member"
)

const (
	poll = 5 * time.Millisecond
	// askSystemd is how often systemd is asked while the member says nothing.
	askSystemd = 100 * time.Millisecond
)

// Start starts the member unless it runs, and returns when it serves its peers
// or its gate waits, or with the reason why it ended. See deliver.Deliverer.
func (h *Host) Start(ctx context.Context, host cluster.Host) error {
	began := time.Now()
	err := h.start(ctx, host)
	return wrap("start", host.Name, errors.Join(err, h.noteStart(ctx, host, began, err)))
}

// noteStart notes on the machine whether the member came up with what it is started
// with now. A port that somebody else has says nothing of that, nor does a
// controller that has hung up, or a process that was there before.
func (h *Host) noteStart(ctx context.Context, host cluster.Host, began time.Time, failed error) error {
	if errors.Is(failed, ErrOccupied) || ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noting)
	defer cancel()
	u, err := h.User(ctx, false)
	if err != nil {
		return err
	}
	found, err := h.inspect(ctx, host)
	if err != nil || found.Installed == "" { // the next inspection reports the error
		return nil
	}
	if p := found.Process; p.Running && p.Since.Before(began) {
		return nil
	}
	if runs := found.Process.Program; failed == nil && runs.Differs(found.Next.Program) {
		failed = fmt.Errorf("it runs %s, not %s: a drop-in of %s may say so", runs, found.Next.Program, node.UnitName)
	}
	return as(u, func() error { return member.NoteStart(host.Paths.Config, found.Next, failed, u.UID, u.GID) })
}

// noting is how long it may take to note how a start ended.
const noting = 10 * time.Second

func (h *Host) start(ctx context.Context, host cluster.Host) error {
	u, err := h.User(ctx, false)
	if err != nil {
		return err
	}
	var n *node.Node
	if err := as(u, func() error { n, err = member.Installed(host.Paths.Config); return err }); err != nil {
		return err
	}
	if n == nil {
		return errors.New("nothing was delivered to it")
	}
	said := func() (member.Status, error) { return status(u, host) }
	before, err := said()
	if err != nil {
		return err
	}
	s := starting{Host: h, host: host, node: *n, said: said, before: before, ran: before.Running()}
	watch := member.Starting{Status: said, Poll: poll, Occupied: s.occupied, Serves: s.serves, Ended: s.ended}
	if !s.ran {
		if _, err := watch.Vacant(ctx); err != nil {
			return err
		}
		// Otherwise the end of an earlier process could be taken for the end of
		// this one.
		_ = h.systemctl(ctx, "reset-failed", node.UnitName) // an error means that there is nothing to forget
		// Enabled from its first start on: it comes up by itself after a reboot.
		if _, err := h.enable(); err != nil {
			return err
		}
		if err := h.systemctl(ctx, "start", "--no-block", node.UnitName); err != nil {
			return err
		}
	}
	_, err = watch.Await(ctx)
	if err != nil && errors.Is(err, context.Cause(ctx)) {
		return fmt.Errorf("neither up nor down: %w; see journalctl -u %s", err, node.UnitName)
	}
	return err
}

// starting is a member that is being started.
type starting struct {
	*Host
	host   cluster.Host
	node   node.Node
	said   func() (member.Status, error)
	before member.Status // as the last process left it
	ran    bool          // that process still ran, and may be about to end
	asked  time.Time     // when systemd was last asked
}

func (s *starting) occupied(ctx context.Context) error {
	for _, at := range []string{
		netip.AddrPortFrom(s.host.Address, s.host.Ports.Peer).String(),
		netip.AddrPortFrom(s.host.Address, s.host.Ports.Client).String(),
		metrics(s.node),
	} {
		if at != "" && accepts(ctx, at) {
			return fmt.Errorf("%s: %w", at, ErrOccupied)
		}
	}
	return nil
}

func (s *starting) serves(ctx context.Context) bool {
	at := metrics(s.node)
	return at == "" || accepts(ctx, at)
}

// metrics is where etcd serves metrics, host:port.
func metrics(n node.Node) string {
	at := ""
	for _, a := range n.Args {
		if urls, ok := strings.CutPrefix(a, "--listen-metrics-urls="); ok {
			first, _, _ := strings.Cut(urls, ",")
			_, at, _ = strings.Cut(first, "://")
		}
	}
	return at
}

func accepts(ctx context.Context, at string) bool {
	c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", at)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// ended is why the member has ended; nil if it has not, or if systemd has not
// begun yet.
func (s *starting) ended(ctx context.Context, now member.Status) error {
	fresh := now.Process != s.before.Process || s.ran
	if !fresh && time.Since(s.asked) < askSystemd {
		return nil
	}
	s.asked = time.Now()
	unit, err := s.unit(ctx)
	if err != nil || !unit.ended() {
		return err
	}
	if now, err = s.said(); err != nil { // it may have said more before it ended
		return err
	}
	if fresh = now.Process != s.before.Process || s.ran; unit.active == "inactive" && !fresh {
		return nil
	}
	said, since := now.Exit, now.Since
	if !fresh { // it did not come as far as saying who it is
		said, since = "", s.before.Since
	}
	why := cmp.Or(said, s.lastWord(ctx, since), "systemd says "+unit.result+"; see journalctl -u "+node.UnitName)
	if strings.Contains(why, "address already in use") {
		if err := s.occupied(ctx); err != nil {
			return fmt.Errorf("its process ended: %w", err)
		}
	}
	return fmt.Errorf("its process ended: %s", why)
}

// Stop ends the member: politely, and by force after grace. Where host.Node
// says which process was seen, only that one is ended.
func (h *Host) Stop(ctx context.Context, host cluster.Host, grace time.Duration) error {
	return wrap("stop", host.Name, h.stop(ctx, host, grace))
}

func (h *Host) stop(ctx context.Context, host cluster.Host, grace time.Duration) error {
	there, err := exists(h.path(node.UnitFile))
	if err != nil {
		return err
	}
	if seen := host.Node.Or(cluster.Node{}).Process.PID; seen != 0 || !there {
		if gone, err := h.gone(ctx, host, seen, there); err != nil || gone {
			return err
		}
	}
	polite, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	err = h.systemctl(polite, "stop", node.UnitName)
	if err == nil || ctx.Err() != nil || polite.Err() == nil {
		return err
	}
	if err := h.systemctl(ctx, "kill", "--signal=KILL", node.UnitName); err != nil {
		return err
	}
	return h.systemctl(ctx, "stop", node.UnitName)
}

// gone says whether the unit's current or last process is another one than the
// one that was seen. A process that systemd is about to start counts as the one
// seen. systemd may still know a unit whose file was removed.
func (h *Host) gone(ctx context.Context, host cluster.Host, seen int, there bool) (bool, error) {
	u, err := h.User(ctx, false)
	if err != nil {
		return false, err
	}
	s, err := status(u, host)
	if err != nil || !there && !s.Running() || seen != 0 && s.Process.PID != seen {
		return true, err
	}
	if seen == 0 {
		return false, nil
	}
	unit, err := h.unit(ctx) // a newer one may not have said yet who it is
	return err == nil && unit.main != 0 && unit.main != seen, err
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
