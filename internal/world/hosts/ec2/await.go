package ec2

import (
	"context"
	"errors"
	"fmt"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
)

// Await implements hosts.Provider. The tag comes last: as long as an instance is
// without it, nobody has put anything on it.
func (p *Provider) Await(ctx context.Context, h cluster.Host, tell func(string)) error {
	if h.Pending == "" {
		return nil
	}
	if err := p.await(ctx, h.Name, tell); err != nil {
		return fmt.Errorf("await host %s: %w", h.Name, err)
	}
	return nil
}

func (p *Provider) await(ctx context.Context, name cluster.MemberName, tell func(string)) error {
	told, last := "", error(nil)
	say := func(what string) {
		if what != told {
			told = what
			tell(what)
		}
	}
	for {
		h, why, err := p.raise(ctx, name)
		if err == nil && why == "" {
			err = p.contact(ctx, h)
			if err == nil || fault.Lasting(err) {
				return err
			}
			last, why = err, err.Error()
		}
		if err != nil && why == "" {
			return err
		}
		say(why)
		if err := p.wait(ctx); err != nil {
			return errors.Join(err, last)
		}
	}
}

// raise starts an instance that is stopped, and says why one cannot be used yet.
func (p *Provider) raise(ctx context.Context, name cluster.MemberName) (h cluster.Host, why string, err error) {
	found, ended, err := p.find(ctx, name)
	switch {
	case err != nil:
		return h, "", err
	case found == nil && ended > 0:
		return h, "", errGone
	case found == nil:
		return h, "", errors.New("EC2 does not list its instance")
	}
	if found.State == stopped {
		if err := p.api.start(ctx, found.ID); err != nil {
			return h, "", err
		}
	}
	if found.State != running {
		return h, fmt.Sprintf("instance %s is %s", found.ID, found.State), nil
	}
	h, why = p.host(*found)
	return h, why, nil
}

// contact logs in to a machine that runs, and notes that on its instance.
func (p *Provider) contact(ctx context.Context, h cluster.Host) error {
	if err := p.Contact(ctx, h); err != nil {
		return err
	}
	found, _, err := p.find(ctx, h.Name)
	if err != nil || found == nil || found.tag(tagContacted) != "" {
		return err
	}
	if err := p.api.tag(ctx, []string{found.ID}, tag{tagContacted, "yes"}); err != nil {
		return err
	}
	for { // until the next list says so
		if found, _, err = p.find(ctx, h.Name); err != nil || found == nil || found.tag(tagContacted) != "" {
			return err
		}
		if err := p.wait(ctx); err != nil {
			return err
		}
	}
}
