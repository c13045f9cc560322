package systemd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/onhost/agent"
	"github.com/pleiad-etcd/pleiad/internal/system/shell"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver"
)

// line is the connection to the agent of one machine.
type line struct {
	machine Machine
	builds  *Builds
	turn    chan struct{} // holds one token while somebody opens or ends the agent

	client *agent.Client // nil before the first
}

func (l *line) lock(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l *line) unlock() { <-l.turn }

// startAny starts an agent from the binary that the member's unit names, or from
// any that lies there. If there is none, it sends a greeting that says so, and
// whether anything of a member is there.
const startAny = `binary=$(sed -n 's/^ExecStart=\([^ ]*\) .*/\1/p' ` + node.UnitFile + ` 2>/dev/null)
if [ ! -x "$binary" ]; then for binary in ` + node.BinaryFolder + `/*/pleiad; do if [ -x "$binary" ]; then break; fi; done; fi
if [ -x "$binary" ]; then exec "$binary" agent; fi
empty=true
for path in ` + node.StateFolder + ` ` + node.UnitFile + `; do if [ -e $path ]; then empty=false; fi; done
echo "{\"pleiadAgent\": 0, \"empty\": $empty}"`

// agent is the agent of the machine, whichever version of pleiad it is, or
// *agent.Absent. A member without a binary of pleiad, or with one that does not
// greet, is inspected by a visitor.
func (l *line) agent(ctx context.Context) (*agent.Client, error) {
	a, err := l.reach(ctx, "", startAny)
	var absent *agent.Absent
	var broken *brokenError
	if errors.As(err, &absent) && !absent.Empty || errors.As(err, &broken) {
		return l.visitor(ctx)
	}
	return a, err
}

// brokenError is that of a program which was started as an agent, and is none. The
// way to it is not to blame.
type brokenError struct{ error }

func (e *brokenError) Unwrap() error { return e.error }

// exited is an error that says how a command ended.
type exited interface{ ExitCode() int }

// ours is the agent of this very pleiad, which is sent if it is not there.
func (l *line) ours(ctx context.Context) (*agent.Client, error) {
	binary, err := l.push(ctx)
	if err != nil {
		return nil, err
	}
	return l.of(ctx, binary)
}

// of is the agent of a certain binary.
func (l *line) of(ctx context.Context, binary string) (*agent.Client, error) {
	return l.reach(ctx, binary, "exec "+binary+" agent")
}

// reach is the agent that is there, if it is of the binary that is wanted, or a
// new one.
func (l *line) reach(ctx context.Context, binary, command string) (*agent.Client, error) {
	if err := l.lock(ctx); err != nil {
		return nil, err
	}
	defer l.unlock()
	if c := l.client; c != nil && !c.Ended() && (binary == "" || binary == c.Binary) {
		return c, nil
	}
	if err := l.end(); err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	c, err := l.open(ctx, command)
	l.client = c
	return c, err
}

// greets is how long an agent may take to send its greeting; the program is read
// from disk first.
const greets = 30 * time.Second

func (l *line) open(ctx context.Context, command string) (*agent.Client, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, greets, fmt.Errorf("it does not answer within %s", greets))
	defer cancel()
	stream, err := l.machine.Open(ctx, command)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { stream.Close() })
	c, err := agent.NewClient(stream)
	if !stop() && err == nil {
		err = context.Cause(ctx)
		_ = c.Close() // its stream is closed already
	}
	if err != nil {
		return nil, notGreeted(ctx, err, stream.Close())
	}
	return c, nil
}

// notGreeted is why there is no agent: what its greeting was not, how the command
// ended, or that nobody waited any longer. A program that is slow is not broken.
func notGreeted(ctx context.Context, err, ended error) error {
	var absent *agent.Absent
	var foreign *agent.Foreign
	var exit exited
	switch {
	case errors.As(err, &absent) || errors.As(err, &foreign):
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("start agent: %w", context.Cause(ctx))
	case ended == nil:
		return &brokenError{err}
	case errors.As(ended, &exit):
		return &brokenError{ended}
	}
	return ended
}

