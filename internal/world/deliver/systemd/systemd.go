// Package systemd delivers to machines that run systemd, over a connection to
// each: it sends pleiad's own binary where it is missing, starts it there as an
// agent (package agent), and lets that do the rest. It implements
// deliver.Deliverer; package node says what a machine is to hold, package
// remote is how it is reached.
//
//	                 controller │ machine
//	Deliverer ─▶ agent.Client ──┼─▶ pleiad agent ─▶ files, systemd
//	                            │   systemd ─▶ pleiad member ─▶ etcd
//
// [New] first. One agent per machine is started when it is first needed, and
// stopped by [Deliverer.Close]. Inspecting a machine changes nothing on it: one
// without pleiad has nothing delivered. [Deliverer.Clear] and
// [Deliverer.Probe] are for package hosts/ssh and the doctor.
//
// What it promises beyond deliver.Deliverer: the binary is sent to all machines
// at once, compressed, only where its digest is not there, and is either whole
// or not there at all.
package systemd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/onhost/agent"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
)

// Machine runs commands as root on one machine; package sshexec implements it.
type Machine interface {
	Run(ctx context.Context, command string, stdin io.Reader) ([]byte, error)
	// Send runs a command that reads data from its stdin.
	Send(ctx context.Context, command string, data []byte) error
	// Open starts a command and returns its stdin and stdout as a stream.
	Open(ctx context.Context, command string) (io.ReadWriteCloser, error)
	// Follow copies what a command prints until it ends, or ctx does, which is no
	// error.
	Follow(ctx context.Context, command string, w io.Writer) error
	// Delay is how long a command took to begin, the last time.
	Delay() time.Duration
}

// Deliverer is a deliver.Deliverer for machines.
type Deliverer struct {
	machine func(cluster.Way) Machine
	builds  *Builds
	lay     Lay // nil where the agent does it

	mu    sync.Mutex // guards what follows
	lines map[cluster.Way]*line
}

var _ deliver.Deliverer = (*Deliverer)(nil)

// Lay has somebody else lay down on a machine what the agent has staged there
// ([agent.Host.Stage]): everything that a node is made of. It returns when that is
// done, or why it is not.
type Lay func(ctx context.Context, m Machine, h cluster.Host) error

// Through returns a deliverer that differs from that of [New] in who lays nodes down.
func Through(machine func(cluster.Way) Machine, builds *Builds, lay Lay) *Deliverer {
	d := New(machine, builds)
	d.lay = lay
	return d
}

// New returns a deliverer. It connects to nothing.
func New(machine func(cluster.Way) Machine, builds *Builds) *Deliverer {
	return &Deliverer{machine: machine, builds: builds, lines: map[cluster.Way]*line{}}
}

// Close ends all agents in parallel: those of unreachable machines take a while.
func (d *Deliverer) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var closing sync.WaitGroup
	for _, l := range d.lines {
		closing.Go(l.close)
	}
	closing.Wait()
	return nil
}

func (d *Deliverer) line(way cluster.Way) *line {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.lines[way]
	if l == nil {
		l = &line{machine: d.machine(way), builds: d.builds, turn: make(chan struct{}, 1)}
		d.lines[way] = l
	}
	return l
}

// Inspect implements deliver.Deliverer.
func (d *Deliverer) Inspect(ctx context.Context, h cluster.Host) (cluster.Node, error) {
	a, err := d.line(h.Reach()).agent(ctx)
	var absent *agent.Absent
	if errors.As(err, &absent) && absent.Empty {
		return cluster.Node{}, nil
	}
	if err != nil {
		return cluster.Node{}, fmt.Errorf("inspect %s: %w", h.Name, err)
	}
	found, err := a.Inspect(ctx, h)
	if err != nil {
		return cluster.Node{}, err
	}
	found.Offered = d.builds.Program(a.Arch)
	if found.Installed != "" && len(found.Drift) == 0 && !node.IsBinary(a.Binary) { // it is a visitor
		found.Drift = []string{"the program that " + node.UnitFile + " starts does not work as pleiad does"}
	}
	return found, nil
}

// Fits says whether there is a pleiad for a machine, before anything is made on it: an
// error is lasting where there is none.
func (d *Deliverer) Fits(ctx context.Context, addr netip.Addr) error {
	_, _, err := d.line(cluster.Way{Address: addr}).build(ctx)
	return err
}

// Install implements deliver.Deliverer.
func (d *Deliverer) Install(ctx context.Context, h cluster.Host, n node.Node, creds *node.Credentials, renew bool) error {
	l := d.line(h.Reach())
	a, renew, err := l.installer(ctx, renew)
	if err != nil {
		return fmt.Errorf("install on %s: %w", h.Name, err)
	}
	if d.lay == nil {
		_, err = a.Install(ctx, h, n, creds, a.Binary, renew)
		return err
	}
	if err := a.Stage(ctx, h, n, creds, a.Binary, renew); err != nil {
		return err
	}
	if err := d.lay(ctx, l.machine, h); err != nil {
		return fmt.Errorf("install on %s: %w", h.Name, err)
	}
	return l.laid(ctx, h, a.Binary)
}

