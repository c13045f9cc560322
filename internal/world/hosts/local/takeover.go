package local

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/onhost/member"
	"github.com/pleiad-etcd/pleiad/internal/system/folder"
	"github.com/pleiad-etcd/pleiad/internal/system/untrusted"
)

// Living names the members that run on this machine from the folders of which
// those here are copies, with their pids. It takes the word of the status that
// was copied: pid, start time and boot together are no other process's.
func (p *Provider) Living(ctx context.Context) (map[cluster.MemberName]int, error) {
	list, err := p.list(ctx)
	if err != nil {
		return nil, fmt.Errorf("list hosts in %s: %w", p.hosts(), err)
	}
	out := map[cluster.MemberName]int{}
	for _, h := range list.Hosts {
		b, err := untrusted.Read(filepath.Join(h.Paths.Config, member.StatusFile), untrusted.Small)
		if absent(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read status of %s: %w", h.Name, err)
		}
		s, err := member.DecodeStatus(b)
		if err != nil {
			return nil, fmt.Errorf("read status of %s: %w", h.Name, err)
		}
		if !s.Folder.Is(h.Paths.Config) && s.Process.Alive() {
			out[h.Name] = s.Process.PID
		}
	}
	return out, nil
}

// TakeOver makes hosts of the copies of hosts that are here. Their data stays as
// it is; that it is the newest there is, only a person can know.
func (p *Provider) TakeOver(ctx context.Context) error {
	list, err := p.list(ctx)
	if err != nil || len(list.Hosts) == 0 {
		return err
	}
	lock, err := p.lock(ctx)
	if err != nil {
		return err
	}
	defer lock.Release()
	for _, h := range list.Hosts {
		c, err := p.claimOf(h.Name)
		if err == nil && !c.Folder.Is(p.folder(h.Name)) {
			if c.Folder, err = folder.Of(p.folder(h.Name)); err == nil {
				err = c.write(p.folder(h.Name))
			}
		}
		if err != nil {
			return fmt.Errorf("take over host %s: %w", h.Name, err)
		}
	}
	return nil
}
