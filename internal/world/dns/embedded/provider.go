package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/system/durable"
	"github.com/pleiad-etcd/pleiad/internal/system/folder"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/rfc2136"
)

// Config says which name server a [Provider] has.
type Config struct {
	// Dir is the server's folder; nobody else writes into it. Its parent
	// exists or can be made. See the package comment for what it holds.
	Dir string
	// Zone is the discovery domain, with or without trailing dot.
	Zone string
	// IP is where the server listens: an address of this machine that nothing
	// else uses ([Port] of it), or 127.0.0.1, where any free port will do. It
	// counts when the folder is made and stays as it is then.
	IP netip.Addr
	// Argv starts the child, which calls [Serve] with Dir.
	Argv []string
	// Timeout bounds each Read and Apply; 0 for rfc2136's default.
	Timeout time.Duration
}

// Provider is the embedded name server as seen from one cluster: its process
// ([dns.Server]) and its records ([dns.Zone]). Records can be read and
// changed whether or not the server runs.
type Provider struct {
	config Config
	zone   string     // Config.Zone in canonical form
	mu     sync.Mutex // one of Start, Stop and Remove at a time
}

var (
	_ dns.Server = (*Provider)(nil)
	_ dns.Zone   = (*Provider)(nil)
)

// New makes a provider. It touches nothing.
func New(c Config) (*Provider, error) {
	zone := wire.CanonicalName(c.Zone)
	if err := dns.CheckKeys([]cluster.Key{{Name: zone, Type: cluster.A}}); err != nil {
		return nil, fmt.Errorf("embedded name server: %w", err)
	}
	if !filepath.IsAbs(c.Dir) {
		return nil, fmt.Errorf("embedded name server: folder %q is not an absolute path", c.Dir)
	}
	if !c.IP.IsValid() || len(c.Argv) == 0 {
		return nil, errors.New("embedded name server: want an IP address and a command")
	}
	return &Provider{config: c, zone: zone}, nil
}

// Status implements [dns.Server]. A server whose key is lost does not run for
// us: it does nothing that we ask for, and a start replaces it.
func (p *Provider) Status(context.Context) (cluster.NameServer, error) {
	status := cluster.NameServer{Managed: true}
	set, err := p.settings()
	if errors.Is(err, fs.ErrNotExist) {
		return status, p.homeless()
	}
	if err != nil {
		return status, fmt.Errorf("look for the name server: %w", err)
	}
	if err := p.original(set); err != nil {
		status.Copy = err.Error()
		return status, nil
	}
	state, running, err := readState(p.config.Dir)
	if err != nil {
		return status, fmt.Errorf("look for the name server: %w", err)
	}
	_, keyless := readKey(p.config.Dir)
	status.KeyFile = p.path(keyFile)
	status.Address, status.Running = set.Address, running && state.serves(p.config.Dir) && keyless == nil
	return status, nil
}

// homeless is the error of a server that runs although its folder was removed,
// where that can be seen: it holds a lock that was here. That nothing is found
// says nothing.
func (p *Provider) homeless() error {
	dir := p.config.Dir
	if above, err := filepath.EvalSymlinks(filepath.Dir(dir)); err == nil {
		dir = filepath.Join(above, filepath.Base(dir)) // the kernel tells paths without links
	}
	running, err := process.Orphans(dir)
	server, found := running[filepath.Join(dir, lockFile)]
	if err != nil || !found {
		return nil
	}
	return fault.WithRemedy(fmt.Errorf("%w: its folder %s was removed, and its server still runs (%d)", dns.ErrDamaged, dir, server.PID),
		fmt.Sprintf("stop the server and run the command again: kill %d", server.PID))
}

// original wants the folder that was made: in a copy of it the records may be
// those of the past, and unknown is not the same (rule R1).
func (p *Provider) original(set settings) error {
	if set.Folder.Is(p.config.Dir) {
		return nil
	}
	return fmt.Errorf("%s is a copy of the folder that was made, and its records may be old", p.config.Dir)
}

// TakeOver makes the name server's folder of what is a copy of it. The records
// stay as they are.
func (p *Provider) TakeOver() error {
	set, err := p.settings()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && !set.Folder.Is(p.config.Dir) {
		if set.Folder, err = folder.Of(p.config.Dir); err == nil {
			err = writeJSON(p.path(settingsFile), set)
		}
	}
	if err != nil {
		return fmt.Errorf("take over the name server: %w", err)
	}
	return nil
}

// Living is the pid of the server that runs on this machine from the folder of
// which this one is a copy; 0 if none does.
func (p *Provider) Living() (int, error) {
	var s serverState
	err := readJSON(p.path(stateFile), &s)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil || s.Folder.Is(p.config.Dir) || !s.Process.Alive() {
		return 0, err
	}
	return s.Process.PID, nil
}

// Resolver is host:port of the name server for those who ask it, "" before
// its first start. It does not depend on whether the server runs.
func (p *Provider) Resolver() string {
	set, err := p.settings()
	if err != nil {
		return ""
	}
	return set.Address
}

