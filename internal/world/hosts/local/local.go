// Package local gives hosts that are folders on this machine, each with an
// address of its own: real clusters to develop and test against, and the
// provider that needs nothing but a disk.
//
// [New] first. A [Provider] owns the folder <root>/hosts and nothing else:
//
//	<root>/hosts/.lock                    held by whoever changes what is below
//	<root>/hosts/<member>/host.json       the claim: what makes a folder a host
//	<root>/hosts/<member>/config/         what delivery writes; the member's lock
//	<root>/hosts/<member>/data/           etcd's data directory
//	<root>/hosts/<member>/etcd.log        and its rotated predecessors
//	<root>/hosts/<member>/born.json       says that there was data (package member)
//	<root>/hosts/.terminated-<member>/    being removed; no longer a host
//
// A host is created atomically and removed atomically, both by a rename:
//
//	(nothing) ─mkdir─▶ folder ─rename host.json─▶ HOST ─rename folder─▶ .terminated ─remove─▶ (nothing)
//
// A crash in Launch therefore leaves an empty folder, which the next Launch
// fills. A crash in Terminate leaves either the whole host or a folder whose
// name says that a Terminate was decided, which the next Terminate or [Sweep]
// removes. Two other orders were ruled out. Removing the data first and
// host.json last leaves, after a crash, a host without data in List, which a
// planner takes for one to be started or for one that lost its disk (rule R6).
// Removing host.json first leaves data in a folder that nothing vouches for,
// and whoever cleans such folders deletes the data of every host whose
// host.json was lost by accident (rule R14). So a folder with data and without
// host.json is never made by this package, and never removed by it either: it
// is one place of List that is unknown, as is a host.json that cannot be read.
//
// What it does not promise: a Terminate cannot be interrupted while the kernel
// unlinks files; it looks at its context before each act.
//
// [Sweep]: Provider.Sweep
package local

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/system/durable"
	"github.com/pleiad-etcd/pleiad/internal/system/folder"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
)

// Names of files and folders below a host's folder, and below <root>/hosts.
const (
	configFolder = "config"
	dataFolder   = "data"
	logFile      = "etcd.log"
	memberLock   = "lock"        // in configFolder; a running member holds it
	memberFile   = "member.json" // in configFolder; delivered
	bornFile     = "born.json"   // the member has had data
	changeLock   = ".lock"
	tombstone    = ".terminated-"
)

// Provider is a hosts.Provider for one cluster. Any number of them, in any
// number of processes, may work on one root at once.
type Provider struct {
	root    string
	cluster cluster.Name
}

var _ hosts.Provider = (*Provider)(nil)

// New returns the provider of a cluster's hosts below root, the absolute path
// of the cluster's state directory. It touches nothing.
func New(root string, name cluster.Name) (*Provider, error) {
	if !filepath.IsAbs(root) {
		return nil, fmt.Errorf("hosts below %q: want an absolute path", root)
	}
	return &Provider{root: filepath.Clean(root), cluster: name}, nil
}

func (p *Provider) hosts() string { return filepath.Join(p.root, "hosts") }
func (p *Provider) folder(name cluster.MemberName) string {
	return filepath.Join(p.hosts(), string(name))
}
func (p *Provider) removed(name cluster.MemberName) string {
	return filepath.Join(p.hosts(), tombstone+string(name))
}

// List implements hosts.Provider. It takes no lock: claims appear and vanish
// whole.
func (p *Provider) List(ctx context.Context) (hosts.Listing, error) {
	l, err := p.list(ctx)
	if err != nil {
		return hosts.Listing{}, fmt.Errorf("list hosts in %s: %w", p.hosts(), err)
	}
	return l, nil
}

func (p *Provider) list(ctx context.Context) (hosts.Listing, error) {
	entries, err := os.ReadDir(p.hosts()) // sorted by name
	if err != nil && !absent(err) {
		return hosts.Listing{}, err
	}
	l := hosts.Listing{Hosts: []cluster.Host{}}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return hosts.Listing{}, err
		}
		name := cluster.MemberName(e.Name())
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		c, err := p.claimOf(name)
		if absent(err) {
			continue
		}
		if err != nil {
			l.Places = append(l.Places, cluster.Place{Member: name, Unknown: err.Error(), Lasting: true,
				Remedy: []string{"put " + filepath.Join(p.folder(name), claimFile) + " back, or move the folder away if nobody needs what it holds"}})
			continue
		}
		l.Hosts = append(l.Hosts, p.host(c))
	}
	return l, nil
}

