package member

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.etcd.io/etcd/pkg/v3/osutil"
	"go.etcd.io/etcd/server/v3/etcdmain"

	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/onhost/program"
	"github.com/pleiad-etcd/pleiad/internal/system/folder"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
)

// ErrRunning says that a member runs from this configuration folder already.
var ErrRunning = errors.New("already running")

// Run is `pleiad member`: it makes this process the member that configDir
// describes. It returns only if etcd was not reached: [ErrRunning], a
// [*Refusal], the end of ctx or a signal at the gate, or a file that could not
// be read or written. The reason is then in the status file (except for
// ErrRunning, whose status is the other process's) and was written to stderr,
// which is the member's log, in the form of etcd's own lines.
//
// Once etcd runs, it ends the process itself. Run changes what is the
// process's own, net.DefaultResolver, the environment and signal handling:
// call it once, from a main.
func Run(ctx context.Context, configDir, etcd string, stderr io.Writer) error {
	log := logger{w: stderr}
	err := run(ctx, configDir, etcd, &log)
	if err != nil {
		log.line("fatal", err.Error())
	}
	return err
}

func run(ctx context.Context, configDir, etcd string, log *logger) error {
	lock, err := process.Acquire(filepath.Join(configDir, LockFile))
	if errors.Is(err, process.ErrHeld) {
		return fmt.Errorf("start member in %s: %w", configDir, ErrRunning)
	}
	if err != nil {
		return fmt.Errorf("start member: %w", err)
	}
	defer lock.Release()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()

	j, n, err := open(configDir)
	if err == nil {
		err = start(ctx, j, n, starter{etcd, lock}, log)
	}
	if j != nil {
		noted := j.note(func(s *Status) { s.Gate, s.Exit = "", err.Error() })
		err = errors.Join(err, noted)
	}
	return err
}

// open writes the first status, with the reason if the member file cannot be
// used. The journal is nil only if the status could not be written.
func open(configDir string) (*journal, node.Node, error) {
	self, err := process.Self()
	if err != nil {
		return nil, node.Node{}, fmt.Errorf("start member: %w", err)
	}
	here, err := folder.Of(configDir)
	if err != nil {
		return nil, node.Node{}, fmt.Errorf("start member: %w", err)
	}
	n, wrong := readNode(configDir)
	runs, _ := program.Self() // what cannot be told is no reason not to serve
	j := &journal{path: filepath.Join(configDir, StatusFile)}
	err = j.note(func(s *Status) {
		*s = Status{Version: StatusVersion, Process: self, Folder: here, Since: time.Now().UTC()}
		if wrong != nil {
			s.Exit = wrong.Error()
			return
		}
		s.Flags, s.Args, s.Program = n.Flags(), n.Lasting(), n.Runs(runs)
	})
	if err != nil {
		return nil, n, errors.Join(wrong, err)
	}
	return j, n, wrong
}

// readNode reads the member file and checks that it is about this folder: a
// copied folder has a lock of its own, and its member would run twice.
func readNode(configDir string) (node.Node, error) {
	path := filepath.Join(configDir, node.FileName)
	installed, err := Installed(configDir)
	if err == nil && installed == nil {
		err = fmt.Errorf("read member file %s: %w", path, fs.ErrNotExist)
	}
	if err != nil {
		return node.Node{}, err
	}
	n := *installed
	here, err := os.Stat(configDir)
	if err != nil {
		return node.Node{}, fmt.Errorf("read configuration folder: %w", err)
	}
	if there, err := os.Stat(n.Paths.Config); err != nil || !os.SameFile(here, there) {
		return node.Node{}, &Refusal{Rule: "R6", Why: fmt.Sprintf("%s describes the member in %s, not in %s", path, n.Paths.Config, configDir),
			Do: "start the member from the folder it was delivered to"}
	}
	if !filepath.IsAbs(n.Paths.Data) {
		return node.Node{}, fmt.Errorf("%s: data directory %q: want an absolute path", path, n.Paths.Data)
	}
	return n, nil
}

