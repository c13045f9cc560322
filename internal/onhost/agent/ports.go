package agent

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// Listener is a TCP socket that waits for connections.
type Listener struct {
	Address netip.AddrPort `json:"address"`
	PID     int            `json:"pid,omitempty"`     // 0 if it could not be found
	Program string         `json:"program,omitempty"` // as the kernel names it
}

// String says who listens where.
func (l Listener) String() string {
	if l.PID == 0 {
		return l.Address.String()
	}
	return fmt.Sprintf("%s (%s, process %d)", l.Address, l.Program, l.PID)
}

// occupied lists the listeners in the way of a member, without its own. They are
// read from /proc: trying a port would occupy it for a moment, and a member that
// starts just then would fail.
func (h *Host) occupied(ctx context.Context, q Question) ([]Listener, error) {
	var found []socket
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		b, err := os.ReadFile(h.path(table))
		if errors.Is(err, fs.ErrNotExist) && table == "/proc/net/tcp6" { // without IPv6
			continue
		}
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(b)) {
			if s, listens := parseSocket(line); listens && s.inTheWay(q) {
				found = append(found, s)
			}
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	return h.foreign(ctx, found)
}

// foreign are the listeners that are not the member's own.
func (h *Host) foreign(ctx context.Context, found []socket) ([]Listener, error) {
	u, err := h.User(ctx, false)
	if err != nil {
		return nil, err
	}
	own, err := status(u, cluster.Host{Paths: cluster.Paths{Config: h.path(node.MachinePaths().Config)}})
	if err != nil {
		return nil, err
	}
	owners := h.owners(found)
	var out []Listener
	for _, s := range found {
		l := Listener{Address: s.address, PID: owners[s.inode]}
		if l.PID != 0 && l.PID == own.Process.PID && own.Running() {
			continue
		}
		if name, err := os.ReadFile(h.path(fmt.Sprintf("/proc/%d/comm", l.PID))); err == nil {
			l.Program = strings.TrimSpace(string(name))
		}
		out = append(out, l)
	}
	return out, nil
}

// owners are the processes that hold sockets, by inode; those that have ended
// meanwhile, or that we may not inspect, are left out.
func (h *Host) owners(sockets []socket) map[string]int {
	wanted := map[string]string{}
	for _, s := range sockets {
		wanted["socket:["+s.inode+"]"] = s.inode
	}
	out := map[string]int{}
	paths, _ := filepath.Glob(h.path("/proc/[0-9]*/fd/*")) // the pattern is well formed
	for _, path := range paths {
		target, err := os.Readlink(path)
		inode, ok := wanted[target]
		if err != nil || !ok {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))); err == nil {
			out[inode] = pid
		}
	}
	return out
}

// socket is a line of /proc/net/tcp.
type socket struct {
	address netip.AddrPort
	inode   string
}

// inTheWay says whether a member could not listen as it does. Its metrics are
// on 127.0.0.1 alone.
func (s socket) inTheWay(q Question) bool {
	switch ip := s.address.Addr().Unmap(); s.address.Port() {
	case q.Ports.Peer, q.Ports.Client:
		return !q.Address.IsValid() || ip.IsUnspecified() || ip == q.Address.Unmap()
	case q.Ports.Metrics:
		return ip.IsUnspecified() || ip == netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return false
}

// parseSocket reads a line of /proc/net/tcp or tcp6 (proc_net(5)), and whether
// it is that of a listener: state 0A, LISTEN.
func parseSocket(line string) (s socket, listens bool) {
	f := strings.Fields(line)
	if len(f) < 10 || f[3] != "0A" {
		return s, false
	}
	host, port, _ := strings.Cut(f[1], ":")
	raw, err := hex.DecodeString(host)
	if err != nil || len(raw)%4 != 0 {
		return s, false
	}
	// Printed as words of 32 bits in the machine's own order.
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	ip, ok := netip.AddrFromSlice(raw)
	n, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil {
		return s, false
	}
	return socket{netip.AddrPortFrom(ip, uint16(n)), f[9]}, true
}