func (p *Provider) host(c claim) cluster.Host {
	at := p.folder(c.Name)
	copied := ""
	if !c.Folder.Is(at) {
		copied = fmt.Sprintf("its folder %s is a copy of the one that was made: what the member wrote after the copy is not in it", at)
	}
	return cluster.Host{
		Copy: copied, Name: c.Name, Address: c.Address, Ports: c.Ports, Token: c.Token,
		Paths: cluster.Paths{
			Config: filepath.Join(at, configFolder),
			Data:   filepath.Join(at, dataFolder),
			Log:    filepath.Join(at, logFile),
		},
	}
}

// At implements hosts.Provider. All hosts are in their folder, for List.
func (p *Provider) At(context.Context, []netip.Addr) (hosts.Listing, error) {
	return hosts.Listing{}, nil
}

// Await implements hosts.Provider. A folder is ready when it is there.
func (p *Provider) Await(context.Context, cluster.Host, func(string)) error { return nil }

// Launch implements hosts.Provider. A folder of this name that holds another
// cluster's or another incarnation's host, or data that no host.json vouches
// for, is hosts.ErrForeign and stays as it is.
func (p *Provider) Launch(ctx context.Context, name cluster.MemberName, token cluster.Token, _ ...netip.Addr) error {
	if err := p.launch(ctx, name, token); err != nil {
		return fmt.Errorf("launch host %s: %w", name, err)
	}
	return nil
}

func (p *Provider) launch(ctx context.Context, name cluster.MemberName, token cluster.Token) error {
	if err := errors.Join(checkName(name), ctx.Err()); err != nil {
		return err
	}
	lock, err := p.lock(ctx)
	if err != nil {
		return err
	}
	defer lock.Release()
	c, err := p.claimOf(name)
	if err == nil && c.Token != token {
		return fmt.Errorf("%s holds incarnation %s, want %s: %w", p.folder(name), c.Token, token, hosts.ErrForeign)
	}
	if !absent(err) {
		return err
	}
	place, release, err := p.choose(ctx, bind)
	if err != nil {
		return err
	}
	// The ports stay bound until the claim can be seen, so that nobody else,
	// of whatever cluster, chooses them meanwhile.
	defer release()
	return p.claim(claim{Version: claimVersion, Cluster: p.cluster, Name: name, Token: token, Address: place.address, Ports: place.ports})
}

// claim makes the folder and then the host, durably and in this order.
func (p *Provider) claim(c claim) error {
	at := p.folder(c.Name)
	if err := os.MkdirAll(filepath.Join(at, configFolder), 0o700); err != nil {
		return err
	}
	if err := durable.SyncFolders(p.root, p.hosts(), at); err != nil {
		return err
	}
	var err error
	if c.Folder, err = folder.Of(at); err != nil {
		return err
	}
	return c.write(at)
}

// lockPoll is how often a lock that somebody holds is tried again; it is held
// for a few file operations.
const lockPoll = time.Millisecond

// lock excludes everybody else who changes the hosts of this root, in this
// process and in others. It waits as long as ctx allows. It makes the folder of
// all hosts, again if a Sweep has just removed it.
func (p *Provider) lock(ctx context.Context) (*process.Lock, error) {
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := os.MkdirAll(p.hosts(), 0o700); err != nil {
			return nil, err
		}
		l, err := process.Acquire(filepath.Join(p.hosts(), changeLock))
		if !errors.Is(err, process.ErrHeld) && !absent(err) {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for another command that changes hosts: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// checkName keeps names that are no host labels out of paths.
func checkName(name cluster.MemberName) error {
	if !label.MatchString(string(name)) {
		return fmt.Errorf("%q is not a host label of lower-case letters, digits and dashes", name)
	}
	return nil
}
