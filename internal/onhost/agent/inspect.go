package agent

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/onhost/member"
	"github.com/pleiad-etcd/pleiad/internal/onhost/program"
)

// Inspect reads what is on the machine. It changes nothing.
func (h *Host) Inspect(ctx context.Context, host cluster.Host) (cluster.Node, error) {
	out, err := h.inspect(ctx, host)
	return out, wrap("inspect", host.Name, err)
}

func (h *Host) inspect(ctx context.Context, host cluster.Host) (cluster.Node, error) {
	u, err := h.User(ctx, false)
	if err != nil {
		return cluster.Node{}, err
	}
	var out cluster.Node
	var n *node.Node
	err = as(u, func() error {
		if out, err = member.Inspect(ctx, host.Paths); err == nil {
			n, err = member.Installed(host.Paths.Config)
		}
		return err
	})
	out.Clock = time.Now()
	if err != nil {
		return cluster.Node{}, err
	}
	if p := &out.Process; !p.Running && p.Exit == "" && !p.Since.IsZero() {
		p.Exit = h.lastWord(ctx, p.Since)
	}
	if out.Process.Running {
		out.Process.Restarts = h.restarts(ctx)
	}
	if ctx.Err() != nil { // what was asked last was not told
		return cluster.Node{}, context.Cause(ctx)
	}
	if n == nil {
		return out, nil
	}
	if out.Drift, err = h.drift(*n); err != nil {
		return cluster.Node{}, err
	}
	return out, h.programs(u, host, *n, &out)
}

// programs says which program the member starts with, and started with before. One
// that is not there is told as drift.
func (h *Host) programs(u User, host cluster.Host, n node.Node, out *cluster.Node) error {
	binary, err := h.starts()
	if err != nil {
		return err
	}
	if out.Next.Program, err = h.program(binary, n); err != nil {
		return err
	}
	former, err := h.former(u, host)
	if err != nil || former == nil {
		out.Former = nil
		return err
	}
	out.Former.Program, err = h.program(former.Binary, former.In(n))
	return err
}

// starts is the program that the member's unit starts; empty if there is none.
func (h *Host) starts() (string, error) {
	unit, err := os.ReadFile(h.path(node.UnitFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return startedBy(unit), err
}

// program is the one in a file, for a node; zero if it is not there.
func (h *Host) program(binary string, n node.Node) (cluster.Program, error) {
	p, err := program.Of(h.path(binary))
	if errors.Is(err, fs.ErrNotExist) || binary == "" {
		return cluster.Program{}, nil
	}
	return n.Runs(p), err
}

// former is what the member can go back to: nil if there is nothing, or if what it
// was started by is not there any more. The file is the member's own, and what it
// names is to be started by root.
func (h *Host) former(u User, host cluster.Host) (former *member.Former, err error) {
	err = as(u, func() error { former, err = member.ReadFormer(host.Paths.Config); return err })
	if err != nil || former == nil || !node.IsBinary(former.Binary) {
		return nil, err
	}
	there, err := exists(h.path(former.Binary))
	if err != nil || !there {
		return nil, err
	}
	return former, nil
}

// lastWord is why a member ended, as the journal tells; empty if it does not.
func (h *Host) lastWord(ctx context.Context, since time.Time) string {
	log, err := h.Run(ctx, "journalctl", "--unit="+node.UnitName, "--lines=200", "--output=cat", "--no-pager", "--quiet")
	if err != nil {
		return ""
	}
	return member.Ending([]byte(log), since)
}

// restarts is how often systemd has started the member again; 0 if it does not say.
func (h *Host) restarts(ctx context.Context) int {
	told, err := h.Run(ctx, "systemctl", "show", "--property=NRestarts", "--value", node.UnitName)
	n, bad := strconv.Atoi(strings.TrimSpace(told))
	if err != nil || bad != nil {
		return 0
	}
	return max(n, 0)
}

// drift compares what stands beside a delivered node with what was delivered.
func (h *Host) drift(n node.Node) ([]string, error) {
	var out []string
	unit, err := os.ReadFile(h.path(node.UnitFile))
	switch binary := startedBy(unit); {
	case errors.Is(err, fs.ErrNotExist):
		out = append(out, node.UnitFile+" is missing")
	case err != nil:
		return nil, err
	case binary == "" || !bytes.Equal(unit, n.Unit(binary, h.openFiles())):
		out = append(out, node.UnitFile+" is not as it was delivered")
	default:
		there, err := exists(h.path(binary))
		if err != nil {
			return nil, err
		}
		if !there {
			out = append(out, binary+" is missing")
		}
	}
	missing, err := h.missing(n)
	if err != nil {
		return nil, err
	}
	out = append(out, missing...)
	holds, err := h.hostsFile(n).Holds()
	if err != nil {
		return nil, err
	}
	if !holds {
		out = append(out, node.HostsFile+" does not hold the pinned peers")
	}
	if n.Sealed {
		enabled, err := exists(h.path(node.WantedBy(node.UnitName)))
		if err != nil {
			return nil, err
		}
		if !enabled {
			out = append(out, node.UnitName+" is not enabled: it would not start after a reboot")
		}
	}
	return out, nil
}

// missing lists other files that the member needs and that do not exist.
func (h *Host) missing(n node.Node) ([]string, error) {
	var want, out []string
	if n.Release != nil {
		want = append(want, node.ReleasePath(n.Release.Version))
	}
	if n.DataDevice != "" {
		want = append(want, node.MountFile)
	}
	for _, path := range want {
		there, err := exists(h.path(path))
		if err != nil {
			return nil, err
		}
		if !there {
			out = append(out, path+" is missing")
		}
	}
	return out, nil
}

// startedBy is the binary that a unit starts.
func startedBy(unit []byte) string {
	for line := range strings.Lines(string(unit)) {
		if command, ok := strings.CutPrefix(line, "ExecStart="); ok {
			binary, _, _ := strings.Cut(strings.TrimSpace(command), " ")
			return binary
		}
	}
	return ""
}
