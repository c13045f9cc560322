package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/system/durable"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
)

// Terminate implements hosts.Provider. Where an earlier Terminate of this host
// was cut short, it finishes it. Data that is kept goes to [KeptFolder].
func (p *Provider) Terminate(ctx context.Context, h cluster.Host, fate hosts.DataFate) error {
	if err := p.terminate(ctx, h.Name, fate); err != nil {
		return fmt.Errorf("terminate host %s: %w", h.Name, err)
	}
	return nil
}

func (p *Provider) terminate(ctx context.Context, name cluster.MemberName, fate hosts.DataFate) error {
	if err := checkName(name); err != nil {
		return err
	}
	if _, err := os.Stat(p.hosts()); absent(err) {
		return ctx.Err()
	}
	lock, err := p.lock(ctx)
	if err != nil {
		return err
	}
	defer lock.Release()
	c, err := p.claimOf(name)
	if absent(err) {
		return errors.Join(p.bury(name), removeEmpty(p.folder(name)))
	}
	if err != nil {
		return err
	}
	return p.remove(c, fate)
}

// remove takes a host away. It holds the member's own lock until all is gone:
// a member that starts meanwhile finds the lock taken or its folder gone.
func (p *Provider) remove(c claim, fate hosts.DataFate) error {
	name := c.Name
	config := filepath.Join(p.folder(name), configFolder)
	if err := os.MkdirAll(config, 0o700); err != nil {
		return err
	}
	lock, err := process.Acquire(filepath.Join(config, memberLock))
	if errors.Is(err, process.ErrHeld) {
		return hosts.ErrBusy
	}
	if err != nil {
		return err
	}
	defer lock.Release()
	if fate == hosts.KeepData {
		if err := p.keep(c); err != nil {
			return err
		}
	}
	if err := p.bury(name); err != nil { // an earlier host of this name
		return err
	}
	if err := os.Rename(p.folder(name), p.removed(name)); err != nil {
		return err
	}
	if err := durable.SyncFolders(p.hosts()); err != nil {
		return err
	}
	return p.bury(name)
}

// KeptFolder holds the data of hosts that were removed without it, below the
// cluster's state directory: a folder a member, named after it and its life.
const KeptFolder = "kept"

// keep moves a host's data aside (rule R14).
func (p *Provider) keep(c claim) error {
	data := filepath.Join(p.folder(c.Name), dataFolder)
	if _, err := os.Stat(data); absent(err) {
		return nil
	}
	kept := filepath.Join(p.root, KeptFolder)
	if err := os.MkdirAll(kept, 0o700); err != nil {
		return err
	}
	if err := os.Rename(data, filepath.Join(kept, fmt.Sprintf("%s-%s", c.Name, c.Token))); err != nil {
		return err
	}
	return durable.SyncFolders(p.root, kept, p.folder(c.Name))
}

// bury removes what is left of a host whose Terminate was decided.
func (p *Provider) bury(name cluster.MemberName) error {
	if err := os.RemoveAll(p.removed(name)); err != nil {
		return err
	}
	return durable.SyncFolders(p.hosts())
}

// Sweep removes what crashes left behind: hosts whose Terminate was decided,
// and folders that never became hosts. It removes nothing else, and data only
// where a Terminate was decided (rule R14). Without anything to sweep it is
// cheap; the end of a destroy is the time for it.
func (p *Provider) Sweep(ctx context.Context) error {
	if err := p.sweep(ctx); err != nil {
		return fmt.Errorf("sweep %s: %w", p.hosts(), err)
	}
	return nil
}

func (p *Provider) sweep(ctx context.Context) error {
	if _, err := os.Stat(p.hosts()); absent(err) {
		return ctx.Err()
	}
	lock, err := p.lock(ctx)
	if err != nil {
		return err
	}
	defer lock.Release()
	entries, err := os.ReadDir(p.hosts())
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if name, ok := strings.CutPrefix(e.Name(), tombstone); ok {
			err = p.bury(cluster.MemberName(name))
		} else if _, claimed := p.claimOf(cluster.MemberName(e.Name())); absent(claimed) && e.IsDir() {
			err = removeEmpty(filepath.Join(p.hosts(), e.Name()))
		}
		if err != nil {
			return err
		}
	}
	return p.removeFolder()
}

// removeFolder removes the folder of all hosts if nothing but our lock is in
// it. Whoever waits for the lock notices that its file is gone
// (process.Acquire) and makes both anew ([Provider.lock]).
func (p *Provider) removeFolder() error {
	rest, err := os.ReadDir(p.hosts())
	if err != nil || len(rest) != 1 || rest[0].Name() != changeLock {
		return err
	}
	if err := os.Remove(filepath.Join(p.hosts(), changeLock)); err != nil {
		return err
	}
	// Not empty, or gone: somebody who waited was quicker.
	if err := os.Remove(p.hosts()); err != nil && !errors.Is(err, fs.ErrExist) && !absent(err) {
		return err
	}
	return nil
}

// removeEmpty removes a folder that never became a host, if it holds no more
// than Launch puts there. It only ever removes empty folders and the file that
// was to become host.json, so that it cannot lose anything.
func removeEmpty(folder string) error {
	if err := os.Remove(durable.Beside(filepath.Join(folder, claimFile))); err != nil && !absent(err) {
		return err
	}
	for _, path := range []string{filepath.Join(folder, configFolder), folder} {
		if rest, err := os.ReadDir(path); err != nil || len(rest) > 0 {
			continue // gone, no folder, or not ours to empty
		}
		if err := os.Remove(path); err != nil && !absent(err) {
			return err
		}
	}
	return nil
}