// settings are the folder's, if they are this zone's.
func (p *Provider) settings() (settings, error) {
	set, err := readSettings(p.config.Dir)
	if err == nil && set.Zone != p.zone {
		err = fmt.Errorf("%s holds zone %s, want %s", p.config.Dir, set.Zone, p.zone)
	}
	return set, err
}

// status is Status for what needs the folder that was made.
func (p *Provider) status(ctx context.Context) (cluster.NameServer, error) {
	status, err := p.Status(ctx)
	if err == nil && status.Copy != "" {
		err = errors.New(status.Copy)
	}
	return status, err
}

// Settled implements [dns.Zone]: there is one server, which has the change.
func (p *Provider) Settled(context.Context, dns.Receipt) error { return nil }

// Read implements [dns.Zone]: from the server while it runs, else from its
// zone file. Before the first start there are no records.
func (p *Provider) Read(ctx context.Context, keys []cluster.Key) (cluster.Records, error) {
	status, err := p.status(ctx)
	if err != nil {
		return cluster.Records{}, err
	}
	if status.Running {
		client, err := p.client(ctx, status.Address)
		if err != nil {
			return cluster.Records{}, err
		}
		return client.Read(ctx, keys)
	}
	records, err := p.readOffline(ctx, keys, status)
	if err != nil {
		return cluster.Records{}, fmt.Errorf("read zone %s: %w", p.zone, err)
	}
	return records, nil
}

func (p *Provider) readOffline(ctx context.Context, keys []cluster.Key, status cluster.NameServer) (cluster.Records, error) {
	if err := ctx.Err(); err != nil {
		return cluster.Records{}, err
	}
	if err := dns.CheckKeys(keys); err != nil {
		return cluster.Records{}, err
	}
	if status.Address == "" {
		return cluster.Records{}, nil
	}
	all, err := Load(p.config.Dir)
	if err != nil {
		return cluster.Records{}, err
	}
	wanted := make(map[cluster.Key]bool, len(keys))
	for _, k := range keys {
		if !wire.IsSubDomain(p.zone, k.Name) {
			return cluster.Records{}, fmt.Errorf("%s %s is not in the zone", k.Name, k.Type)
		}
		wanted[k] = true
	}
	var records cluster.Records
	for _, set := range all.Sets {
		if wanted[set.Key] {
			records.Sets = append(records.Sets, set)
		}
	}
	return records, nil
}

// Apply implements [dns.Zone]: through the server while it runs, else in its zone
// file. A cluster can so be taken down although the server cannot start.
func (p *Provider) Apply(ctx context.Context, changes []cluster.Change) (dns.Receipt, error) {
	status, err := p.status(ctx)
	if err != nil {
		return "", err
	}
	if !status.Running {
		if err := p.applyOffline(ctx, changes); err != nil {
			return "", fmt.Errorf("update zone %s: %w", p.zone, err)
		}
		return "", nil
	}
	client, err := p.client(ctx, status.Address)
	if err != nil {
		return "", err
	}
	return client.Apply(ctx, changes)
}

func (p *Provider) client(ctx context.Context, address string) (*rfc2136.Provider, error) {
	key, err := readKey(p.config.Dir)
	if err != nil {
		return nil, err
	}
	return rfc2136.New(rfc2136.Config{Server: address, Zone: p.zone, Key: key, Timeout: p.config.Timeout})
}

// Stop implements [dns.Server].
func (p *Provider) Stop(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.stop(ctx); err != nil {
		return fmt.Errorf("stop the name server: %w", err)
	}
	return nil
}

func (p *Provider) stop(ctx context.Context) error {
	state, running, err := readState(p.config.Dir)
	if err != nil || !running {
		return err
	}
	return state.Process.Stop(ctx, grace)
}

// grace is how long the server may take to end by itself. It takes a few
// milliseconds; an update may wait for a slow disk.
const grace = 5 * time.Second

// Remove implements [dns.Server]. The folder goes as it came, whole: renamed
// first, deleted after.
func (p *Provider) Remove(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.remove(ctx); err != nil {
		return fmt.Errorf("remove the name server: %w", err)
	}
	return nil
}

func (p *Provider) remove(ctx context.Context) error {
	dir, gone := p.config.Dir, p.config.Dir+".gone"
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return errors.Join(os.RemoveAll(gone), os.RemoveAll(dir+".new"))
	}
	if _, err := p.settings(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // not a folder of ours, or another zone's
	}
	if _, running, err := readState(dir); err != nil || running {
		return cmp.Or(err, process.ErrHeld)
	}
	lock, err := p.lock(ctx)
	if err != nil {
		return err
	}
	defer lock.Release()
	if err := os.RemoveAll(gone); err != nil {
		return err
	}
	if err := os.Rename(dir, gone); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(gone), os.RemoveAll(dir+".new"), durable.SyncFolders(filepath.Dir(dir)))
}
