package agent

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/system/disk"
	"github.com/pleiad-etcd/pleiad/internal/system/resolvconf"
)

// Question is what doctor asks of a machine.
type Question struct {
	// Zone is the zone that holds the domain, with trailing dot. The machine's
	// resolver is asked for its NS records, never for a name of ours: it would
	// cache the answer "does not exist", and every member behind it would have to
	// wait until that expires.
	Zone string `json:"zone"`
	// Ports that must be free or the member's own.
	Ports cluster.Ports `json:"ports"`
	// Address is where the machine's member listens for peers and clients. It is
	// zero where there is none yet: then a listener on these ports counts at any
	// address, as when a host is claimed.
	Address netip.Addr `json:"address"`
	// Client is the command of Chef's client whose version is wanted; empty for none.
	Client string `json:"client,omitempty"`
}

// Machine is what was found. What could not be determined says why.
type Machine struct {
	OS      string    `json:"os"` // as os-release names it
	Arch    string    `json:"arch"`
	Now     time.Time `json:"now"` // when the question arrived
	Systemd bool      `json:"systemd"`
	// Occupied are listeners in the way of a member that are not its own.
	Occupied cluster.Seen[[]Listener] `json:"occupied"`
	Disk     cluster.Seen[Disk]       `json:"disk"`
	UDP      cluster.Seen[string]     `json:"udp"` // what the resolver says over UDP: "found" or "absent"
	TCP      cluster.Seen[string]     `json:"tcp"` // and over TCP, which large answers need
	// Account is why the account of the member's name cannot be the member's;
	// zero if it can, or is not there yet.
	Account Misfit `json:"account,omitzero"`
	// Client is what Chef's client says its version is.
	Client cluster.Seen[string] `json:"client,omitzero"`
	// Resolvers are those of the machine, as resolv.conf names them.
	Resolvers []string `json:"resolvers,omitempty"`
	// Mute are those of them that are silent over UDP.
	Mute []string `json:"mute,omitempty"`
	// Took is how long it took to find all this out.
	Took time.Duration `json:"took"`

	// Ahead is how far the machine's clock is ahead of the caller's, behind if
	// negative, give or take Margin: half of the time that question and answer
	// spent on the way. Only [Client] sets it.
	Ahead  time.Duration `json:"-"`
	Margin time.Duration `json:"-"`
	// Root is how long it takes to start a command there as root, by login and
	// sudo. It is set by the caller that reaches the machine.
	Root time.Duration `json:"-"`
}

// Disk is the disk of etcd's data.
type Disk struct {
	Below string `json:"below"` // the folder that was measured
	Free  int64  `json:"free"`  // bytes
	// Median and P99 of appends of 2 kB, each made durable, as etcd does.
	Median time.Duration `json:"median"`
	P99    time.Duration `json:"p99"`
	Count  int           `json:"count"`
}

// Probe measures the machine. It writes one file, which it removes.
func (h *Host) Probe(ctx context.Context, q Question) *Machine {
	m := &Machine{Arch: runtime.GOARCH, Now: time.Now(), OS: h.osRelease()}
	m.Systemd, _ = exists(h.path("/run/systemd/system")) // sd_booted(3)
	conf := resolvconf.Read(h.path("/etc/resolv.conf"))
	m.Resolvers = conf.Servers
	m.Account = h.unfit(ctx)
	if q.Client != "" {
		m.Client = seen(h.Run(ctx, q.Client, "--version"))
	}
	// None of these disturbs the disk, which is measured meanwhile.
	var all sync.WaitGroup
	all.Go(func() { m.UDP, m.Mute = h.lookup(ctx, conf, "udp", q.Zone) })
	all.Go(func() { m.TCP, _ = h.lookup(ctx, conf, "tcp", q.Zone) })
	m.Disk = seen(h.disk(ctx))
	m.Occupied = seen(h.occupied(ctx, q))
	all.Wait()
	m.Took = time.Since(m.Now)
	return m
}

func seen[T any](v T, err error) cluster.Seen[T] {
	if err != nil {
		return cluster.Unknown[T](err.Error())
	}
	return cluster.Known(v)
}

// compare compares two clocks: the machine's when the question arrived, and ours
// when it was sent and answered. It assumes that both ways take equally long.
func (m *Machine) compare(sent, answered time.Time) {
	way := max(0, answered.Sub(sent)-m.Took) / 2
	m.Ahead, m.Margin = m.Now.Sub(sent)-way, way
}

func (h *Host) osRelease() string {
	b, err := os.ReadFile(h.path("/etc/os-release"))
	if err != nil {
		return runtime.GOOS
	}
	for line := range strings.Lines(string(b)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
			return strings.Trim(name, `"`)
		}
	}
	return runtime.GOOS
}

func (h *Host) disk(ctx context.Context) (Disk, error) {
	dir, err := h.deepest(node.MachinePaths().Data)
	if err != nil {
		return Disk{}, err
	}
	free, err := disk.Free(dir)
	if err != nil {
		return Disk{}, err
	}
	var took []time.Duration
	var u User // root, but in folders of the member's
	if inside(dir, h.path(node.StateFolder)) {
		if u, err = h.User(ctx, false); err != nil {
			return Disk{}, err
		}
	}
	if err := as(u, func() error { took, err = disk.Measure(ctx, dir); return err }); err != nil {
		return Disk{}, err
	}
	return Disk{Below: dir, Free: free, Median: disk.Percentile(took, 50), P99: disk.Percentile(took, 99), Count: len(took)}, nil
}

// inside says whether a path is a folder or below it.
func inside(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+string(filepath.Separator))
}

// deepest is the deepest existing folder on the way to a path: the path is, or
// would be, on its disk.
func (h *Host) deepest(path string) (string, error) {
	for ; ; path = filepath.Dir(path) {
		there, err := exists(h.path(path))
		if err != nil || there {
			return h.path(path), err
		}
	}
}
