package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/system/durable"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/rfc2136"
)

// applyOffline makes a change set as the server would, while none runs: with the
// same message, under the lock that a server holds. A folder that does not exist
// yet is made, as Start makes it.
func (p *Provider) applyOffline(ctx context.Context, changes []cluster.Change) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := errors.Join(ctx.Err(), dns.Check(changes)); err != nil || len(changes) == 0 {
		return err
	}
	if _, err := p.folder(ctx); err != nil {
		return err
	}
	if err := p.stop(ctx); err != nil { // one that does not obey us; see Status
		return err
	}
	lock, err := p.lock(ctx)
	if err != nil {
		return err
	}
	return errors.Join(p.change(changes), lock.Release())
}

// lock takes the lock that a server holds. Another command may have it for a
// moment. Who has it for longer is a server, and if nothing in the folder tells
// which process that is, a person must end it.
func (p *Provider) lock(ctx context.Context) (*process.Lock, error) {
	for end := time.Now().Add(lockGrace); ; {
		lock, err := process.Acquire(p.path(lockFile))
		if !errors.Is(err, process.ErrHeld) {
			return lock, err
		}
		if time.Now().After(end) {
			return nil, fault.WithRemedy(fmt.Errorf("a server runs from %s, but %s does not say which process it is", p.config.Dir, stateFile),
				fmt.Sprintf("stop it and run the command again: pkill -f '%s$'", strings.Join(p.config.Argv[1:], " ")))
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(poll):
		}
	}
}

// lockGrace is far more than another command needs for a change.
const lockGrace = 2 * time.Second

func (p *Provider) change(changes []cluster.Change) error {
	m, err := rfc2136.Update(p.zone, changes)
	if err != nil {
		return err
	}
	packed, err := m.Pack()
	if err != nil {
		return err
	}
	received := new(wire.Msg) // as a server gets it
	if err := received.Unpack(packed); err != nil {
		return err
	}
	before, err := loadZone(p.config.Dir)
	if err != nil {
		return err
	}
	after, code := before.update(received)
	switch code {
	case wire.RcodeSuccess:
	case wire.RcodeNXRrset, wire.RcodeYXRrset, wire.RcodeNameError, wire.RcodeYXDomain:
		return fmt.Errorf("%w (%s)", dns.ErrConflict, wire.RcodeToString[code])
	default:
		return fmt.Errorf("the change is not one for this zone: %s", wire.RcodeToString[code])
	}
	if after == before {
		return nil
	}
	err = after.save(p.config.Dir)
	if errors.Is(err, durable.ErrNotSynced) {
		return fmt.Errorf("%w: %w", dns.ErrUnknownOutcome, err)
	}
	return err
}

// folder are the settings of the folder, which is made if it does not exist.
func (p *Provider) folder(ctx context.Context) (settings, error) {
	set, err := p.settings()
	if errors.Is(err, fs.ErrNotExist) {
		if _, err = Create(ctx, p.config.Dir, p.zone, p.config.IP); err == nil {
			set, err = p.settings()
		}
	}
	if err == nil {
		err = p.original(set)
	}
	return set, err
}