// installer is the agent that installs. What stands around a node, such as the unit,
// is of the program that starts the member: unless that is to be renewed, its own agent
// writes it. One that does not work is not there.
func (l *line) installer(ctx context.Context, renew bool) (*agent.Client, bool, error) {
	if !renew {
		a, err := l.agent(ctx)
		var absent *agent.Absent
		switch {
		case err == nil && node.IsBinary(a.Binary):
			return a, false, nil
		case err != nil && !errors.As(err, &absent):
			return nil, false, err
		}
	}
	a, err := l.ours(ctx)
	return a, true, err
}

// laid looks whether all that was staged is there.
func (l *line) laid(ctx context.Context, h cluster.Host, binary string) error {
	a, err := l.of(ctx, binary) // the connection may have ended meanwhile
	if err != nil {
		return fmt.Errorf("install on %s: %w", h.Name, err)
	}
	missing, err := a.Unlaid(ctx, h)
	if err != nil || len(missing) == 0 {
		return err
	}
	return fault.WithRemedy(fmt.Errorf("install on %s: the run ended well, but did not lay down %s", h.Name, strings.Join(missing, ", ")),
		"see that the cookbook etcd-server of this pleiad is in the run list")
}

// Revert implements deliver.Deliverer. Whichever agent is there may be of the program
// that does not work: ours does it.
func (d *Deliverer) Revert(ctx context.Context, h cluster.Host) error {
	a, err := d.line(h.Reach()).ours(ctx)
	if err != nil {
		return fmt.Errorf("revert %s: %w", h.Name, err)
	}
	return a.Revert(ctx, h)
}

// Start implements deliver.Deliverer.
func (d *Deliverer) Start(ctx context.Context, h cluster.Host) error {
	a, err := d.line(h.Reach()).agent(ctx)
	if err != nil {
		return fmt.Errorf("start %s: %w", h.Name, err)
	}
	if err := a.Start(ctx, h); errors.Is(err, agent.ErrOccupied) {
		return &translated{err, deliver.ErrOccupied}
	} else if err != nil {
		return err
	}
	return nil
}

// Stop implements deliver.Deliverer.
func (d *Deliverer) Stop(ctx context.Context, h cluster.Host, grace time.Duration) error {
	a, err := d.line(h.Reach()).agent(ctx)
	var absent *agent.Absent
	if errors.As(err, &absent) && absent.Empty {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stop %s: %w", h.Name, err)
	}
	return a.Stop(ctx, h, grace)
}

// Clear takes everything of a member off its machine but the claim and the
// binaries; see agent.Host.Clear. It is hosts.ErrBusy while the member runs.
func (d *Deliverer) Clear(ctx context.Context, h cluster.Host, fate hosts.DataFate) error {
	l := d.line(h.Reach())
	a, err := l.agent(ctx)
	var absent *agent.Absent
	switch {
	case errors.As(err, &absent) && absent.Empty:
		return nil
	case err != nil:
		return fmt.Errorf("clear host %s: %w", h.Name, err)
	}
	switch err := a.Clear(ctx, h, fate == hosts.KeepData); {
	case errors.Is(err, agent.ErrBusy):
		return &translated{err, hosts.ErrBusy}
	case err != nil:
		return err
	}
	return l.hangUp(ctx) // its binary goes next
}

// Probe measures a machine for doctor. What it installs for that, it removes.
func (d *Deliverer) Probe(ctx context.Context, addr netip.Addr, q agent.Question) (agent.Machine, error) {
	way := cluster.Way{Address: addr}
	a, err := d.line(way).agent(ctx)
	var absent *agent.Absent
	if errors.As(err, &absent) {
		a, err = d.line(way).visitor(ctx)
	}
	if err != nil {
		return agent.Machine{}, fmt.Errorf("probe %s: %w", addr, err)
	}
	m, err := a.Probe(ctx, q)
	m.Root = d.machine(way).Delay()
	return m, err
}

// Logs writes the log of a host's member: what the journal has of it and, with
// follow, what is added until ctx ends.
func (d *Deliverer) Logs(ctx context.Context, h cluster.Host, follow bool, w io.Writer) error {
	command := "journalctl --unit=" + node.UnitName + " --output=cat --no-pager --quiet"
	if follow {
		command += " --follow --lines=100"
	}
	// The journal is unbounded, so it is passed on and not buffered.
	if err := d.machine(h.Reach()).Follow(ctx, command, w); err != nil {
		return fmt.Errorf("read the log of %s: %w", h.Name, err)
	}
	return nil
}

// translated is an agent's error with the kind that the caller's contract names.
type translated struct {
	error
	kind error
}

func (t *translated) Unwrap() []error { return []error{t.error, t.kind} }
