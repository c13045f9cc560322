// Package daemon runs the name servers that people have, as Debian ships
// them, for the end-to-end tests: BIND, Knot and PowerDNS, each in the
// foreground, as a child of the test, on a loopback address of its own.
//
// [Start] writes the files of a primary with one zone and runs it; [Run] runs
// a server on files that are there already, such as those printed in docs/.
// [StartSecondary] adds a BIND that copies a zone and does so only when it is
// told to ([Secondary.CatchUp]).
//
// A server that Start or Run has returned answers for its zone. One that Start
// has set up writes nowhere but below its folder. The caller stops it; its log
// stays.
package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/tsig"
)

// Kind is a make of name server.
type Kind string

// The makes there are.
const (
	BIND     Kind = "BIND"
	Knot     Kind = "Knot"
	PowerDNS Kind = "PowerDNS"
)

// Missing is an error if a program is missing that this package runs.
func Missing() error {
	for _, program := range []string{"named", "knotd", "pdns_server", "pdnsutil", "sqlite3", "ip"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w: apt-get install --no-install-recommends bind9 iproute2 knot pdns-server pdns-backend-sqlite3 sqlite3", err)
		}
	}
	return nil
}

// Kinds are all makes.
func Kinds() []Kind { return []Kind{BIND, Knot, PowerDNS} }

// patience bounds how long a server may take to answer or to end.
const patience = 20 * time.Second

// Place is where one server stands.
type Place struct {
	Dir  string // absolute, there already, written by nobody else
	Addr netip.Addr
	Port uint16 // 53 by default
	Zone string // the zone it serves, without trailing dot
}

// Address is host:port.
func (p Place) Address() string {
	return net.JoinHostPort(p.Addr.String(), strconv.Itoa(int(p.Port)))
}

// Config is a primary to start.
type Config struct {
	Place
	// Key may read, transfer and update.
	Key tsig.Key
	// Grant is the one name of the zone, without trailing dot, at and below
	// which Key may write A, AAAA, SRV and TXT; the whole zone for PowerDNS,
	// which has nothing finer.
	Grant string
	// Known are keys that the server knows and grants nothing.
	Known []tsig.Key
}

// Server is one running name server.
type Server struct {
	Place
	Kind Kind

	back  func() error // returns the address
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process is gone
	exit  error         // of the process; read it after ended
}

// Start makes a primary whose zone holds nothing but its apex, and returns
// when it answers.
func Start(ctx context.Context, kind Kind, c Config) (*Server, error) {
	c.Port = cmp.Or(c.Port, 53)
	err := write(c, files(kind))
	if err == nil && kind == PowerDNS {
		err = database(ctx, c)
	}
	if err != nil {
		return nil, fmt.Errorf("set up %s in %s: %w", kind, c.Dir, err)
	}
	return Run(ctx, kind, c.Place)
}

// Run starts a server on the configuration in p.Dir: named.conf, knot.conf or
// pdns.conf. It returns when the server answers for the zone, or with the end
// of its log.
func Run(ctx context.Context, kind Kind, p Place) (*Server, error) {
	p.Port = cmp.Or(p.Port, 53)
	back, err := lend(ctx, p.Addr)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", kind, err)
	}
	s := &Server{Place: p, Kind: kind, back: sync.OnceValue(back), ended: make(chan struct{})}
	if err := s.run(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", kind, err), s.back())
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.answers(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w\n%s", kind, err, s.Log()), s.Stop())
	}
	return s, nil
}

func (s *Server) run() error {
	s.cmd = command(s.Kind, s.Dir)
	log, err := os.Create(s.LogFile())
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = s.Dir, log, log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	go func() {
		s.exit = s.cmd.Wait()
		close(s.ended)
	}()
	return nil
}

// command runs a server in the foreground; in a container as on a machine, it
// runs as whoever runs the test.
func command(kind Kind, dir string) *exec.Cmd {
	switch kind {
	case BIND:
		return exec.Command("named", "-g", "-4", "-n", "1", "-c", filepath.Join(dir, "named.conf"))
	case Knot:
		return exec.Command("knotd", "-c", filepath.Join(dir, "knot.conf"))
	}
	return exec.Command("pdns_server", "--config-dir="+dir, "--daemon=no", "--guardian=no", "--disable-syslog", "--write-pid=no", "--socket-dir="+dir)
}

// answers waits until the server is the authority of its zone. A refused
// connection and SERVFAIL are what a server does that still reads its files.
func (s *Server) answers(ctx context.Context) error {
	for {
		_, last := s.Serial(ctx)
		if last == nil {
			return nil
		}
		select {
		case <-s.ended:
			return fmt.Errorf("it ended: %v", s.exit)
		case <-ctx.Done():
			return fmt.Errorf("no answer from %s: %w", s.Address(), last)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Serial is the SOA serial of the server's copy of its zone, asked without a
// key.
func (s *Server) Serial(ctx context.Context) (uint32, error) {
	m := new(wire.Msg).SetQuestion(wire.Fqdn(s.Zone), wire.TypeSOA)
	answer, _, err := (&wire.Client{Net: "tcp"}).ExchangeContext(ctx, m, s.Address())
	if err != nil {
		return 0, err
	}
	if answer.Rcode == wire.RcodeSuccess && answer.Authoritative && len(answer.Answer) == 1 {
		if soa, ok := answer.Answer[0].(*wire.SOA); ok {
			return soa.Serial, nil
		}
	}
	return 0, fmt.Errorf("%s does not serve %s: %s", s.Address(), s.Zone, wire.RcodeToString[answer.Rcode])
}

// LogFile is where all that the server says goes.
func (s *Server) LogFile() string { return filepath.Join(s.Dir, string(s.Kind)+".log") }

// Log is what the server has said so far.
func (s *Server) Log() string {
	text, err := os.ReadFile(s.LogFile())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Stop ends the server and returns when it is gone. To stop it twice is no
// error.
func (s *Server) Stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", s.Kind, err)
	}
	select {
	case <-s.ended:
		return s.back()
	case <-time.After(patience):
	}
	s.cmd.Process.Kill()
	<-s.ended
	return errors.Join(fmt.Errorf("stop %s: it did not end within %s of SIGTERM", s.Kind, patience), s.back())
}
