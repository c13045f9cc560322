package ec2

import (
	"context"
	"errors"
	"fmt"

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

// Sweep deletes the volumes of hosts whose instances were terminated by somebody
// else, once the cluster is destroyed, or marks them as kept.
func (p *Provider) Sweep(ctx context.Context, fate hosts.DataFate) error {
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