// start goes from the identity check to etcd.
func start(ctx context.Context, j *journal, n node.Node, etcd starter, log *logger) error {
	found, err := readData(n.Paths.Data)
	if err != nil {
		return &Refusal{Rule: "R6", Why: fmt.Sprintf("what its data directory holds is unknown: %v", err),
			Do: "the member starts only when this can be read"}
	}
	decision, err := Identity(n, found)
	if err != nil {
		return err
	}
	if decision == FirstStart || decision == Join {
		pass := passGate
		if decision == Join {
			pass = passJoinGate
		}
		if err := pass(ctx, j, n, log); err != nil {
			return err
		}
		if decision == FirstStart {
			awaitFirst(ctx, n, firstWaits)
		}
		if err := beginFirstStart(n, time.Now()); err != nil {
			return err
		}
		return etcd.start(ctx, n, log)
	}
	pins := n.Pins
	if !n.Sealed { // it founded its cluster and is not sealed yet
		pins = verified(n.Gate)
	}
	if err := pinPeers(ctx, n, pins, log); err != nil {
		return err
	}
	if err := setBorn(n, time.Now()); err != nil {
		log.line("error", err.Error()) // no reason to keep good data from serving; awaitBirth tries on
	}
	return etcd.start(ctx, n, log)
}

// passGate installs the resolver and asks it until it shows the exact list. It
// has no pins yet: they would hide what DNS says. Afterwards this process asks
// DNS for none of it again: etcd has the list in its flags, and its peers'
// addresses are pinned to what the gate has verified, so that DNS cannot say
// something else a moment later (rule R3).
func passGate(ctx context.Context, j *journal, n node.Node, log *logger) error {
	if err := checkFounding(n); err != nil {
		return err
	}
	r, err := installResolver(n.Resolver)
	if err != nil {
		return err
	}
	if err := waitAtGate(ctx, r, n, waits(j, log)); err != nil {
		return err
	}
	if silent := r.system.Silent(); len(silent) > 0 {
		log.line("warn", unanswered(silent)+"; another one answered")
	}
	if err := installPins(n, verified(n.Gate)); err != nil {
		return err
	}
	tellSystemd("the start gate has opened: its resolver shows the exact list of members")
	return j.note(func(s *Status) { s.Gate = "" })
}

// waits reports what the gate waits for: to the log, to systemd and in the
// status.
func waits(j *journal, log *logger) func(wrong string) error {
	return func(wrong string) error {
		log.line("warn", wrong)
		tellSystemd("waits at its start gate: " + wrong)
		return j.note(func(s *Status) { s.Gate = wrong })
	}
}

// deliverAgain is what can be done about a node that contradicts its cluster.
const deliverAgain = "run pleiad up, which delivers it again"

// checkFounding refuses to found a cluster other than the one that was computed
// before any member started: the one that etcd makes of its flags, and the one
// that the gate is about to see in DNS, must both be it.
func checkFounding(n node.Node) error {
	flags, self, err := n.Founds()
	if err != nil {
		return &Refusal{Rule: "R3", Why: err.Error(), Do: deliverAgain}
	}
	if seen := n.Gate.Founds(scheme(n), n.Token); flags != n.ID || seen != n.ID || self != n.Member {
		return &Refusal{Rule: "R3", Why: fmt.Sprintf("%s would found cluster %s as member %s, and its gate looks for cluster %s, want cluster %s and member %s",
			node.FileName, flags, self, seen, n.ID, n.Member), Do: deliverAgain}
	}
	return nil
}

// pinPeers makes a member find its peers without DNS, and warns where the
// system's hosts file overrules a pin.
func pinPeers(ctx context.Context, n node.Node, pins map[string]string, log *logger) error {
	if err := installPins(n, pins); err != nil {
		return err
	}
	for _, wrong := range misled(ctx, net.DefaultResolver, pins) {
		log.line("error", "R9: "+wrong+"; remove the line from /etc/hosts")
	}
	return nil
}

// verified are the pins that a gate has verified when it has passed.
func verified(g node.Gate) map[string]string {
	pins := map[string]string{}
	for _, p := range g.Peers {
		pins[p.Target] = p.Address
	}
	return pins
}

// tellSystemd sets the text in `systemctl status` if systemd has started the
// member; READY is left to etcd. Errors are ignored: the status file says the
// same.
func tellSystemd(word string) {
	_, _ = daemon.SdNotify(false, "STATUS="+strings.ReplaceAll(word, "\n", " "))
}

// installResolver replaces the process's resolver with one without pins. Without
// a server it asks those of the operating system.
func installResolver(server string) (*resolver, error) {
	r, err := newResolver(server, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", node.FileName, err)
	}
	net.DefaultResolver = r.network()
	return r, nil
}