// end ends the agent, if there is one.
func (l *line) end() error {
	if l.client == nil {
		return nil
	}
	err := l.client.Close()
	l.client = nil
	return err
}

func (l *line) hangUp(ctx context.Context) error {
	if err := l.lock(ctx); err != nil {
		return err
	}
	defer l.unlock()
	_ = l.end()
	return nil
}

func (l *line) close() {
	l.turn <- struct{}{}
	defer l.unlock()
	_ = l.end() // whatever it did has been answered or is unknown
}

// push makes the machine hold this pleiad's binary, and returns its path there.
func (l *line) push(ctx context.Context) (string, error) {
	b, there, err := l.build(ctx)
	if err != nil {
		return "", err
	}
	path := node.BinaryPath(b.Digest)
	if slices.Contains(there, b.Digest[:16]) {
		return path, nil
	}
	if err := l.send(ctx, b, strings.TrimSuffix(path, "/pleiad"), 0o755); err != nil {
		return "", err
	}
	return path, nil
}

// send puts a program into a folder of its own, or leaves nothing.
func (l *line) send(ctx context.Context, b Build, folder string, mode fs.FileMode) error {
	command := fmt.Sprintf(`set -e
umask %04[3]o
mkdir -p %[1]s
new=%[1]s/.pleiad.$$
trap 'rm -f $new; rmdir %[1]s 2>/dev/null || true' EXIT
gzip -dc >$new
echo "%[2]s  $new" | sha256sum --check --status || { echo "what arrived is not what was sent" >&2; exit 1; }
chmod %04[4]o $new
sync $new
mv $new %[1]s/pleiad
sync %[1]s`, folder, b.Digest, 0o777&^mode, mode)
	if err := l.machine.Send(ctx, command, b.Packed); err != nil {
		return noSpace(fmt.Errorf("send pleiad to %s/pleiad: %w", folder, err), folder)
	}
	return nil
}

// visitorFolder is where a visitor's binary lies while it is needed. /run and
// /tmp do not let programs run on every machine.
const visitorFolder = node.BinaryFolder + "-visitor"

// visitor is an agent that leaves with its connection, and takes its binary
// away.
func (l *line) visitor(ctx context.Context) (*agent.Client, error) {
	b, _, err := l.build(ctx)
	if err != nil {
		return nil, err
	}
	if err := l.send(ctx, b, visitorFolder, 0o700); err != nil {
		return nil, err
	}
	return l.reach(ctx, visitorFolder+"/pleiad", fmt.Sprintf("trap 'rm -rf %[1]s' EXIT; %[1]s/pleiad agent", visitorFolder))
}

// what prints what kind of machine it is, and the folders in which there is a
// binary of pleiad, which are named after its digest.
const what = `uname -s -m
if [ -d /run/systemd/system ]; then echo systemd; else echo no systemd; fi
for binary in ` + node.BinaryFolder + `/*/pleiad; do if [ -x $binary ]; then folder=${binary%/*}; echo ${folder##*/}; fi; done`

// build is the build for the machine, and which binaries are there.
func (l *line) build(ctx context.Context) (b Build, there []string, err error) {
	out, err := l.machine.Run(ctx, what, nil)
	if err != nil {
		return Build{}, nil, err
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	system, machine, _ := strings.Cut(lines[0], " ")
	if len(lines) < 2 || lines[1] != "systemd" {
		return Build{}, nil, fmt.Errorf("%s without systemd: %w; pleiad delivers to Linux with systemd", lines[0], deliver.ErrUnsupported)
	}
	b, err = l.builds.For(system, machine)
	return b, lines[2:], err
}

// noSpace adds the remedy for a full disk. The folder itself was removed again.
func noSpace(err error, folder string) error {
	if strings.Contains(err.Error(), "No space left") {
		return fault.WithRemedy(err, "free 100 MB there: df -h "+shell.Quote(path.Dir(folder)))
	}
	return err
}
