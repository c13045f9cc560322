package agent

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
)

// This is the machine this process runs on.
func This() *Host {
	h := &Host{Root: "/", Run: run, Dial: new(net.Dialer).DialContext}
	h.User = h.machineUser
	return h
}

func run(ctx context.Context, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	// sudo and sshd may leave a PATH without the folders of root's programs, the
	// output that we parse must not depend on the user's language, and variables
	// sent by the session (SendEnv) must not reach programs that run as root.
	cmd.Env = append(process.Environment(), "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C")
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if text := strings.TrimSpace(said.String()); text != "" {
			err = fmt.Errorf("%w: %s", err, text)
		}
		return out.String(), fmt.Errorf("%s: %w", strings.Join(append([]string{program}, args...), " "), err)
	}
	return out.String(), nil
}

// openFiles is how many files the machine lets a process open: the limit of its
// init system, which no unit of it can exceed.
func (h *Host) openFiles() uint64 {
	const fallback = 65536
	b, err := os.ReadFile(h.path("/proc/1/limits"))
	if err != nil {
		return fallback
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "Max open files"); ok {
			f := strings.Fields(rest)
			if len(f) < 2 {
				return fallback
			}
			if n, err := strconv.ParseUint(f[1], 10, 64); err == nil {
				return n
			}
		}
	}
	return fallback
}

func (h *Host) systemctl(ctx context.Context, args ...string) error {
	_, err := h.Run(ctx, "systemctl", args...)
	return err
}

// unitState is what systemd says of the member's unit.
type unitState struct {
	active, sub, result string
	main                int    // pid of its process; 0 for none
	load                string // "not-found", "loaded", …
}

func (h *Host) unit(ctx context.Context) (unitState, error) {
	out, err := h.Run(ctx, "systemctl", "show", "--property=ActiveState,SubState,Result,MainPID,LoadState", node.UnitName)
	if err != nil {
		return unitState{}, err
	}
	var s unitState
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "ActiveState":
			s.active = value
		case "SubState":
			s.sub = value
		case "Result":
			s.result = value
		case "LoadState":
			s.load = value
		case "MainPID":
			if s.main, err = strconv.Atoi(value); err != nil {
				return unitState{}, fmt.Errorf("systemctl show: MainPID %q: %w", value, err)
			}
		}
	}
	return s, nil
}

// ended says that no process of the unit runs, though one may be started again
// in a moment.
func (s unitState) ended() bool {
	return s.active == "failed" || s.active == "inactive" || s.sub == "auto-restart"
}