// starter is which etcd runs.
type starter struct {
	program string // empty: the one in this program
	lock    *process.Lock
}

// start runs etcd in this process, which etcd then ends: with status 0 or 1, or
// with the signal it received. Until etcd has its own signal handlers (that is
// until its member has joined a quorum) a signal must end the process at once,
// as it does without handlers; nothing is lost by that.
func (s starter) start(ctx context.Context, n node.Node, log *logger) error {
	for _, name := range unwanted(os.Environ()) {
		if err := os.Unsetenv(name); err != nil {
			return fmt.Errorf("clear environment: %w", err)
		}
	}
	signal.Reset(os.Interrupt, syscall.SIGTERM)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("ended before etcd: %w", context.Cause(ctx))
	}
	report := func(err error) { log.line("error", err.Error()) }
	marks, err := newMarking(n)
	if err != nil {
		return err
	}
	if err := marks.advance(time.Now()); err != nil {
		report(err) // see keep
	}
	if s.program != "" {
		return s.become(n)
	}
	watch, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		awaitBirth(watch, n, report)
		marks.keep(watch, report, func() {
			// By now etcd has told what it does at its end, which is then done
			// first: this marks the log as it was closed.
			osutil.RegisterInterruptHandler(func() {
				if err := marks.advance(time.Now()); err != nil {
					report(err)
				}
			})
		})
	})
	etcdmain.Main(append([]string{"etcd"}, n.Args...))
	cancel()
	wg.Wait()
	return errors.New("etcd returned without ending the process")
}

// become turns this process into another etcd. Pid and start time stay, and so
// does the lock, whose file the other program inherits: what the status says
// stays true. A second process ([Watch]) notes the birth of the data and how far
// it goes. It is begun before the lock is made to be inherited, and has none.
func (s starter) become(n node.Node) error {
	if n.Resolver != "" {
		return fmt.Errorf("run %s: it would not ask the name server of this host, %s; only the etcd in pleiad does", s.program, n.Resolver)
	}
	if err := watched(n); err != nil {
		return fmt.Errorf("run %s: %w", s.program, err)
	}
	if err := s.lock.Bequeath(); err != nil {
		return fmt.Errorf("run %s: %w", s.program, err)
	}
	return fmt.Errorf("run %s: %w", s.program, replaceProcess(s.program, append([]string{"etcd"}, n.Args...)))
}

// watched begins the second process.
func watched(n node.Node) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "member", "--dir", n.Paths.Config, "--watch", strconv.Itoa(os.Getpid()))
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Start()
}

// unwanted are the environment variables that would change what etcd does: its
// flags may come from ETCD_*, and HTTP proxies would carry the traffic between
// peers. ETCD_UNSUPPORTED_ARCH is no flag but the consent to run on a machine
// etcd is not tested on; etcd removes it itself.
func unwanted(environ []string) []string {
	proxies := []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"}
	var names []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if name == "ETCD_UNSUPPORTED_ARCH" {
			continue
		}
		if strings.HasPrefix(name, "ETCD_") || slices.Contains(proxies, strings.ToUpper(name)) {
			names = append(names, name)
		}
	}
	return names
}

// logger writes lines like etcd's own into the log they share. It is safe for
// concurrent use: each line is one write, made under the lock.
type logger struct {
	mu sync.Mutex
	w  io.Writer
}

// logTime is etcd's time format (etcd client/pkg/logutil/zap.go).
const logTime = "2006-01-02T15:04:05.000000Z0700"

// ourLogger is the name under which our lines stand among etcd's.
const ourLogger = "pleiad"

// logLine is what is read and written of a line of etcd's log.
type logLine struct {
	Level  string `json:"level"`
	TS     string `json:"ts"`
	Logger string `json:"logger,omitempty"`
	Msg    string `json:"msg"`
	Error  string `json:"error,omitempty"`
	Signal string `json:"signal,omitempty"`
}

func (l *logger) line(level, msg string) {
	b, err := json.Marshal(logLine{Level: level, TS: time.Now().UTC().Format(logTime), Logger: ourLogger, Msg: msg})
	if err != nil {
		panic(fmt.Sprintf("encode log line: %v", err)) // it holds only strings
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.w.Write(append(b, '\n')) // a log that cannot be written has nobody to tell
}
