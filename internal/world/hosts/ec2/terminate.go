package ec2

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
)

// Terminate implements hosts.Provider. It returns when the instance is gone, and
// its volume deleted or marked as kept. A volume is kept by its tag before its
// instance goes.
func (p *Provider) Terminate(ctx context.Context, h cluster.Host, fate hosts.DataFate) error {
	if err := p.terminate(ctx, h, fate); err != nil {
		return fmt.Errorf("terminate host %s: %w", h.Name, err)
	}
	return nil
}

func (p *Provider) terminate(ctx context.Context, h cluster.Host, fate hosts.DataFate) error {
	found, _, err := p.find(ctx, h.Name)
	switch {
	case err != nil:
		return err
	case found != nil && h.Blank && found.tag(tagContacted) != "":
		return fmt.Errorf("somebody has logged in to instance %s: %w", found.ID, hosts.ErrBusy)
	case found != nil && fate == hosts.KeepData && !h.Blank:
		if err := p.keep(ctx, p.claimOf(h.Name)); err != nil {
			return err
		}
	}
	if found != nil {
		if err := p.end(ctx, h.Name, found.ID); err != nil {
			return err
		}
	}
	if fate == hosts.DeleteData || h.Blank {
		if err := p.discard(ctx, p.claimOf(h.Name)); err != nil {
			return err
		}
	}
	return p.Part(h.Name)
}

// keep marks the volumes that have a claim as kept.
func (p *Provider) keep(ctx context.Context, claim []tag) error {
	volumes, err := p.api.volumes(ctx, claim)
	if err != nil || len(volumes) == 0 {
		return err
	}
	var ids []string
	for _, v := range volumes {
		ids = append(ids, v.ID)
	}
	return p.api.tag(ctx, ids, tag{tagKept, "yes"})
}

// end terminates an instance, and waits until it is gone.
func (p *Provider) end(ctx context.Context, name cluster.MemberName, id string) error {
	if err := p.api.terminate(ctx, id); err != nil {
		return err
	}
	for {
		if found, _, err := p.find(ctx, name); err != nil || found == nil {
			return err
		}
		if err := p.wait(ctx); err != nil {
			return err
		}
	}
}

// discard deletes volumes that have a claim, are not kept, and are not in use.
func (p *Provider) discard(ctx context.Context, claim []tag) error {
	volumes, err := p.api.volumes(ctx, claim)
	if err != nil {
		return err
	}
	var failed []error
	for _, v := range volumes {
		if v.kept() {
			continue
		}
		if err := p.api.deleteVolume(ctx, v.ID); err != nil && !isCode(err, "InvalidVolume.NotFound") {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// late is how long after its launch an instance may still be missing in lists.
const late = time.Minute

// listed is when an instance that was launched at a time is in all lists. The clock may
// have been wrong then.
func listed(launched, now time.Time) time.Time {
	if launched.After(now) {
		launched = now
	}
	return launched.Add(late)
}

// endLate terminates the instance that a host may have been launched as, unless somebody
// has logged in to it: nothing was ever put on it.
func (p *Provider) endLate(ctx context.Context, name cluster.MemberName, launched time.Time) error {
	until := listed(launched, time.Now())
	for {
		found, ended, err := p.find(ctx, name)
		switch {
		case err != nil:
			return err
		case found != nil && found.tag(tagContacted) != "":
			return nil // it is not decided here what becomes of it
		case found != nil:
			if err := p.end(ctx, name, found.ID); err != nil {
				return err
			}
			if err := p.discard(ctx, p.claimOf(name)); err != nil {
				return err
			}
			return p.Part(name)
		case ended > 0 || time.Now().After(until):
			return p.Part(name)
		}
		if err := p.wait(ctx); err != nil {
			return err
		}
	}
}

// Sweep deletes the volumes of hosts whose instances were terminated by somebody
// else, once the cluster is destroyed, or marks them as kept. An instance that was
// launched by a command that died at once, and that no list had when the cluster was
// destroyed, is waited for and terminated.
func (p *Provider) Sweep(ctx context.Context, fate hosts.DataFate) error {
	given, err := p.Given()
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if err == nil {
			err = p.endLate(ctx, name, given[name])
		}
	}
	if err != nil {
		return fmt.Errorf("look for instances that were launched a moment ago: %w", err)
	}
	seen, err := p.look(ctx)
	if err != nil {
		return err
	}
	for _, i := range seen {
		if i.State != terminated {
			return nil // a host is left, and what of it goes is not decided here
		}
	}
	if fate == hosts.KeepData {
		return p.keep(ctx, p.claim())
	}
	return p.discard(ctx, p.claim())
}
