package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
	"github.com/pleiad-etcd/pleiad/internal/system/untrusted"
)

// patience is how long a started child may take to answer, and poll how often
// that is looked for.
const (
	patience = 10 * time.Second
	poll     = 2 * time.Millisecond
)

// maxLog is the size of the log, in bytes, above which a start begins a new
// one; the one before is kept.
const maxLog = 1 << 20

// Start implements [dns.Server]. The first start makes the folder.
func (p *Provider) Start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.start(ctx); err != nil {
		return fmt.Errorf("start the name server: %w", err)
	}
	return nil
}

func (p *Provider) start(ctx context.Context) error {
	set, err := p.folder(ctx)
	if err != nil {
		return err
	}
	lost, err := p.keyLost()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("it does not answer within %s; see %s", patience, p.path(logFile)))
	defer cancel()
	state, running, err := readState(p.config.Dir)
	if err != nil {
		return err
	}
	if running && state.serves(p.config.Dir) && !lost {
		return p.answers(ctx, set)
	}
	if err := p.stop(ctx); err != nil { // from where the folder was, or with the key that is lost
		return err
	}
	lock, err := p.lock(ctx)
	if err != nil {
		return err
	}
	if lost { // nobody serves: a new key beside a server with the former one would shut us out for good
		err = p.rekey()
	}
	if err := errors.Join(err, lock.Release()); err != nil { // the child takes it
		return err
	}
	if _, err := loadZone(p.config.Dir); err != nil {
		return err
	}
	// Asked here and not only by the child, so that the error has its type.
	probe, err := bind(ctx, set.Address)
	if err != nil {
		return err
	}
	if err := errors.Join(probe.close(), rotate(p.path(logFile))); err != nil {
		return err
	}
	child, err := process.Spawn(p.config.Argv, collectEarly(), p.path(logFile))
	if err != nil {
		return err
	}
	if err := p.await(ctx, child); err != nil {
		return err
	}
	return p.answers(ctx, set)
}

// keyLost says whether the folder's key is missing or no key. Nobody else needs
// it: it stands in this file alone.
func (p *Provider) keyLost() (bool, error) {
	_, err := readKey(p.config.Dir)
	var unreadable *fs.PathError
	if err == nil || errors.As(err, &unreadable) && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return true, nil
}

// rekey makes another key.
func (p *Provider) rekey() error {
	key, err := newKey(p.zone)
	if err != nil {
		return err
	}
	return writeFile(p.path(keyFile), key.Encode())
}

// collectEarly makes the child collect garbage early: the server lives for weeks
// and has little to do, so memory matters more than the time that takes
// (measured under load: 1.5 MB less).
func collectEarly() []string { return []string{"GOGC=25"} }

func (p *Provider) path(name string) string { return filepath.Join(p.config.Dir, name) }

// await waits until a server has said that it serves: this child, or one that
// somebody else started at the same moment.
func (p *Provider) await(ctx context.Context, child process.Child) error {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	exited := child.Exited
	for {
		_, running, err := readState(p.config.Dir)
		if err != nil || running {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-exited:
			// Looked at once more: it may have ended because another one serves.
			if _, running, err := readState(p.config.Dir); err != nil || running {
				return err
			}
			return fmt.Errorf("it ended at once: %s", lastLine(p.path(logFile)))
		case <-tick.C:
		}
	}
}

// answers asks the server for its own address. Only the server that has our
// key can answer.
func (p *Provider) answers(ctx context.Context, set settings) error {
	client, err := p.client(ctx, set.Address)
	if err != nil {
		return err
	}
	key := cluster.Key{Name: nameServer(p.zone), Type: cluster.A}
	if ap, err := netip.ParseAddrPort(set.Address); err == nil && ap.Addr().Is6() {
		key.Type = cluster.AAAA
	}
	records, err := client.Read(ctx, []cluster.Key{key})
	if err == nil && len(records.Sets) == 0 {
		err = errors.New("it does not know its own address")
	}
	return err
}

// rotate bounds the log.
func rotate(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() <= maxLog {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Rename(path, path+".old")
}

// maxLastLine is how much of the end of the log is read for its last line.
const maxLastLine = 4 << 10

// lastLine is what the child said last, for the person who must act.
func lastLine(path string) string {
	text, err := untrusted.Tail(path, maxLastLine)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	if last := string(lines[len(lines)-1]); last != "" {
		return last
	}
	return "it said nothing in " + path
}
