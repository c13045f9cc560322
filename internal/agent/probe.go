package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/disk"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// Question is what a doctor wants to know of a machine.
type Question struct {
	// Service is an SRV name to ask the machine's resolver about, with trailing
	// dot; whether it exists does not matter.
	Service string `json:"service"`
	// Ports that must be free or the member's own.
	Ports cluster.Ports `json:"ports"`
}

// Machine is what was found. What could not be found out says why.
type Machine struct {
	OS       string               `json:"os"` // as os-release names it
	Arch     string               `json:"arch"`
	Now      time.Time            `json:"now"`
	Systemd  bool                 `json:"systemd"`
	Occupied []string             `json:"occupied,omitempty"` // ports that something listens on
	Disk     cluster.Seen[Disk]   `json:"disk"`
	UDP      cluster.Seen[string] `json:"udp"` // what the resolver says over UDP: "found" or "absent"
	TCP      cluster.Seen[string] `json:"tcp"` // and over TCP, which large answers need
	// Resolvers are those of the machine, as resolv.conf names them.
	Resolvers []string `json:"resolvers,omitempty"`
}

// Disk is the disk of etcd's data.
type Disk struct {
	Free int64 `json:"free"` // bytes
	// Median and P99 of appends of 2 kB, each made durable, as etcd does.
	Median time.Duration `json:"median"`
	P99    time.Duration `json:"p99"`
	Count  int           `json:"count"`
}

// Probe measures the machine. It writes one file, which it removes.
func (h *Host) Probe(ctx context.Context, q Question) *Machine {
	m := &Machine{Arch: runtime.GOARCH, Now: time.Now(), OS: h.osRelease()}
	m.Systemd, _ = exists(h.path("/run/systemd/system")) // sd_booted(3)
	m.Resolvers = h.resolvers()
	// The disk first and alone: nothing of ours disturbs it.
	if d, err := h.disk(ctx); err != nil {
		m.Disk = cluster.Unknown[Disk](err.Error())
	} else {
		m.Disk = cluster.Known(d)
	}
	var all sync.WaitGroup
	all.Go(func() { m.UDP = lookup(ctx, "udp", q.Service) })
	all.Go(func() { m.TCP = lookup(ctx, "tcp", q.Service) })
	for _, port := range []uint16{q.Ports.Client, q.Ports.Peer, q.Ports.Metrics} {
		if l, err := new(net.ListenConfig).Listen(ctx, "tcp", fmt.Sprintf(":%d", port)); err != nil {
			m.Occupied = append(m.Occupied, fmt.Sprint(port))
		} else {
			l.Close()
		}
	}
	all.Wait()
	return m
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

func (h *Host) resolvers() []string {
	f, err := os.Open(h.path("/etc/resolv.conf"))
	if err != nil {
		return nil
	}
	defer f.Close()
	var out []string
	for s := bufio.NewScanner(f); s.Scan(); {
		if f := strings.Fields(s.Text()); len(f) > 1 && f[0] == "nameserver" {
			out = append(out, f[1])
		}
	}
	return out
}

// lookup asks the machine's resolver over one transport.
func lookup(ctx context.Context, transport, service string) cluster.Seen[string] {
	const limit = 3 * time.Second
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, address string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, transport, address)
	}}
	_, _, err := r.LookupSRV(ctx, "", "", service)
	var dns *net.DNSError
	switch {
	case err == nil:
		return cluster.Known("found")
	case errors.As(err, &dns) && dns.IsNotFound:
		return cluster.Known("absent")
	case ctx.Err() != nil:
		return cluster.Unknown[string](fmt.Sprintf("no answer within %s", limit))
	}
	return cluster.Unknown[string](err.Error())
}

func (h *Host) disk(ctx context.Context) (Disk, error) {
	dir := h.path(filepath.Dir(node.StateFolder))
	free, err := disk.Free(dir)
	if err != nil {
		return Disk{}, err
	}
	took, err := disk.Measure(ctx, dir)
	if err != nil {
		return Disk{}, err
	}
	return Disk{Free: free, Median: disk.Percentile(took, 50), P99: disk.Percentile(took, 99), Count: len(took)}, nil
}
